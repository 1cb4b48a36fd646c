package api

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// Status is this node in one screen.
type Status struct {
	Node        StatusNode  `json:"node"`
	Ready       bool        `json:"ready"`
	Listeners   Listeners   `json:"listeners"`
	PortMapping PortMapping `json:"port_mapping"`
	Nodes       NodeCounts  `json:"nodes"`
	Services    int         `json:"services"`
	Certificate Certificate `json:"certificate"`
	Warnings    []Warning   `json:"warnings"`
}

// StatusNode is who this node is.
type StatusNode struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	Version string `json:"version"`
	Address string `json:"address"`
	// Status is alive, or revoked: then all others refuse this node for good.
	Status micronet.NodeStatus `json:"status"`
	Roles  []string            `json:"roles"` // as in Node
}

// Listeners are the addresses that were taken; "off" for one that is switched off.
type Listeners struct {
	Mesh string `json:"mesh"`
	TCP  string `json:"tcp"` // of the mesh, for those whose UDP is blocked: an address, "off", "taken" when others have its port, or "failed"
	// TCPReason says, in words, why the TCP port could not be had; "" otherwise.
	TCPReason string `json:"tcp_reason"`
	API       string `json:"api"`
	Socket    string `json:"socket"`
	DNS       string `json:"dns"`
	Proxy     string `json:"proxy"`
	VIPs      string `json:"vips"` // "capture", "bound" or "off"
}

// What stands for the address of a listener that there is not, though it was not switched off.
const (
	PortTaken  = "taken"  // others have its port
	PortFailed = "failed" // for any other reason
)

// PortMapping is what the router of this host's network lets in for it.
type PortMapping struct {
	// State is "off"; "none" where no router is to be asked, for a reason; "asking"; "granted"; "silent" when the router knows none
	// of PCP, NAT-PMP and UPnP; "refused" for a reason; or "unusable" when the router's own address leads nowhere.
	State    string    `json:"state"`
	Router   string    `json:"router,omitempty"`
	Protocol string    `json:"protocol,omitempty"`
	Address  string    `json:"address,omitempty"` // outside, with the port when it is granted
	Until    time.Time `json:"until,omitzero"`    // it is renewed long before
	Reason   string    `json:"reason,omitempty"`
}

// The states of a PortMapping that need no router; the others are those of package portmap.
const (
	PortMapOff  = "off"
	PortMapNone = "none"
)

// NodeCounts counts the nodes of the cluster by status, this one included.
type NodeCounts struct {
	Alive   int `json:"alive"`
	Suspect int `json:"suspect"`
	Dead    int `json:"dead"`
	Revoked int `json:"revoked"` // keys, ever
}

// Certificate tells when this node's certificate ends.
type Certificate struct {
	Expires time.Time `json:"expires"`
}

// Warning is something the user should know, with the remedy.
type Warning struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Fix  string `json:"fix"`
}

// The roles of a node, as far as it has shown them here.
const (
	RoleRoot      = "root"      // has the cluster's root key
	RoleRelay     = "relay"     // forwards the packets of nodes that cannot reach each other
	RoleAuthority = "authority" // signs for the cluster
)

// Node is one daemon of the mesh.
type Node struct {
	ID      string              `json:"id"`
	Name    string              `json:"name"`
	Cluster string              `json:"cluster"`
	Status  micronet.NodeStatus `json:"status"`
	Address string              `json:"address"`
	Version string              `json:"version"`
	RTTMs   float64             `json:"rtt_ms"`
	AgeMs   int64               `json:"age_ms"`
	Gateway bool                `json:"gateway"`
	Roles   []string            `json:"roles"` // RoleRoot, RoleAuthority, RoleRelay
	Self    bool                `json:"self"`
	Reason  string              `json:"reason"` // why others refuse it: its key was revoked, or its certificate does not count; "": they do not
}

// Service is a name and the instances behind it.
type Service struct {
	Name      string     `json:"name"`
	Protocol  string     `json:"protocol"`
	VIP       string     `json:"vip"`
	DNS       string     `json:"dns"`
	Ports     []int      `json:"ports"`
	Tags      []string   `json:"tags"`
	Instances []Instance `json:"instances"`
	// FirstHolder is the node that has offered the service longest as far as this daemon has seen; "" when
	// that cannot be told.
	FirstHolder string `json:"first_holder"`
}

// Instance is one running copy of a service.
type Instance struct {
	ID      string            `json:"id"`
	Node    string            `json:"node"`
	Cluster string            `json:"cluster"`
	Address string            `json:"address"`
	Port    int               `json:"port"`
	Tags    []string          `json:"tags"`
	Meta    map[string]string `json:"meta"`
	Weight  int               `json:"weight"`
	Health  micronet.Health   `json:"health"`
	AgeMs   int64             `json:"age_ms"`
	// HeldMs is how long this daemon has seen the node offer the service.
	HeldMs int64 `json:"held_ms"`
	// Withheld says why nobody is led to the instance although its node offers it, "" when callers are.
	Withheld string `json:"withheld"`
}

// Route is one way to one instance.
type Route struct {
	Service   string                 `json:"service"`
	Instance  string                 `json:"instance"`
	Node      string                 `json:"node"`
	Cluster   string                 `json:"cluster"`
	Via       []string               `json:"via"`
	Path      micronet.PathKind      `json:"path"`
	Transport micronet.TransportKind `json:"transport"`
	Metric    int64                  `json:"metric"`
	RTTMs     float64                `json:"rtt_ms"`
	Weight    int                    `json:"weight"`
	State     micronet.RouteState    `json:"state"`
	Reason    string                 `json:"reason"`
}

// Connection is the tunnel to one peer.
type Connection struct {
	Node          string                 `json:"node"`
	ID            string                 `json:"id"`
	Cluster       string                 `json:"cluster"`
	Path          micronet.PathKind      `json:"path"`
	Transport     micronet.TransportKind `json:"transport"`
	Remote        string                 `json:"remote"`
	Relay         string                 `json:"relay,omitempty"` // whose address that is, on a relayed path
	RTTMs         float64                `json:"rtt_ms"`
	Loss          float64                `json:"loss"`
	MTU           int                    `json:"mtu"`
	Streams       int                    `json:"streams"`
	Lanes         int                    `json:"lanes,omitempty"` // of how many lanes this is the sum
	SentBytes     uint64                 `json:"sent_bytes"`
	ReceivedBytes uint64                 `json:"received_bytes"`
	Since         time.Time              `json:"since"`
}

// Graph is who can reach whom, as seen from this node.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// Edge is one path between two nodes, by name.
type Edge struct {
	From  string            `json:"from"`
	To    string            `json:"to"`
	Path  micronet.PathKind `json:"path"`
	RTTMs float64           `json:"rtt_ms"`
}

// InviteRequest asks for a join token.
type InviteRequest struct {
	TTL       string   `json:"ttl,omitempty"`  // a Go duration, default 15m
	Uses      int      `json:"uses,omitempty"` // default 1
	Name      string   `json:"name,omitempty"` // binds the token to a node name
	Addresses []string `json:"addresses,omitempty"`
}

// Invitation is a join token and what a person should know of it.
type Invitation struct {
	Token     string    `json:"token"`
	Addresses []string  `json:"addresses"`
	Expires   time.Time `json:"expires"`
	Warning   string    `json:"warning"` // "" when others can reach at least one address as far as we can see
}

// JoinRequest moves a daemon that is alone into another cluster.
type JoinRequest struct {
	Token string `json:"token"`
}

// Registered tells the ids that a registration got.
type Registered struct {
	IDs      []string `json:"ids"`
	Replaced []string `json:"replaced"` // those of IDs that were there with other values
	Withheld []string `json:"withheld"` // sentences: what nobody is led to, and what to do
	Warnings []string `json:"warnings"` // sentences: what was probably not meant
}

// LeaveRequest says goodbye for good.
type LeaveRequest struct {
	Force bool `json:"force,omitempty"` // also as the last authority of other nodes
}

// Farewell is what became of a goodbye for good.
type Farewell struct {
	Warning string `json:"warning"` // "" when an authority has taken the name back
}

// Resolution is one DNS answer with its age.
type Resolution struct {
	Name    string           `json:"name"`
	Type    string           `json:"type"`
	Rcode   string           `json:"rcode"`
	Answers []ResolvedRecord `json:"answers"`
	Reason  string           `json:"reason"` // the extended error's text
	AgeMs   int64            `json:"age_ms"` // of the oldest record behind the answer
}

// ResolvedRecord is one resource record in presentation form.
type ResolvedRecord struct {
	Name string `json:"name"`
	Type string `json:"type"`
	TTL  int    `json:"ttl"`
	Data string `json:"data"`
}

// Pong is one round trip to a node.
type Pong struct {
	Node      string                 `json:"node"`
	ID        string                 `json:"id"`
	Remote    string                 `json:"remote"`
	Path      micronet.PathKind      `json:"path"`
	Relay     string                 `json:"relay,omitempty"` // whose address that is, on a relayed path
	Transport micronet.TransportKind `json:"transport"`
	RTTMs     float64                `json:"rtt_ms"`
}

// Trace is how packets get to a node, or to an instance of a service.
type Trace struct {
	Target string            `json:"target"`
	Node   string            `json:"node"`
	ID     string            `json:"id"`
	Path   micronet.PathKind `json:"path"` // "": no way is known that works
	RTTMs  float64           `json:"rtt_ms"`
	Hops   []Hop             `json:"hops"`
	Ways   []Way             `json:"ways"` // all that were tried, the one in use first
	Why    string            `json:"why"`  // the path is not direct, "" for a direct one
}

// Hop is one step of a Trace; RTTMs is the round trip from here.
type Hop struct {
	Kind    HopKind `json:"kind"`
	Name    string  `json:"name"`
	Address string  `json:"address"`
	RTTMs   float64 `json:"rtt_ms"`
}

// HopKind is what a hop is.
type HopKind string

// The kinds of a hop.
const (
	HopNode     HopKind = "node"
	HopRelay    HopKind = "relay"
	HopInstance HopKind = "instance"
)

// Way is one way to a node. Unanswered counts probes in a row.
type Way struct {
	Path       micronet.PathKind      `json:"path"`
	Relay      string                 `json:"relay,omitempty"`
	Remote     string                 `json:"remote"`
	Transport  micronet.TransportKind `json:"transport"`
	State      WayState               `json:"state"`
	RTTMs      float64                `json:"rtt_ms"`
	Unanswered int                    `json:"unanswered"`
}

// WayState is how a way is.
type WayState string

// The states of a way.
const (
	WayInUse   WayState = "in use"
	WayAnswers WayState = "answers"
	WaySilent  WayState = "silent"
	WayGrey    WayState = "grey" // it answers, and carries no data
)

// Clock is how far another node's wall clock is ahead of this host's, give or take WithinMs.
type Clock struct {
	Node     string  `json:"node"`
	ID       string  `json:"id"`
	OffsetMs float64 `json:"offset_ms"`
	WithinMs float64 `json:"within_ms"`
}

// Setting is one value of the local configuration and where it came from.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"`
	Origin string `json:"origin"` // "default", "file:PATH", "env:NAME", "flag"
}

// Problem is an error as RFC 9457 writes it, with the kind that decides the exit code.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Kind   string `json:"kind"`
	Op     string `json:"op,omitempty"`
	Fix    string `json:"fix,omitempty"`
}

// Reach is how this host and the others reach each other.
type Reach struct {
	NATs  []NAT       `json:"nats"` // one for each family that is in use
	Port  int         `json:"port"` // UDP, of the mesh
	Nodes []Reachable `json:"nodes"`
	// The sizes of the socket's buffers as the system tells them, in bytes; 0: it does not.
	ReceiveBuffer int `json:"receive_buffer"`
	SendBuffer    int `json:"send_buffer"`
}

// NAT is what is between this host and those outside of its network.
type NAT struct {
	Family string   `json:"family"` // "ipv4", "ipv6", "" where nobody has said anything
	Kind   NATKind  `json:"kind"`
	Seen   []string `json:"seen"`  // addresses at which they see this host
	Nodes  int      `json:"nodes"` // how many of them said so
}

// NATKind is what a NAT does with the ports of those behind it (RFC 4787, section 4.1).
type NATKind string

// The kinds of a NAT.
const (
	NATNone        NATKind = "none"                 // others see an address of this host's own
	NATIndependent NATKind = "endpoint-independent" // all outside see the same address and port
	NATDependent   NATKind = "endpoint-dependent"   // each sees another port (symmetric): nobody can be told which
	NATUnknown     NATKind = "unknown"              // fewer than two outside have answered
	NATBlocked     NATKind = "udp-blocked"          // UDP reaches nobody
)

// StrangerState is what became of packets that a node sent this host from a port that it had heard nothing from; "": it was
// not asked to, or could not.
type StrangerState string

// What became of them.
const (
	StrangerArrived StrangerState = "arrived"
	StrangerLost    StrangerState = "lost"
)

// Reachable is another node as this host reaches it, and is reached by it.
type Reachable struct {
	Node      string                 `json:"node"`
	ID        string                 `json:"id"`
	UDP       bool                   `json:"udp"`       // it answers over UDP, without a relay
	Path      micronet.PathKind      `json:"path"`      // that packets to it take now, "" for none
	Transport micronet.TransportKind `json:"transport"` // the same
	Relay     string                 `json:"relay,omitempty"`
	Remote    string                 `json:"remote"`
	Inside    bool                   `json:"inside"`  // it sees an address of this host's own
	Unasked   bool                   `json:"unasked"` // it has sent to this host first, and got in
	Stranger  StrangerState          `json:"stranger"`
	Carries   int                    `json:"carries"` // the largest packet that got through on a direct path, bytes of UDP payload; 0: not known
	Lost      int                    `json:"lost"`    // the next larger one that was tried and did not; 0: all got through
	Cut       bool                   `json:"cut"`     // large packets travel in two halves now
}
