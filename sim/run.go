package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

// graceTime is what libraries may take to end their goroutines.
const graceTime = 30 * time.Second

// Options say how a scenario is run.
type Options struct {
	Seed    uint64
	Command string // that repeats the run, for the report
	// Progress, when set, is told the virtual time and the steps of packets about once a virtual
	// second. It must not block.
	Progress func(virtual time.Duration, steps uint64)
	// Program, when set, is code of yours that embeds a node: it runs beside each node, whenever that
	// starts, and has to end soon after ctx, which ends with the node. It may use n as it would in
	// production, and package time, whose time is the simulation's; what it asks of the operating system
	// is outside of virtual time. An error before ctx has ended fails the run.
	Program func(ctx context.Context, name string, n *node.Node) error
}

// Run runs a scenario as a part of a test: what did not hold fails t, with the seed that repeats it.
func Run(t testing.TB, s *scenario.Scenario, o Options) *report.Run {
	t.Helper()
	r, err := Simulate(s, o)
	if err != nil {
		t.Errorf("%s, seed %d: %v", s.Name, o.Seed, err)
		return r
	}
	for _, f := range r.Failures {
		t.Errorf("%s, seed %d: %v %s %s: %s", s.Name, o.Seed, f.At, f.Node, f.Invariant, f.Text)
	}
	for _, e := range r.Expectations {
		if !e.Held {
			t.Errorf("%s, seed %d: %s: %s", s.Name, o.Seed, e.Text, e.Measured)
		}
	}
	return r
}

// Simulate runs a scenario once. What did not hold is in the result; the error says that the run itself
// could not be done: virtual time stood still, or goroutines were left over.
func Simulate(s *scenario.Scenario, o Options) (*report.Run, error) {
	if err := Check(s); err != nil {
		return nil, err
	}
	began := time.Now()
	beExact(o.Seed)
	var r *report.Run
	err := Bubble(func() { r = simulate(s, o) })
	if r == nil {
		return nil, err
	}
	r.Wall = time.Since(began)
	return r, err
}

// Check tells whether a scenario can be run: with fidelity gossip nobody can call anybody. The error is
// Invalid.
func Check(s *scenario.Scenario) error {
	if s.Fidelity != scenario.Gossip {
		return nil
	}
	refuse := func(what string) error {
		return micronet.E("sim", micronet.Invalid, "%s: fidelity gossip has no %s", s.File, what).WithFix("leave fidelity out: whole nodes are run")
	}
	if len(s.Traffic) > 0 {
		return refuse("traffic: its nodes have neither DNS nor proxy")
	}
	for i := range s.Groups {
		if s.Groups[i].NAT.Kind != scenario.NoNAT || s.Groups[i].Firewall {
			return refuse("NATs and firewalls: its streams find no way through them")
		}
	}
	return nil
}

// simulate runs inside the bubble.
func simulate(s *scenario.Scenario, o Options) *report.Run {
	m := newMesh(s, o.Seed)
	m.program = o.Program
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := m.world.Run(ctx); err != nil {
			m.recorder.add("", "error", "", err.Error())
		}
	}()
	routersEnd := m.startRouters(ctx)
	if o.Progress != nil {
		m.progress(o.Progress)
	}
	if Exact {
		m.collect()
	}
	if err := m.begin(); err != nil {
		m.fail("", "start", err.Error())
	} else {
		m.run()
		m.judgeAll()
		m.judgePrograms()
	}
	r := m.result(o)
	m.end()
	time.Sleep(graceTime)
	cancel()
	routersEnd()
	<-done
	return r
}

// judgePrograms fails the run for what the user's programs told.
func (m *mesh) judgePrograms() {
	m.mu.Lock()
	broken := m.broken
	m.mu.Unlock()
	for _, f := range broken {
		m.fail(f.node, f.invariant, fmt.Sprintf("at %v: %s", f.at, f.text))
	}
}

// collectEvery is how often garbage is collected in an exact run.
const collectEvery = time.Second

// collect collects garbage at fixed moments, when nobody runs: its workers take turns from the nodes.
func (m *mesh) collect() {
	var again func()
	again = func() {
		synctest.Wait()
		runtime.GC()
		m.agenda.put(m.now()+collectEvery, again)
	}
	m.agenda.put(m.now(), again)
}

// progress tells once a virtual second how far the run is.
func (m *mesh) progress(tell func(time.Duration, uint64)) {
	var again func()
	again = func() {
		tell(m.now(), m.observer.traffic.count())
		m.agenda.put(m.now()+time.Second, again)
	}
	m.agenda.put(m.now(), again)
}

// result is the run as it is reported.
func (m *mesh) result(o Options) *report.Run {
	r := &report.Run{
		Scenario: m.scenario.Name, About: m.scenario.About, Seed: o.Seed, Fidelity: string(m.scenario.Fidelity), Command: o.Command,
		Nodes: len(m.scenario.Nodes()), Virtual: m.now(), Events: m.observer.traffic.count(), Hash: m.observer.traffic.sum(), Passed: len(m.failures) == 0,
		Expectations: m.expectations(), Times: m.times(), Faults: m.spans, Samples: m.observer.samples, Traffic: m.traffic.report(),
		Topology: m.topology(), PerNode: m.perNode(), Log: m.recorder.last(), States: m.states(),
	}
	for _, f := range m.failures {
		r.Failures = append(r.Failures, report.Failure{At: f.at, Node: f.node, Invariant: f.invariant, Text: f.text})
	}
	return r
}

func (m *mesh) topology() report.Topology {
	var t report.Topology
	for _, x := range m.machines {
		t.Nodes = append(t.Nodes, report.TopologyNode{Name: x.name, Group: x.group})
	}
	for i, x := range m.machines {
		for _, y := range m.machines[i+1:] {
			state := report.EdgeDirect
			if !m.faults.hear(x, y) {
				state = report.EdgeDown
			}
			t.Edges = append(t.Edges, report.Edge{A: x.name, B: y.name, State: state})
		}
	}
	return t
}

func (m *mesh) perNode() []report.NodeStat {
	var out []report.NodeStat
	for _, x := range m.machines {
		u := m.observer.traffic.usage(x.name)
		n := report.NodeStat{
			Name: x.name, GossipBytes: float64(u.gossip) / max(m.now().Seconds(), 1), Sent: u.sent, Received: u.received, Dropped: u.dropped,
		}
		if s, ok := x.snapshot(); ok {
			n.Members, n.Records = len(s.Nodes), len(s.Documents)
		}
		out = append(out, n)
	}
	return out
}

// states are what the nodes believe at the end.
func (m *mesh) states() []report.NodeState {
	var out []report.NodeState
	for _, x := range m.machines {
		s, ok := x.snapshot()
		if !ok {
			continue
		}
		believed := map[string]string{}
		for i := range s.Nodes {
			believed[m.nameOf(s.Nodes[i].ID)+" "+s.Nodes[i].ID.Short()] = string(s.Nodes[i].Status)
		}
		text, err := json.MarshalIndent(map[string]any{"catalog": fmt.Sprintf("%x", s.Catalog[:8]), "nodes": believed, "drops": m.recorder.dropsOf(x.name)}, "", "  ")
		if err != nil {
			text = []byte(err.Error())
		}
		out = append(out, report.NodeState{Name: x.name, Text: string(text)})
	}
	return out
}
