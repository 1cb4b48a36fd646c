package proxy

import (
	"context"
	"fmt"
	"net"
	"time"

	micronet "github.com/micro/micro-net"
)

// Inbound is a stream that another node opened to an instance of this one. Exactly one of Accept
// and Refuse is called.
type Inbound interface {
	Stream
	From() micronet.NodeID
	Service() string  // the name asked for
	Instance() string // the instance that the caller's router chose, "" for any
	Caller() string   // the calling service, as the caller's node attests it
	Trace() string    // W3C traceparent
	Accept() error
	// Refuse answers with a kind and one sentence. Nothing that came along reached anybody.
	Refuse(kind micronet.Kind, reason string) error
}

// ReceiverConfig is what Receiver needs. Env, Self and Locals are required.
type ReceiverConfig struct {
	Env  micronet.Env
	Self micronet.NodeID
	// Locals lists the instances of a service at this node, in a stable order.
	Locals func(service string) []micronet.Instance
	Guard  Guard // nil: all may call
	// LocalFrom tells from which address an instance is dialled for a caller; nil: from any.
	LocalFrom LocalFrom
	Flows     *Flows // nil: one of its own
}

// Receiver serves streams of other nodes.
type Receiver struct {
	cfg    ReceiverConfig
	copier Copier
}

// NewReceiver returns a Receiver. It may serve at once.
func NewReceiver(cfg ReceiverConfig) *Receiver {
	cfg.Env = cfg.Env.EnsureDefaults()
	if cfg.Flows == nil {
		cfg.Flows = NewFlows(cfg.Env.Events)
	}
	if cfg.LocalFrom == nil {
		cfg.LocalFrom = fromAnywhere
	}
	if cfg.Guard == nil {
		cfg.Guard = open{}
	}
	return &Receiver{cfg: cfg}
}

// ServeInbound finds the instance, asks the guard, connects to it, accepts and copies until both
// sides are done or ctx ends. It returns why it refused, or the first fault of the copy.
//
// It refuses with NotFound when the instance cannot be had and with Refused when the caller may
// not, and with nothing else: those are the kinds by which the caller's Dialer knows that no byte
// reached a backend, so that it may go elsewhere.
func (r *Receiver) ServeInbound(ctx context.Context, in Inbound) error {
	caller := micronet.Caller{Node: in.From(), Service: in.Caller(), Trace: in.Trace()}
	inst, err := r.find(in.Service(), in.Instance())
	if err != nil {
		r.cfg.Env.Events.PacketDropped(micronet.PacketDrop{Where: "proxy", Why: "no-instance", Peer: caller.Node})
		return refuse(in, micronet.NotFound, err)
	}
	if err := r.cfg.Guard.Admit(caller, &inst); err != nil {
		return refuse(in, micronet.Refused, err)
	}
	backend, err := dialBackend(ctx, r.cfg.Env, r.cfg.LocalFrom(caller), inst.AddrPort())
	if err != nil {
		return refuse(in, micronet.NotFound, fmt.Errorf("%s at %s does not answer: %w", inst.Service, inst.AddrPort(), err))
	}
	if err := in.Accept(); err != nil {
		abort(backend)
		in.Abort()
		return micronet.E("proxy.inbound", micronet.Unreachable, "accept a stream: %w", err).WithPeer(caller.Node)
	}
	return r.carry(ctx, in, backend, caller, &inst)
}

func (r *Receiver) carry(ctx context.Context, in Inbound, backend net.Conn, caller micronet.Caller, inst *micronet.Instance) error {
	both := func() {
		in.Abort()
		abort(backend)
	}
	stop := context.AfterFunc(ctx, both)
	defer stop()
	// The path is the caller's choice and not known here; its absence marks inbound flows.
	route := micronet.Route{Instance: *inst, Node: r.cfg.Self}
	fl := r.cfg.Flows.flow(time.Now(), micronet.Destination{Service: inst.Service}, &route, caller, both)
	fl.peer = caller.Node
	fl.begin()
	if r.cfg.Guard.Allows(caller, inst) != nil {
		both() // policies changed while the instance was dialled: nobody who looked for flows saw this one
	}
	done := r.copier.Pump(in, backend)
	fl.end(time.Now(), done.AToB, done.BToA, done.Err)
	return done.Err
}

// find returns the wanted instance, or the first one of the service that serves.
func (r *Receiver) find(service, id string) (micronet.Instance, error) {
	all := r.cfg.Locals(service)
	first := -1
	for i := range all {
		serving := all[i].Health.Serving() && all[i].Protocol != micronet.UDP
		if serving && all[i].ID == id {
			return all[i], nil
		}
		if serving && first < 0 {
			first = i
		}
	}
	switch {
	case first >= 0:
		return all[first], nil
	case len(all) > 0:
		return micronet.Instance{}, fmt.Errorf("no instance of %q serves at this node now", service)
	}
	return micronet.Instance{}, fmt.Errorf("%q has no instance at this node", service)
}

// refuse answers and returns the reason.
func refuse(in Inbound, kind micronet.Kind, reason error) error {
	err := micronet.E("proxy.inbound", kind, "%w", reason).WithPeer(in.From())
	if rerr := in.Refuse(kind, reason.Error()); rerr != nil {
		in.Abort()
	}
	return err
}
