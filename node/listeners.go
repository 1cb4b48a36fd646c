package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns/server"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/proxy"
	"github.com/micro/micro-net/tunnel"
)

// listeners are the sockets of one life of the node. All are opened before anything is started,
// so that every taken port is told in one error and nothing is half-started.
type listeners struct {
	mesh   net.PacketConn
	tcp    net.Listener // nil when off, or where it could not be had
	noTCP  *denied      // why it could not
	api    net.Listener // nil when off
	socket net.Listener // nil in a program
	dns    *server.Server
	proxy  *proxy.Outbound
	vips   *proxy.Capture // nil unless the VIPs are redirected
}

// taken is one port that could not be had.
type taken struct {
	what, flag, network string
	addr                netip.AddrPort
	err                 error
}

// openListeners opens what the configuration asks for. dns and out are not opened yet, nil when
// switched off.
func openListeners(ctx context.Context, env micronet.Env, c *Config, dns *server.Server, out *proxy.Outbound) (*listeners, error) {
	l := &listeners{}
	var failed []taken
	note := func(what, flag, network string, addr netip.AddrPort, err error) bool {
		if err != nil {
			failed = append(failed, taken{what, flag, network, addr, err})
		}
		return err == nil
	}
	var err error
	l.mesh, err = env.Net.ListenPacket(ctx, c.Mesh)
	note("mesh", "--listen", "udp", c.Mesh, err)
	if d := c.Daemon; d != nil {
		if d.API.IsValid() {
			l.api, err = env.Net.Listen(ctx, d.API)
			note("API", "--api-addr", "tcp", d.API, err)
		}
		if dns != nil && note("DNS", "--dns-addr", "tcp", d.DNS, dns.Open(ctx)) {
			l.dns = dns
		}
		if out != nil && note("proxy", "--proxy-addr", "tcp", d.Proxy, out.Listen(ctx)) {
			l.proxy = out
		}
	}
	// The port that only has to be free if it is asked for comes last.
	note("mesh", "--tcp-addr", "tcp", c.TCP, l.openTCP(ctx, env, c))
	var socketErr error
	if c.Daemon != nil {
		l.socket, socketErr = openSocket(ctx, env, c.Daemon.Socket)
	}
	switch {
	case len(failed) > 0:
		err = portError(env, c, failed, socketErr)
	default:
		err = socketErr
	}
	if err != nil {
		return nil, withClosed(env, err, l.close(ctx))
	}
	return l, nil
}

// openTCP opens what takes datagrams over TCP. Only the address that the user chose has to be free.
func (l *listeners) openTCP(ctx context.Context, env micronet.Env, c *Config) (err error) {
	if c.NoTCP || l.mesh == nil {
		return nil
	}
	addr := c.TCP
	if !addr.IsValid() {
		addr = micronet.AddrPortOf(l.mesh.LocalAddr())
	}
	l.tcp, err = env.Net.Listen(ctx, addr)
	if c.TCP.IsValid() || err == nil {
		return err
	}
	l.noTCP = &denied{err: err, words: (&taken{network: "tcp", addr: addr, err: err}).why(env)}
	return nil
}

// denied is why a port could not be had that the node does without. Who held it is found out once.
type denied struct {
	err   error
	words string
}

// state is what status shows in the place of the address.
func (d *denied) state() string {
	if errors.Is(d.err, syscall.EADDRINUSE) {
		return api.PortTaken
	}
	return api.PortFailed
}

// tcpPort is where others find it, 0 for nowhere.
func (l *listeners) tcpPort() uint16 {
	if l.tcp == nil {
		return 0
	}
	port := micronet.AddrPortOf(l.tcp.Addr()).Port()
	if port == micronet.AddrPortOf(l.mesh.LocalAddr()).Port() {
		return tunnel.TCPSamePort
	}
	return port
}

// joinPort is what a token says of it: 0 where the addresses have the right port.
func (l *listeners) joinPort() uint16 {
	if p := l.tcpPort(); p != tunnel.TCPSamePort {
		return p
	}
	return 0
}

// withClosed is what went wrong, or else what went wrong while closing, which should be nothing. Two
// errors would be two lines: the second is only reported.
func withClosed(env micronet.Env, err, closing error) error {
	if err == nil {
		return closing
	}
	if closing != nil {
		env.Events.BackgroundError("node.close", closing)
	}
	return err
}

func openSocket(ctx context.Context, env micronet.Env, path string) (net.Listener, error) {
	const socketPerm, socketFolderPerm = 0o666, 0o755
	if err := env.FS.MkdirAll(parent(path), socketFolderPerm); err != nil {
		return nil, diskError("api-socket", err).WithFix("make %s writable for this user, or choose another with --api-socket", parent(path))
	}
	ln, err := env.Net.ListenUnix(ctx, path, socketPerm)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, micronet.E("api-socket", micronet.Refused, "another daemon answers on %s", path).
			WithFix("stop it, or give this one its own --api-socket")
	}
	if err != nil {
		return nil, diskError("api-socket", err).WithFix("choose another place with --api-socket")
	}
	return ln, nil
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// portError tells all ports in one error, with holder and flags, and a command that would work. A
// socket that cannot be had either is told along: the command would fail because of it.
func portError(env micronet.Env, c *Config, failed []taken, socketErr error) error {
	var parts []string
	instead := map[string]string{}
	for _, t := range failed {
		parts = append(parts, t.describe(env))
		instead[t.flag] = netip.AddrPortFrom(t.addr.Addr(), 0).String()
	}
	if socketErr != nil {
		parts = append(parts, cause(socketErr))
		instead["--api-socket"] = c.otherSocket()
	}
	return micronet.E("listen", micronet.Refused, "%s", strings.Join(parts, ", ")).
		WithFix("free them, or choose others: %s", c.command(instead))
}

// otherSocket is a place for the API's socket that a daemon with the usual one leaves free.
func (c *Config) otherSocket() string {
	if other := filepath.Join(c.DataDir, "api.sock"); c.DataDir != "" && other != c.Daemon.Socket {
		return other
	}
	return c.Daemon.Socket + ".2"
}

// command is the command line this daemon was started with, but for the given flags. A token is a
// secret: what stands for it is the file that the documentation puts it into.
func (c *Config) command(instead map[string]string) string {
	words := []string{"micro-net", "up"}
	if c.Daemon != nil {
		for _, s := range c.Daemon.Settings {
			flag := "--" + s.Key
			if _, other := instead[flag]; !other && s.Origin == "flag" {
				words = append(words, flagWords(flag, s.Value)...)
			}
		}
	}
	for _, flag := range slices.Sorted(maps.Keys(instead)) {
		words = append(words, flag, quoted(instead[flag]))
	}
	return strings.Join(words, " ")
}

func flagWords(flag string, value any) (words []string) {
	switch v := value.(type) {
	case []string:
		for _, one := range v {
			words = append(words, flag, quoted(one))
		}
		return words
	case bool:
		return []string{fmt.Sprintf("%s=%t", flag, v)}
	}
	if flag == "--join" {
		return []string{flag, "@FILE"}
	}
	return []string{flag, quoted(fmt.Sprint(value))}
}

// quoted is a word as a shell takes it.
func quoted(s string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:@,+=%", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (t *taken) describe(env micronet.Env) string {
	// A listener of two networks says which of them is taken.
	if op, ok := errors.AsType[*net.OpError](t.err); ok {
		t.network = strings.TrimRight(op.Net, "46")
	}
	return fmt.Sprintf("%s %s (%s) is %s", t.what, t.addr, t.network, t.why(env))
}

// why is the cause in words, as few as there are.
func (t *taken) why(env micronet.Env) string {
	switch {
	case errors.Is(t.err, syscall.EADDRINUSE):
		if h, ok := env.Net.(micronet.PortHolder); ok {
			if holder := h.PortHolder(t.network, t.addr); holder != "" {
				return "held by " + holder
			}
		}
		return "in use"
	case errors.Is(t.err, syscall.EACCES), errors.Is(t.err, syscall.EPERM):
		return "not permitted for this user"
	case errors.Is(t.err, syscall.EADDRNOTAVAIL):
		return "not an address of this host"
	}
	return t.err.Error()
}

// close ends what was opened and is not run by anybody.
func (l *listeners) close(ctx context.Context) error {
	var all error
	note := func(err error) {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			all = errors.Join(all, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if l.vips != nil {
		note(l.vips.Run(ended))
	}
	if l.proxy != nil {
		note(l.proxy.Run(ended))
	}
	if l.dns != nil {
		note(l.dns.Close())
	}
	for _, ln := range []net.Listener{l.api, l.socket, l.tcp} {
		if ln != nil {
			note(ln.Close())
		}
	}
	if l.mesh != nil {
		note(l.mesh.Close())
	}
	return all
}
