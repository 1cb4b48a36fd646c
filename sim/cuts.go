package sim

import (
	"time"

	"github.com/micro/micro-net/sim/scenario"
)

// cutOf makes the cut that a step of the timeline means.
func (m *mesh) cutOf(a scenario.Action) *cut {
	switch a := a.(type) {
	case scenario.Partition:
		return m.partition(a)
	case scenario.Isolate:
		alone := set(m.selected(a.Nodes))
		return &cut{blocks: func(x, y *machine) bool { return alone[x] || alone[y] }}
	case scenario.Apart:
		return between(set(m.selected(a.A)), set(m.selected(a.B)))
	case scenario.Bridge:
		return m.bridge(a)
	case scenario.Ring:
		return ring(m.selected(a.Nodes))
	case scenario.OneWay:
		from, to := set(m.selected(a.From)), set(m.selected(a.To))
		return &cut{blocks: func(x, y *machine) bool { return from[x] && to[y] }}
	}
	return &cut{blocks: func(_, _ *machine) bool { return false }}
}

// partition: who is on no side is with the others who are not. Where sides overlap the first wins.
func (m *mesh) partition(a scenario.Partition) *cut {
	side := map[*machine]int{}
	for i, s := range a.Sides {
		for _, x := range m.selected(s) {
			if side[x] == 0 {
				side[x] = i + 1
			}
		}
	}
	return &cut{side: true, blocks: func(x, y *machine) bool { return side[x] != side[y] }}
}

// between cuts two sets from each other. Who is in both reaches everybody.
func between(a, b map[*machine]bool) *cut {
	only := func(x *machine, in, out map[*machine]bool) bool { return in[x] && !out[x] }
	return &cut{blocks: func(x, y *machine) bool {
		return (only(x, a, b) && only(y, b, a)) || (only(x, b, a) && only(y, a, b))
	}}
}

func (m *mesh) bridge(a scenario.Bridge) *cut {
	over, one, two := set(m.selected(a.Over)), set(m.selected(a.A)), set(m.selected(a.B))
	cut := between(one, two)
	blocks := cut.blocks
	cut.blocks = func(x, y *machine) bool { return !over[x] && !over[y] && blocks(x, y) }
	return cut
}

// ring lets each of the machines reach its neighbours alone, of those in the ring.
func ring(list []*machine) *cut {
	at := map[*machine]int{}
	for i, x := range list {
		at[x] = i
	}
	return &cut{blocks: func(x, y *machine) bool {
		i, in := at[x]
		j, too := at[y]
		d := (i - j + len(list)) % max(1, len(list))
		return in && too && d != 1 && d != len(list)-1
	}}
}

// flap cuts and joins, at a rate, until it is taken back.
func (m *mesh) flap(a scenario.Flap) (undo func()) {
	c := between(set(m.selected(a.A)), set(m.selected(a.B)))
	half := time.Duration(float64(time.Second) / a.Rate / 2)
	over, join := false, func() {}
	var down, up func()
	down = func() {
		if !over {
			join = m.faults.add(c)
			m.agenda.put(m.now()+half, up)
		}
	}
	up = func() {
		join()
		if !over {
			m.agenda.put(m.now()+half, down)
		}
	}
	down()
	return func() { over = true; join() }
}

func (m *mesh) setNetwork(a scenario.SetNetwork) (undo func()) {
	before := m.faults.network
	m.faults.network = a.Link.Over(before)
	m.faults.apply()
	return func() {
		m.faults.network = before
		m.faults.apply()
	}
}
