package sim

import (
	"fmt"
	"time"

	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

// perform does one step of the timeline, and plans to take it back.
func (m *mesh) perform(step *scenario.Step) {
	span := report.Span{From: m.now(), Kind: step.Action.Verb(), Label: label(step.Action)}
	undo := m.act(step)
	switch {
	case step.For > 0:
		span.To = span.From + step.For
	case instant(step.Action):
		span.To = span.From
	}
	m.spans = append(m.spans, span)
	m.recorder.add("", span.Kind, "", span.Label)
	if _, heals := step.Action.(scenario.Heal); heals {
		m.closeSpans()
	}
	if step.For > 0 && undo != nil {
		m.agenda.put(m.now()+step.For, func() {
			m.recorder.add("", "end of "+span.Kind, "", span.Label)
			undo()
		})
	}
}

// act does what a step says and returns what takes it back, nil when nothing does.
func (m *mesh) act(step *scenario.Step) (undo func()) {
	switch a := step.Action.(type) {
	case scenario.Partition, scenario.Isolate, scenario.Apart, scenario.Bridge, scenario.Ring, scenario.OneWay:
		return m.faults.add(m.cutOf(a))
	case scenario.Flap:
		return m.flap(a)
	case scenario.UDPBlocked:
		return m.faults.blockUDP(m.selected(a.Nodes))
	case scenario.SetLink:
		return m.faults.change(m.linkChange(&a.LinkRule))
	case scenario.SetNetwork:
		return m.setNetwork(a)
	case scenario.Heal:
		m.faults.heal(a.What)
	case scenario.Register, scenario.Deregister, scenario.Grant, scenario.Churn, scenario.Policy:
		return m.actOnServices(step)
	default:
		return m.actOnNodes(step)
	}
	return nil
}

// actOnServices does what a step says about services.
func (m *mesh) actOnServices(step *scenario.Step) (undo func()) {
	switch a := step.Action.(type) {
	case scenario.Register:
		return m.registerOn(a.Service, m.selected(a.On))
	case scenario.Deregister:
		return m.deregisterOn(a.Service, m.selected(a.On))
	case scenario.Grant:
		return m.grantOn(a.Service, m.selected(a.On))
	case scenario.Churn:
		m.churn(a, m.now()+step.For)
	case scenario.Policy:
		return m.rule(a)
	}
	return nil
}

// actOnNodes does what a step says about nodes.
func (m *mesh) actOnNodes(step *scenario.Step) (undo func()) {
	switch a := step.Action.(type) {
	case scenario.Start:
		each(m.selected(a.Nodes), m.start)
	case scenario.Stop:
		return m.takeDown(m.selected(a.Nodes), m.stop, a)
	case scenario.Kill:
		return m.takeDown(m.selected(a.Nodes), m.kill, a)
	case scenario.Restart:
		m.restartAll(a)
	case scenario.Join:
		m.join(a)
	case scenario.Clone:
		m.clone(a)
	case scenario.Revoke:
		m.revoke(a)
	case scenario.Insider:
		return m.forge(a)
	default:
		return m.actOnAuthorities(step)
	}
	return nil
}

// actOnHosts does what a step says about what nodes run on.
func (m *mesh) actOnHosts(step *scenario.Step) (undo func()) {
	switch a := step.Action.(type) {
	case scenario.Stall:
		return m.stall(a, step.For)
	case scenario.Slow:
		return m.slow(a)
	case scenario.Clock:
		return m.setClocks(a)
	case scenario.Disk:
		return m.breakDisks(a)
	case scenario.Snapshot:
		m.remember(m.selected(a.Nodes))
	case scenario.Address:
		each(m.selected(a.Nodes), m.move)
	case scenario.Rebind:
		m.rebind(a.Group)
	default:
		m.fail("", "scenario", fmt.Sprintf("line %d: the simulator cannot do %q yet", step.Line, step.Action.Verb()))
	}
	return nil
}

func each(list []*machine, do func(*machine)) {
	for _, x := range list {
		do(x)
	}
}

// takeDown takes machines down and returns what starts them again.
func (m *mesh) takeDown(list []*machine, down func(*machine), a scenario.Action) (undo func()) {
	each(list, func(x *machine) {
		down(x)
		m.depart(x, a.Verb())
	})
	return func() { each(list, m.start) }
}

// restartAll restarts machines, spread over a time.
func (m *mesh) restartAll(a scenario.Restart) {
	list := m.selected(a.Nodes)
	for i, x := range list {
		at := m.now() + a.Within*time.Duration(i)/time.Duration(len(list))
		m.agenda.put(at, func() { m.restart(x, a.Disk) })
	}
}

// move gives a machine an address that nobody had before.
func (m *mesh) move(x *machine) {
	m.made.moved++
	if len(m.nats[x.group]) > 0 {
		x.host.SetAddrs(homeAddr(homeMachines + m.made.moved))
		return
	}
	x.host.SetAddrs(m.freshAddr(maxMachines + m.made.moved))
}

// maxMachines and homeMachines are the numbers above which addresses are given to hosts that move, in
// the open and behind a NAT.
const (
	maxMachines  = 100_000
	homeMachines = 10_000
)

// instant reports whether a step is over at once, unless it says how long it lasts.
func instant(a scenario.Action) bool {
	switch a.(type) {
	case scenario.Heal, scenario.Start, scenario.Stop, scenario.Kill, scenario.Restart, scenario.Snapshot, scenario.Clone,
		scenario.Join, scenario.Address, scenario.Rebind, scenario.Revoke, scenario.Register, scenario.Deregister, scenario.Grant,
		scenario.Promote, scenario.Demote, scenario.Rotate, scenario.Invite:
		return true
	}
	return false
}

// closeSpans ends the spans of faults that a heal took back.
func (m *mesh) closeSpans() {
	for i := range m.spans {
		if s := &m.spans[i]; s.To == 0 {
			s.To = m.now()
		}
	}
}
