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
	family, local := bindTo(addr)
	return lc.ListenPacket(ctx, "udp"+family, local)
}

// Listen opens a TCP listener.
func (Network) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	var lc net.ListenConfig
	family, local := bindTo(addr)
	return lc.Listen(ctx, "tcp"+family, local)
}

// bindTo keeps IPv4 listeners off IPv6 sockets. An unspecified IPv6 address takes both; it is left
// out for package net, which falls back to IPv4 then on hosts without IPv6.
func bindTo(addr netip.AddrPort) (family, local string) {
	switch a := addr.Addr(); {
	case a.Is4() || a.Is4In6():
		return "4", netip.AddrPortFrom(a.Unmap(), addr.Port()).String()
	case a.IsUnspecified():
		return "", fmt.Sprintf(":%d", addr.Port())
	default:
		return "6", addr.String()
	}
}

// Dial opens a TCP connection, from a given local address if it is valid.
func (Network) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	if from.IsValid() {
		d.LocalAddr = &net.TCPAddr{IP: from.AsSlice(), Zone: from.Zone()}
	}
	return d.DialContext(ctx, "tcp", to.String())
}

// DialPacket opens a connected UDP socket.
func (Network) DialPacket(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "udp", to.String())
}

// maxUnixPath is the longest path of a unix socket that all platforms take: 104 bytes with the
// zero byte on macOS, 108 on Linux.
const maxUnixPath = 103

// ListenUnix opens a unix socket with the given mode. A stale socket file is replaced only when it
// is a socket and the system says that nobody listens on it.
func (n Network) ListenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if len(path) > maxUnixPath {
		return nil, fmt.Errorf("listen unix %s: the path has %d bytes, a socket's has at most %d", path, len(path), maxUnixPath)
	}
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
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("listen unix %s: %w", path, syscall.EADDRINUSE), c.Close())
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, syscall.EAGAIN): // its queue is full: somebody is there
		return fmt.Errorf("listen unix %s: %w", path, syscall.EADDRINUSE)
	}
	return fmt.Errorf("who listens on %s cannot be told: %w", path, err)
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
