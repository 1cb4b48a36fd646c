package osenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"

	micronet "github.com/micro/micro-net"
)

// Network is the host's network.
type Network struct{}

var (
	_ micronet.Network         = Network{}
	_ micronet.PeerCredentials = Network{}
	_ micronet.PortHolder      = Network{}
)

// ListenPacket opens a UDP socket.
func (Network) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	var lc net.ListenConfig
	return lc.ListenPacket(ctx, "udp"+family(addr.Addr()), addr.String())
}

// Listen opens a TCP listener.
func (Network) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp"+family(addr.Addr()), addr.String())
}

// family keeps IPv4 listeners off IPv6 sockets; an unspecified IPv6 address takes both, and so
// falls back to IPv4 on hosts without IPv6.
func family(a netip.Addr) string {
	switch {
	case a.Is4():
		return "4"
	case a.IsUnspecified():
		return ""
	default:
		return "6"
	}
}

// Dial opens a TCP connection, from a given local address if it is valid.
func (Network) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if from.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: from.AsSlice()}
	}
	return d.DialContext(ctx, "tcp", to.String())
}

// DialPacket opens a connected UDP socket.
func (Network) DialPacket(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "udp", to.String())
}

// ListenUnix opens a unix socket with the given mode. A stale socket file is replaced only when
// nobody answers on it and it is a socket.
func (n Network) ListenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if err := n.removeStale(ctx, path); err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

func (n Network) removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is no socket", path)
	}
	c, err := n.DialUnix(ctx, path)
	if err == nil {
		return errors.Join(fmt.Errorf("listen unix %s: %w", path, syscall.EADDRINUSE), c.Close())
	}
	return os.Remove(path)
}

// DialUnix connects to a unix socket.
func (Network) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", path)
}

// Interfaces lists the interfaces that are up.
func (Network) Interfaces() ([]micronet.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	out := make([]micronet.Interface, 0, len(all))
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", i.Name, err)
		}
		out = append(out, micronet.Interface{
			Name: i.Name, MTU: i.MTU, Loopback: i.Flags&net.FlagLoopback != 0, Prefixes: prefixes(addrs),
		})
	}
	return out, nil
}

func prefixes(addrs []net.Addr) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p)
		}
	}
	return out
}
