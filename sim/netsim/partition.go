package netsim

import "slices"

// barrier is one fault that lets nothing pass from some hosts to others. Loopback always passes.
type barrier struct {
	blocks func(from, to *Host) bool // asked once for each pair of paths, not for each packet
}

// cut is one call of Cut.
type cut struct{ _ byte } // not empty: every cut has an address of its own

// division is everything that keeps hosts apart. Faults overlap; each is taken back by itself.
type division struct {
	barriers  []*barrier
	partition *barrier             // the one that the next Partition replaces
	cuts      map[direction][]*cut // kept apart from the barriers: there may be very many
	changes   uint64               // counts them, so that a path knows when to ask again
	filter    func(from, to *Host) bool
}

// Partition keeps the groups apart from each other: halves, or any number of sides. Hosts in no
// group are together one more group: Partition of one host isolates it. A host named twice is in
// the last of its groups. A partition replaces the one before; heal takes back this one alone.
func (w *World) Partition(groups ...[]*Host) (heal func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.division.lower(w.division.partition)
	sides := sidesOf(groups)
	b := &barrier{func(from, to *Host) bool { return sides[from] != sides[to] }}
	w.division.partition = b
	return w.raiseLocked(b)
}

// Isolate cuts each of the hosts off from all others, the named ones too.
func (w *World) Isolate(hosts ...*Host) (heal func()) {
	alone := setOf(hosts)
	return w.raise(func(from, to *Host) bool { return alone[from] || alone[to] })
}

// Apart lets nothing pass between a and b, in both directions; everything else passes, so that a
// third group reaches both. Within a and within b everything passes. A host in both groups is in
// neither.
func (w *World) Apart(a, b []*Host) (heal func()) {
	inA, inB := setOf(without(a, b)), setOf(without(b, a))
	return w.raise(func(from, to *Host) bool { return inA[from] && inB[to] || inB[from] && inA[to] })
}

// CutAll lets nothing pass from the hosts in from to those in to; the way back stays as it is.
func (w *World) CutAll(from, to []*Host) (heal func()) {
	inFrom, inTo := setOf(from), setOf(to)
	return w.raise(func(x, y *Host) bool { return inFrom[x] && inTo[y] })
}

// Bridge keeps the groups apart from each other as Partition does, but the hosts in over reach
// everybody: the groups are joined through them alone.
func (w *World) Bridge(over []*Host, groups ...[]*Host) (heal func()) {
	bridge, sides := setOf(over), sidesOf(groups)
	return w.raise(func(from, to *Host) bool {
		return !bridge[from] && !bridge[to] && sides[from] != sides[to]
	})
}

// Ring lets each of the hosts reach, of these hosts, the one before and the one after it alone.
// Paths from and to other hosts stay as they are.
func (w *World) Ring(hosts ...*Host) (heal func()) {
	place := make(map[*Host]int, len(hosts))
	for i, h := range hosts {
		place[h] = i
	}
	return w.raise(func(from, to *Host) bool {
		i, in := place[from]
		j, too := place[to]
		steps := (i - j + len(hosts)) % max(1, len(hosts))
		return in && too && steps != 1 && steps != len(hosts)-1
	})
}

// Star lets each of the leaves reach, of these hosts, the hub alone. Paths from and to other
// hosts stay as they are.
func (w *World) Star(hub *Host, leaves ...*Host) (heal func()) {
	leaf := setOf(leaves)
	return w.raise(func(from, to *Host) bool { return from != hub && to != hub && leaf[from] && leaf[to] })
}

// Cut lets nothing pass from one host to another; the way back stays as it is.
func (w *World) Cut(from, to *Host) (heal func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, d := new(cut), direction{from, to}
	w.division.cuts[d] = append(w.division.cuts[d], c)
	w.division.changes++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.division.mend(d, c)
	}
}

// Heal takes back all cuts and everything that keeps hosts apart. Links stay as SetLink made
// them, and so do the filter, firewalls and NATs.
func (w *World) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.division.barriers, w.division.partition = nil, nil
	clear(w.division.cuts)
	w.division.changes++
}

func (w *World) raise(blocks func(from, to *Host) bool) (heal func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.raiseLocked(&barrier{blocks})
}

func (w *World) raiseLocked(b *barrier) (heal func()) {
	w.division.barriers = append(w.division.barriers, b)
	w.division.changes++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.division.lower(b)
	}
}

// lower takes a barrier away; one that is gone already, or nil, changes nothing.
func (d *division) lower(b *barrier) {
	d.barriers = slices.DeleteFunc(d.barriers, func(x *barrier) bool { return x == b })
	d.changes++
}

func (d *division) mend(way direction, c *cut) {
	d.cuts[way] = slices.DeleteFunc(d.cuts[way], func(x *cut) bool { return x == c })
	if len(d.cuts[way]) == 0 {
		delete(d.cuts, way)
	}
	d.changes++
}

// severs reports whether a fault lets nothing pass from one host to another, the filter apart.
func (d *division) severs(way direction) bool {
	if len(d.cuts[way]) > 0 {
		return true
	}
	return way.from != way.to && slices.ContainsFunc(d.barriers, func(b *barrier) bool { return b.blocks(way.from, way.to) })
}

// filters reports whether the filter keeps a packet from passing. It is asked every time.
func (d *division) filters(way direction) bool {
	return d.filter != nil && way.from != way.to && !d.filter(way.from, way.to)
}

// sidesOf numbers the groups from 1. Hosts in none are on side 0.
func sidesOf(groups [][]*Host) map[*Host]int {
	sides := map[*Host]int{}
	for i, g := range groups {
		for _, h := range g {
			sides[h] = i + 1
		}
	}
	return sides
}

func setOf(hosts []*Host) map[*Host]bool {
	set := make(map[*Host]bool, len(hosts))
	for _, h := range hosts {
		set[h] = true
	}
	return set
}

func without(hosts, others []*Host) []*Host {
	not := setOf(others)
	return slices.DeleteFunc(slices.Clone(hosts), func(h *Host) bool { return not[h] })
}
