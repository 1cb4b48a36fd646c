package netsim

import (
	"context"
	"io/fs"
	"net"
	"net/netip"

	micronet "github.com/micro/micro-net"
)

var (
	_ micronet.Network         = (*Host)(nil)
	_ micronet.Exec            = (*Host)(nil)
	_ micronet.PeerCredentials = (*Host)(nil)
	_ micronet.Redirector      = (*Host)(nil)
)

func (h *Host) currentStack() *stack {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.stack
}

// ListenPacket opens a UDP socket; see micronet.Network. The result takes *net.UDPAddr only.
func (h *Host) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	return h.currentStack().ListenPacket(ctx, addr)
}

// Listen opens a TCP listener; see micronet.Network.
func (h *Host) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	return h.currentStack().Listen(ctx, addr)
}

// Dial opens a TCP connection; see micronet.Network.
func (h *Host) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	return h.currentStack().Dial(ctx, from, to)
}

// DialPacket opens a connected UDP socket; see micronet.Network.
func (h *Host) DialPacket(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return h.currentStack().DialPacket(ctx, to)
}

// ListenUnix opens a unix stream socket; see micronet.Network.
func (h *Host) ListenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	return h.currentStack().ListenUnix(ctx, path, mode)
}

// DialUnix connects to a unix stream socket; see micronet.Network.
func (h *Host) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	return h.currentStack().DialUnix(ctx, path)
}

// Interfaces lists the host's interfaces; see micronet.Network.
func (h *Host) Interfaces() ([]micronet.Interface, error) { return h.currentStack().Interfaces() }

// WatchInterfaces sends after SetAddrs; see micronet.Network.
func (h *Host) WatchInterfaces(ctx context.Context) <-chan struct{} {
	return h.currentStack().WatchInterfaces(ctx)
}

// PeerCredentials returns those of the other end of a unix socket; see micronet.PeerCredentials.
func (h *Host) PeerCredentials(c net.Conn) (micronet.Credentials, error) {
	return h.currentStack().PeerCredentials(c)
}

// Redirect sends TCP connections of this host elsewhere; see micronet.Redirector.
func (h *Host) Redirect(ctx context.Context, table string, from netip.Prefix, to net.Listener) (func() error, error) {
	return h.currentStack().Redirect(ctx, table, from, to)
}
