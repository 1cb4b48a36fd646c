package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns/server"
	"github.com/micro/micro-net/proxy"
)

// listeners are the sockets of one life of the node. All are opened before anything is started,
// so that every taken port is told in one error and nothing is half-started.
type listeners struct {
	mesh   net.PacketConn
	api    net.Listener // nil when off
	socket net.Listener // nil in a program
	dns    *server.Server
	proxy  *proxy.Outbound
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
	if len(failed) > 0 {
		return nil, withClosed(portError(env, failed), l.close(ctx))
	}
	if c.Daemon != nil {
		if l.socket, err = openSocket(ctx, env, c.Daemon.Socket); err != nil {
			return nil, withClosed(err, l.close(ctx))
		}
	}
	return l, nil
}

// withClosed adds what went wrong while closing, which should be nothing.
func withClosed(err, closing error) error {
	if closing == nil {
		return err
	}
	return errors.Join(err, closing)
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

// portError tells all ports in one error, with holder and flags, and a command that would work.
func portError(env micronet.Env, failed []taken) error {
	var parts, flags []string
	for _, t := range failed {
		parts = append(parts, t.describe(env))
		free := netip.AddrPortFrom(t.addr.Addr(), 0)
		flags = append(flags, fmt.Sprintf("%s %s", t.flag, free))
	}
	kind := micronet.Refused
	return micronet.E("listen", kind, "%s", strings.Join(parts, ", ")).
		WithFix("free them, or choose others: micro-net up %s", strings.Join(flags, " "))
}

func (t *taken) describe(env micronet.Env) string {
	cause := t.err.Error()
	switch {
	case errors.Is(t.err, syscall.EADDRINUSE):
		cause = "in use"
		if h, ok := env.Net.(micronet.PortHolder); ok {
			if holder := h.PortHolder(t.network, t.addr); holder != "" {
				cause = "held by " + holder
			}
		}
	case errors.Is(t.err, syscall.EACCES):
		cause = "not permitted for this user"
	case errors.Is(t.err, syscall.EADDRNOTAVAIL):
		cause = "not an address of this host"
	}
	return fmt.Sprintf("%s %s (%s) is %s", t.what, t.addr, t.network, cause)
}

// close ends what was opened. Those that had a Run have closed themselves already.
func (l *listeners) close(ctx context.Context) error {
	var all error
	note := func(err error) {
		if err != nil && !errors.Is(err, net.ErrClosed) {
			all = errors.Join(all, err)
		}
	}
	if l.proxy != nil {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		note(l.proxy.Run(ended))
	}
	if l.dns != nil {
		note(l.dns.Close())
	}
	for _, ln := range []net.Listener{l.api, l.socket} {
		if ln != nil {
			note(ln.Close())
		}
	}
	if l.mesh != nil {
		note(l.mesh.Close())
	}
	return all
}

func addrPortOf(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
