package quic

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// The application protocols (ALPN) spoken here. They carry the version of everything above QUIC.
const (
	ALPN     = "micro-net/1"      // between members
	ALPNJoin = "micro-net-join/1" // between a guest and a member
)

// DefaultIdle is how long a connection without streams is kept.
const DefaultIdle = 60 * time.Second

// Config says what a Tunnel is made of.
type Config struct {
	Env    micronet.Env
	Self   micronet.NodeID // this node
	Socket Socket
	TLS    TLS
	Guest  Guest         // nil: nobody can join through this node
	Idle   time.Duration // a connection without streams is closed after it; 0: DefaultIdle, less than 10 s counts as 10 s

	// ResetKey lets a peer notice that this node has restarted when it sends it anything larger
	// than a keep-alive (stateless reset, RFC 9000 section 10.3). It is secret and the same at
	// every start; nil: peers notice within 3 s.
	ResetKey *[32]byte
}

// Socket is the node's UDP socket as QUIC sees it: addresses of known peers are identity
// addresses. *tunnel.Underlay is one.
type Socket interface {
	// QUIC returns the connection that carries QUIC packets. It is not closed by the Tunnel.
	QUIC() net.PacketConn
	// IdentityOf tells which peer an address of that connection stands for.
	IdentityOf(addr net.Addr) (micronet.NodeID, bool)
	// Path tells how packets to a peer travel now.
	Path(peer micronet.NodeID) (tunnel.PathInfo, bool)
}

// TLS makes the TLS side of connections between members. It is asked for every handshake, so
// that renewed certificates are used at once. ALPN, version and session tickets are set here.
type TLS interface {
	// Client returns what a connection to a peer is dialled with.
	Client(to micronet.NodeID) *tls.Config
	// Server returns what peers are answered with; nil while this node is no member yet.
	Server() *tls.Config
	// PeerID reads who is at the other end from a finished handshake.
	PeerID(state tls.ConnectionState) (micronet.NodeID, error)
}

// Guest serves those who are not members yet.
type Guest interface {
	// JoinServer returns what guests are answered with; nil: no guests now.
	JoinServer() *tls.Config
	// Serve talks to one guest. The connection ends when it returns, or ctx does, which is
	// GuestTime after the guest came at the latest.
	Serve(ctx context.Context, guest GuestConn)
}

// GuestConn is the one stream between a guest and a member.
type GuestConn interface {
	net.Conn
	CloseWrite() error
	// Exporter derives n bytes that only the two ends of this connection know (RFC 9266's use
	// of TLS exporters), to bind a secret to it.
	Exporter(label string, context []byte, n int) ([]byte, error)
}
