package micronet

import (
	"net/netip"
	"time"
)

// PathKind is how packets reach the node of a route.
type PathKind string

// The kinds of a path.
const (
	PathLocal   PathKind = "local"
	PathDirect  PathKind = "direct"
	PathRelay   PathKind = "relay"
	PathGateway PathKind = "gateway"
)

// TransportKind is what carries a stream.
type TransportKind string

// The transports of a route.
const (
	TransportNone TransportKind = "none"
	TransportQUIC TransportKind = "quic"
	TransportTCP  TransportKind = "tcp"
)

// RouteState tells whether a route takes new connections.
type RouteState string

// The states of a route.
const (
	RouteUp       RouteState = "up"
	RouteEjected  RouteState = "ejected"
	RouteDamped   RouteState = "damped"
	RouteDraining RouteState = "draining"
	RouteWithheld RouteState = "withheld" // nobody is led there: its node was not granted the name
)

// Route is one way to one instance.
type Route struct {
	Instance  Instance
	Node      NodeID
	NodeName  string
	Cluster   string
	Path      PathKind
	Transport TransportKind
	RTT       time.Duration // round trip of the path, 0 when not known
	Relay     NodeID        // of a relayed path
}

// Key names the instance of a route in the whole mesh.
func (r *Route) Key() InstanceKey { return InstanceKey{Node: r.Node, ID: r.Instance.ID} }

// InstanceKey names an instance in the whole mesh: ids are unique at one node only.
type InstanceKey struct {
	Node NodeID
	ID   string
}

// Caller is who asks for a connection, as its own node attests it.
type Caller struct {
	Node    NodeID
	Name    string         // the node's name
	Service string         // the calling service, "" when the node does not know it
	Addr    netip.AddrPort // the program's address, zero when there is none
	Dialled netip.AddrPort // what the program has connected to, zero as above
	PID     int            // of the program, where its address does not tell; 0 when it is not known

	Attested bool   // the node has looked which service it is, and Service is what it found
	Trace    string // W3C traceparent, "" when there is none
}
