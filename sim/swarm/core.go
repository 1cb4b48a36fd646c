package swarm

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// coreOneIn is in how many experiments one heals a core alone.
const coreOneIn = 3

// ending draws who is healed at the end: everybody, or a core of a few or of most nodes, while the rest is
// out of order for ever. It returns what is said beside converged.
func (d *drawer) ending(end time.Duration) (among string) {
	if d.rng.IntN(coreOneIn) > 0 {
		d.line("  - {at: %s, start: all}", end)
		return ""
	}
	core, rest := d.split()
	// What was drawn before is taken back at the end at the latest: the rest breaks after that.
	end += time.Millisecond
	d.line("  - {at: %s, start: %s}", end, core)
	for _, fault := range d.forEver(core, rest) {
		d.line("  - {at: %s, %s}", end, fault)
	}
	return ", among: " + core
}

// split draws a core of at least two nodes, and the rest of at least one.
func (d *drawer) split() (core, rest string) {
	order := d.rng.Perm(d.nodes)
	size := 2 + d.rng.IntN(d.nodes-2)
	return list(order[:size]), list(order[size:])
}

// list writes machines, counted from 0, as a selector.
func list(machines []int) string {
	slices.Sort(machines)
	words := make([]string, len(machines))
	for i, n := range machines {
		words[i] = fmt.Sprint(n + 1)
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// forEver draws what is the matter with the rest until the experiment ends.
func (d *drawer) forEver(core, rest string) []string {
	kinds := [][]string{
		{"isolate: " + rest},
		{fmt.Sprintf("partition: [%s]", core)},
		{fmt.Sprintf("for: %s, stall: %s", watched-time.Second, rest)},
		{"kill: " + rest},
		{fmt.Sprintf("one_way: {from: %s, to: %s}", core, rest)},
		{fmt.Sprintf("one_way: {from: %s, to: %s}", rest, core)},
		{"isolate: " + rest, fmt.Sprintf("for: %s, stall: %s", watched-time.Second, rest)},
	}
	return kinds[d.rng.IntN(len(kinds))]
}
