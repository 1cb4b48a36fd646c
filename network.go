package micronet

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
)

// Network is the only door to the outside. All methods may be called from several goroutines.
// After Close of what they return, pending calls end with an error that is net.ErrClosed.
type Network interface {
	// ListenPacket opens a UDP socket. An unspecified IPv6 address ([::]) takes IPv4 as well.
	// The result may offer SyscallConn, as *net.UDPConn does; callers must work without.
	ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error)
	// Listen opens a TCP listener; its connections can half-close (CloseWrite).
	Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error)
	// Dial opens a TCP connection that can half-close. A valid from is the local address.
	Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error)
	// DialPacket opens a connected UDP socket, for asking upstream resolvers.
	DialPacket(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// ListenUnix opens a unix stream socket. A socket file nobody listens on is replaced; one
	// that somebody answers on is an error. The file is removed on Close.
	ListenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error)
	// DialUnix connects to a unix stream socket.
	DialUnix(ctx context.Context, path string) (net.Conn, error)
	// Interfaces lists the interfaces that are up, in the order of their index.
	Interfaces() ([]Interface, error)
	// WatchInterfaces sends after any change of interfaces or addresses until ctx ends; changes
	// that nobody took yet are one. The channel is nil where changes cannot be seen.
	WatchInterfaces(ctx context.Context) <-chan struct{}
}

// Interface is a network interface that is up.
type Interface struct {
	Name     string
	MTU      int
	Loopback bool
	Prefixes []netip.Prefix
}

// Credentials are those of the process at the other end of a unix socket.
type Credentials struct {
	UID    int
	GID    int
	PID    int
	Groups []string // names of the user's groups, where they are known
}

// PeerCredentials is an optional power of a Network: who is at the other end of a unix socket.
type PeerCredentials interface {
	PeerCredentials(c net.Conn) (Credentials, error)
}

// PortHolder is an optional power of a Network: which program holds a local port. network is
// "tcp" or "udp"; the result reads like "redis-server (pid 812)", "" when it is not known.
type PortHolder interface {
	PortHolder(network string, addr netip.AddrPort) string
}

// Redirector is an optional power of a Network: sending connections of this host's programs to a
// prefix elsewhere, whatever the port. It needs CAP_NET_ADMIN.
type Redirector interface {
	// Redirect makes TCP connections from this host to any port in from arrive at a listener of
	// this Network; the local address of what it accepts is the one that was dialled. When the
	// listener is closed they are refused. table names the rules, so that a table left by a crash
	// is replaced. The undo function removes everything.
	Redirect(ctx context.Context, table string, from netip.Prefix, to net.Listener) (undo func() error, err error)
}

// ErrRedirected says that another process redirects the prefix already.
var ErrRedirected = errors.New("another daemon redirects it already")

// PortOwner is an optional power of a Network: the user id of the process that listens on a local
// TCP port, and whether it is known.
type PortOwner interface {
	PortOwner(addr netip.AddrPort) (uid int, known bool)
}

// HostResolver is an optional power of a Network: the addresses of a host name, by whatever the
// host itself uses. Only what people typed is looked up, never names of the mesh.
type HostResolver interface {
	LookupHost(ctx context.Context, host string) ([]netip.Addr, error)
}

// GatewayFinder is an optional power of a Network: by which IPv4 router packets to the world leave this host, and which
// address of the host it sees. Both are invalid where no router stands in between.
type GatewayFinder interface {
	Gateway() (router, local netip.Addr, err error)
}
