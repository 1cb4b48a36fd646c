package quic

import (
	"net"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// ALPN is the application protocol of members. It carries the version of everything above QUIC. Guests speak
// tunnel.ALPNJoin.
const ALPN = "micro-net/1"

// DefaultIdle is how long a connection without streams is kept.
const DefaultIdle = 60 * time.Second

// Config says what a Tunnel is made of.
type Config struct {
	Env    micronet.Env
	Self   micronet.NodeID // this node
	Socket Socket
	TLS    tunnel.TLS    // ALPN, version and session tickets are set here
	Guest  tunnel.Guest  // nil: nobody can join through this node
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
