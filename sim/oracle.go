package sim

import "time"

// oracle knows the truth that no node knows: who could hear whom, directly or through others, and
// since when.
type oracle struct {
	mesh   *mesh
	parts  []int             // of machines: who is in one part can hear each other; -1: hears nothing
	joined [][]time.Duration // since when two are in one part
}

// never is the time since which two machines are connected that are not.
const never = time.Duration(1<<63 - 1)

func newOracle(m *mesh) *oracle { return &oracle{mesh: m} }

// changed works out who is connected. It is called at every change, so that no time in which two
// were apart is missed.
func (o *oracle) changed() {
	now, n := o.mesh.now(), len(o.mesh.machines)
	o.parts = o.components()
	for len(o.joined) < n {
		o.joined = append(o.joined, nil)
	}
	for i := range n {
		for len(o.joined[i]) < n {
			o.joined[i] = append(o.joined[i], never)
		}
		for j := range n {
			switch together := o.parts[i] >= 0 && o.parts[i] == o.parts[j]; {
			case !together:
				o.joined[i][j] = never
			case o.joined[i][j] == never:
				o.joined[i][j] = now
			}
		}
	}
	if o.mesh.observer != nil {
		o.mesh.observer.connected(o.mesh.faults.whole() && o.whole())
	}
}

// components numbers the parts of the mesh. Two machines hear each other when packets pass both ways.
func (o *oracle) components() []int {
	all := o.mesh.machines
	parts := make([]int, len(all))
	for i := range parts {
		parts[i] = -1
	}
	next := 0
	for _, x := range all {
		if !x.alive() || x.outcast() || parts[x.index] >= 0 {
			continue
		}
		queue := []*machine{x}
		parts[x.index] = next
		for len(queue) > 0 {
			at := queue[0]
			queue = queue[1:]
			for _, y := range all {
				if y.alive() && !y.outcast() && parts[y.index] < 0 && o.mesh.faults.hear(at, y) {
					parts[y.index] = next
					queue = append(queue, y)
				}
			}
		}
		next++
	}
	return parts
}

// connected returns for how long two machines have been able to hear each other, at least through
// others; 0 when they are not.
func (o *oracle) connected(a, b *machine) time.Duration {
	since := o.joined[a.index][b.index]
	if since == never {
		return 0
	}
	return o.mesh.now() - since
}

// whole reports whether all machines that run are connected.
func (o *oracle) whole() bool {
	first := -1
	for _, p := range o.parts {
		switch {
		case p < 0:
		case first < 0:
			first = p
		case p != first:
			return false
		}
	}
	return true
}
