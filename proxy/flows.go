package proxy

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// maxTotals bounds the destinations that are counted apart. Those beyond it are counted together
// under the zero Destination.
const maxTotals = 4_096

// Total is what was carried for one destination.
type Total struct {
	Dest           micronet.Destination
	Active         int    // open now
	Opened         uint64 // ever
	Sent, Received uint64 // bytes of connections that have ended; sent is towards the instance
}

// Flows knows all connections that are being carried, so that they can be counted, drained and
// cut. All methods may be called from several goroutines.
type Flows struct {
	events *micronet.Events

	mu     sync.Mutex
	live   map[*flow]struct{}
	totals map[micronet.Destination]*Total
	empty  chan struct{} // closed when live becomes empty; nil when nobody waits
}

// flow is one connection, from the moment it was asked for.
type flow struct {
	flows  *Flows
	abort  func()
	began  time.Time
	caller micronet.Caller

	// guarded by flows.mu
	dest  micronet.Destination
	inst  *micronet.Instance
	route micronet.InstanceKey
	path  micronet.PathKind
	peer  micronet.NodeID // the node at the other end: of the instance, or of the caller
	ended bool
	// refused: a guard was asked again, and said no.
	refused bool
}

// NewFlows returns an empty registry that reports ended flows to Events.FlowEnded.
func NewFlows(events *micronet.Events) *Flows {
	if events == nil {
		events = &micronet.Events{}
	}
	events.EnsureDefaults()
	return &Flows{
		events: events,
		live:   make(map[*flow]struct{}),
		totals: make(map[micronet.Destination]*Total),
	}
}

// flow returns a flow that is not registered yet. abort resets it and must not block.
func (f *Flows) flow(now time.Time, dest micronet.Destination, r *micronet.Route, caller micronet.Caller, abort func()) *flow {
	return &flow{flows: f, abort: abort, began: now, caller: caller, dest: dest, inst: &r.Instance, route: r.Key(), path: r.Path, peer: r.Node}
}

// begin registers the flow.
func (fl *flow) begin() {
	f := fl.flows
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live[fl] = struct{}{}
	t := f.totalLocked(fl.dest)
	t.Active++
	t.Opened++
}

// reroute says that the flow takes another route.
func (fl *flow) reroute(r *micronet.Route) {
	fl.flows.mu.Lock()
	defer fl.flows.mu.Unlock()
	fl.inst, fl.route, fl.path, fl.peer = &r.Instance, r.Key(), r.Path, r.Node
}

// end removes the flow and reports it. Only the first call counts.
func (fl *flow) end(now time.Time, sent, received int64, err error) {
	f := fl.flows
	f.mu.Lock()
	if fl.ended {
		f.mu.Unlock()
		return
	}
	fl.ended = true
	delete(f.live, fl)
	t := f.totalLocked(fl.dest)
	t.Active--
	t.Sent += uint64(max(sent, 0))
	t.Received += uint64(max(received, 0))
	if len(f.live) == 0 && f.empty != nil {
		close(f.empty)
		f.empty = nil
	}
	report := micronet.Flow{
		Dest: fl.dest, Route: fl.route, Path: fl.path,
		Sent: sent, Received: received, Lasted: now.Sub(fl.began), Err: err,
	}
	f.mu.Unlock()
	f.events.FlowEnded(report)
}

func (f *Flows) totalLocked(dest micronet.Destination) *Total {
	t := f.totals[dest]
	if t == nil && len(f.totals) >= maxTotals {
		dest = micronet.Destination{}
		t = f.totals[dest]
	}
	if t == nil {
		t = &Total{Dest: dest}
		f.totals[dest] = t
	}
	return t
}

// Active returns how many connections are open.
func (f *Flows) Active() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.live)
}

// Totals returns what was carried per destination, sorted.
func (f *Flows) Totals() []Total {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Total, 0, len(f.totals))
	for _, t := range f.totals {
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b Total) int { return strings.Compare(a.Dest.String(), b.Dest.String()) })
	return out
}

// Drain waits until all connections have ended by themselves, and resets what is left when ctx
// ends. It returns how many were reset. Listeners are stopped first: Drain does not refuse new ones.
func (f *Flows) Drain(ctx context.Context) int {
	select {
	case <-f.whenEmpty():
		return 0
	case <-ctx.Done():
		return f.cut(func(*flow) bool { return true })
	}
}

// CloseNode resets all connections to and from a node, and returns how many there were.
func (f *Flows) CloseNode(id micronet.NodeID) int {
	return f.cut(func(fl *flow) bool { return fl.peer == id })
}

// CloseRefused asks a guard about the connections that are there: Admit about those to instances of a node, and
// Allows about those from its programs to others. It resets what is refused, each once, and returns how many
// that were. The guard is asked about the oldest first, and under no lock.
func (f *Flows) CloseRefused(self micronet.NodeID, g Guard) int {
	cut := 0
	for _, s := range f.subjects(self) {
		ask := g.Allows
		if s.here {
			ask = g.Admit
		}
		if ask(s.caller, s.inst) != nil {
			f.refuse(s.flow)
			cut++
		}
	}
	return cut
}

// subject is a flow that a guard is asked about.
type subject struct {
	flow   *flow
	caller micronet.Caller
	inst   *micronet.Instance
	here   bool // it leads to this node
}

// subjects lists the flows to and from a node that were not refused before, the oldest first.
func (f *Flows) subjects(self micronet.NodeID) (out []subject) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fl := range slices.SortedFunc(maps.Keys(f.live), func(a, b *flow) int { return a.began.Compare(b.began) }) {
		here := fl.route.Node == self
		if !fl.refused && (here || fl.caller.Node == self) {
			out = append(out, subject{fl, fl.caller, fl.inst, here})
		}
	}
	return out
}

// refuse resets a flow that may be in the list for a while yet.
func (f *Flows) refuse(fl *flow) {
	f.mu.Lock()
	fl.refused = true
	f.mu.Unlock()
	fl.abort()
}

func (f *Flows) whenEmpty() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.empty == nil {
		f.empty = make(chan struct{})
	}
	if len(f.live) > 0 {
		return f.empty
	}
	done := f.empty
	close(done)
	f.empty = nil
	return done
}

// choose lists flows in any order.
func (f *Flows) choose(chosen func(*flow) bool) []*flow {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Collect(maps.Keys(f.live))
	return slices.DeleteFunc(all, func(fl *flow) bool { return !chosen(fl) })
}

// cut resets the chosen flows, outside the lock, as ending them takes it. The order reaches no wire:
// each is a connection of its own.
func (f *Flows) cut(chosen func(*flow) bool) int {
	all := f.choose(chosen)
	slices.SortFunc(all, func(a, b *flow) int { return a.began.Compare(b.began) })
	for _, fl := range all {
		fl.abort()
	}
	return len(all)
}
