package micronet

import (
	"net/netip"
	"time"
)

// Events is what a node did, as data. Logs, metrics and tests read the same stream. Every field
// may be nil before EnsureDefaults. The funcs are called synchronously from any goroutine: they
// must not block and must not call back into the component.
type Events struct {
	NodeChanged     func(NodeChange)
	PathChanged     func(PathChange)
	TunnelChanged   func(TunnelChange)
	PacketDropped   func(PacketDrop)
	RecordRefused   func(RecordRefusal)
	InstanceEjected func(Ejection)
	HealthChanged   func(HealthChange)
	FlowEnded       func(Flow)
	PolicyApplied   func(Judgement)
	Resolved        func(Resolution)
	BackgroundError func(op string, err error)
}

// NodeChange says that a node's status is another one now.
type NodeChange struct {
	Node     NodeID
	Name     string
	From, To NodeStatus
	Reason   string
}

// PathChange says that packets to a peer take another way now.
type PathChange struct {
	Peer     NodeID
	From, To netip.AddrPort // zero: no path
	Relay    NodeID         // over whom packets go now, zero: directly; To is then its identity address
	TCP      bool           // over a trunk
	RTT      time.Duration
	Reason   string
}

// TunnelChange says that a tunnel opened or closed.
type TunnelChange struct {
	Peer   NodeID
	Up     bool
	Reason string
}

// PacketDrop says that a packet, message or request was thrown away, and which rule did it. Where is
// "underlay", "gossip"…; Why is a short constant that serves as a metric label.
type PacketDrop struct {
	Where, Why string
	Peer       NodeID
}

// RecordRefusal says that a record of the catalog was not accepted.
type RecordRefusal struct {
	Owner  NodeID // zero when it may not be the owner's fault
	Reason string
}

// Ejection says that an instance gets no traffic for a while.
type Ejection struct {
	Key     InstanceKey
	Service string
	For     time.Duration
	Reason  string
}

// HealthChange says that a check changed the state of an instance of this node.
type HealthChange struct {
	Service, ID string
	From, To    Health
	Output      string
}

// Flow is one connection that the proxy carried, when it has ended.
type Flow struct {
	Dest           Destination
	Route          InstanceKey
	Path           PathKind
	Sent, Received int64
	Lasted         time.Duration
	Err            error
}

// Judgement says that a policy refused a connection to an instance of this node, or would have.
type Judgement struct {
	Caller  Caller
	Service string
	Rule    string // "" when no policy decided and the default refused it
	Audited bool   // an audit policy: the connection was let pass
}

// Resolution is one answered DNS question.
type Resolution struct {
	Name, Type, Rcode string
	Lasted            time.Duration
}

// EnsureDefaults makes every func callable.
func (e *Events) EnsureDefaults() {
	ensure(&e.NodeChanged)
	ensure(&e.PathChanged)
	ensure(&e.TunnelChanged)
	ensure(&e.PacketDropped)
	ensure(&e.RecordRefused)
	ensure(&e.InstanceEjected)
	ensure(&e.HealthChanged)
	ensure(&e.FlowEnded)
	ensure(&e.PolicyApplied)
	ensure(&e.Resolved)
	if e.BackgroundError == nil {
		e.BackgroundError = func(string, error) {}
	}
}

func ensure[T any](f *func(T)) {
	if *f == nil {
		*f = func(T) {}
	}
}

// Tee returns Events that tell both a and b.
func Tee(a, b *Events) *Events {
	a.EnsureDefaults()
	b.EnsureDefaults()
	return &Events{
		NodeChanged:     both(a.NodeChanged, b.NodeChanged),
		PathChanged:     both(a.PathChanged, b.PathChanged),
		TunnelChanged:   both(a.TunnelChanged, b.TunnelChanged),
		PacketDropped:   both(a.PacketDropped, b.PacketDropped),
		RecordRefused:   both(a.RecordRefused, b.RecordRefused),
		InstanceEjected: both(a.InstanceEjected, b.InstanceEjected),
		HealthChanged:   both(a.HealthChanged, b.HealthChanged),
		FlowEnded:       both(a.FlowEnded, b.FlowEnded),
		PolicyApplied:   both(a.PolicyApplied, b.PolicyApplied),
		Resolved:        both(a.Resolved, b.Resolved),
		BackgroundError: func(op string, err error) { a.BackgroundError(op, err); b.BackgroundError(op, err) },
	}
}

func both[T any](f, g func(T)) func(T) { return func(v T) { f(v); g(v) } }
