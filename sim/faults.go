package sim

import (
	"slices"

	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

// faults is what is wrong with the network now. Faults overlap, and each is taken back by itself:
// the network is always what the faults that are left make of it.
type faults struct {
	mesh    *mesh
	network scenario.Link // between nodes of which nothing else is said
	cuts    []*cut
	links   []*linkChange    // after those of the scenario's head
	fixed   []*linkChange    // the links of the scenario's head
	own     map[pair]bool    // paths that do not follow the default
	blocked [][]bool         // [from][to], of all cuts together
	muted   map[*machine]int // whose datagrams are blocked, by how many faults
}

// cut is one fault that lets packets between some nodes not pass.
type cut struct {
	side   bool // a Partition: a later one replaces it
	blocks func(from, to *machine) bool
}

// linkChange is a change of the paths between some nodes.
type linkChange struct {
	from, to map[*machine]bool
	both     bool
	link     scenario.Link
}

type pair struct{ from, to *machine }

func newFaults(m *mesh) *faults {
	f := &faults{mesh: m, network: m.scenario.Network, own: map[pair]bool{}, muted: map[*machine]int{}}
	for i := range m.scenario.Links {
		f.fixed = append(f.fixed, m.linkChange(&m.scenario.Links[i]))
	}
	return f
}

// add puts a cut into force and returns what takes it back.
func (f *faults) add(c *cut) (undo func()) {
	if c.side {
		f.cuts = slices.DeleteFunc(f.cuts, func(x *cut) bool { return x.side })
	}
	f.cuts = append(f.cuts, c)
	f.block()
	return func() {
		f.cuts = slices.DeleteFunc(f.cuts, func(x *cut) bool { return x == c })
		f.block()
	}
}

// change puts a change of links into force and returns what takes it back.
func (f *faults) change(c *linkChange) (undo func()) {
	f.links = append(f.links, c)
	f.apply()
	return func() {
		f.links = slices.DeleteFunc(f.links, func(x *linkChange) bool { return x == c })
		f.apply()
	}
}

// heal takes faults back.
func (f *faults) heal(what scenario.Healing) {
	if what != scenario.HealLinks {
		f.cuts = nil
		f.unmute()
		f.block()
	}
	if what != scenario.HealPartitions {
		f.links, f.network = nil, f.mesh.scenario.Network
		f.apply()
	}
}

// whole reports whether nothing keeps packets from passing.
func (f *faults) whole() bool { return len(f.cuts) == 0 && len(f.muted) == 0 }

// block works out what passes. It is asked for each packet, so the answer lies ready.
func (f *faults) block() {
	all := f.mesh.machines
	blocked := make([][]bool, len(all))
	for i, from := range all {
		blocked[i] = make([]bool, len(all))
		for j, to := range all {
			blocked[i][j] = i != j && slices.ContainsFunc(f.cuts, func(c *cut) bool { return c.blocks(from, to) })
		}
	}
	f.blocked = blocked
	byHost := make(map[*netsim.Host]int, len(all))
	for i, x := range all {
		byHost[x.host] = i
	}
	f.mesh.world.SetFilter(func(from, to *netsim.Host) bool {
		i, ours := byHost[from]
		j, too := byHost[to]
		return !ours || !too || !blocked[i][j] // devices are no machines
	})
	f.mesh.oracle.changed()
}

// hear reports whether packets pass between two machines both ways.
func (f *faults) hear(a, b *machine) bool {
	return !f.blocked[a.index][b.index] && !f.blocked[b.index][a.index] &&
		f.muted[a] == 0 && f.muted[b] == 0 && f.mesh.direct(a, b)
}

// apply sets every path to what the head of the scenario and the changes make of it. Only pairs of
// which more is said than the default get a link of their own.
func (f *faults) apply() {
	m := f.mesh
	m.world.SetDefaultLink(convert(f.network))
	rules := append(f.head(), f.links...)
	if len(rules) == 0 && len(f.own) == 0 {
		return
	}
	for _, from := range m.machines {
		for _, to := range m.machines {
			f.setPath(pair{from, to}, rules)
		}
	}
}

func (f *faults) setPath(p pair, rules []*linkChange) {
	l := f.network
	for _, r := range rules {
		if r.applies(p.from, p.to) {
			l = r.link.Over(l)
		}
	}
	if p.from == p.to || (l == f.network && !f.own[p]) {
		return
	}
	f.own[p] = true
	f.mesh.world.SetLink(p.from.host, p.to.host, convert(l))
}

func (r *linkChange) applies(from, to *machine) bool {
	return (r.from[from] && r.to[to]) || (r.both && r.from[to] && r.to[from])
}

// head are the rules of the scenario: those of groups, then its links.
func (f *faults) head() []*linkChange {
	var out []*linkChange
	for i := range f.mesh.scenario.Groups {
		g := &f.mesh.scenario.Groups[i]
		if g.Network.IsZero() {
			continue
		}
		in := map[*machine]bool{}
		for _, x := range f.mesh.machines {
			in[x] = x.group == g.Name
		}
		out = append(out, &linkChange{from: in, to: in, link: g.Network})
	}
	return append(out, f.fixed...)
}

func (m *mesh) linkChange(r *scenario.LinkRule) *linkChange {
	return &linkChange{from: set(m.selected(r.From)), to: set(m.selected(r.To)), both: r.Both, link: r.Link}
}

func set(list []*machine) map[*machine]bool {
	out := make(map[*machine]bool, len(list))
	for _, x := range list {
		out[x] = true
	}
	return out
}

// convert says to netsim what a scenario says.
func convert(l scenario.Link) netsim.Link {
	return netsim.Link{
		Latency: l.Latency, Jitter: l.Jitter, Loss: l.Loss, UDPLoss: l.UDPLoss, Duplicate: l.Duplicate, Reorder: l.Reorder, MTU: l.MTU,
		Burst:   burst(l.Burst),
		Corrupt: l.Corrupt, Bandwidth: int(l.Bandwidth), Queue: int(l.Queue), ICMP: l.ICMP, Drops: content(l.Drops),
	}
}

// burst: a bad time that loses nothing is none.
func burst(b scenario.Burst) netsim.Burst {
	if b.Loss == 0 {
		return netsim.Burst{}
	}
	return netsim.Burst{Share: b.Share, Time: b.Length, Loss: b.Loss}
}
