package swarm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

const (
	minNodes = 3
	// faultsBegin is when the mesh has come up.
	faultsBegin = 30 * time.Second
	// recovery is how long the mesh may take to become one, and watched is how long it is looked at.
	recovery = 30 * time.Second
	watched  = 60 * time.Second
)

// Size bounds what is drawn.
type Size struct {
	Nodes  int           // at most; at least minNodes
	Faults int           // at most
	Time   time.Duration // in which they happen
}

// EnsureDefaults fills what is zero.
func (s Size) EnsureDefaults() Size {
	if s.Nodes == 0 {
		s.Nodes = 12
	}
	if s.Faults == 0 {
		s.Faults = 10
	}
	if s.Time == 0 {
		s.Time = 2 * time.Minute
	}
	s.Nodes = max(s.Nodes, minNodes)
	return s
}

// drawer draws one experiment.
type drawer struct {
	rng   *rand.Rand
	nodes int
	text  strings.Builder
}

// Scenario returns the experiment of a seed as the text of a scenario file.
func Scenario(seed uint64, size Size) []byte {
	size = size.EnsureDefaults()
	d := &drawer{rng: rand.New(rand.NewPCG(seed, 0x5a4a))}
	d.nodes = minNodes + d.rng.IntN(size.Nodes-minNodes+1)
	d.line("name: swarm %d", seed)
	d.line("about: drawn from seed %d", seed)
	d.line("nodes: %d", d.nodes)
	d.line("network: {%s}", d.network())
	d.services()
	d.line("timeline:")
	end := faultsBegin + size.Time
	for range 1 + d.rng.IntN(size.Faults) {
		d.fault(end)
	}
	d.line("  - {at: %s, heal: all}", end)
	among := d.ending(end)
	d.line("expect:")
	d.line("  - {at: %s, converged: true%s}", end+recovery, among)
	d.line("  - always: [no_ghosts, no_lost, no_false_dead, bounded]")
	d.line("duration: %s", end+watched)
	return []byte(d.text.String())
}

func (d *drawer) line(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

// between draws a duration, evenly over its logarithm: short ones are as likely as long ones.
func (d *drawer) between(low, high time.Duration) time.Duration {
	ms := float64(low.Milliseconds()) * math.Pow(float64(high)/float64(low), d.rng.Float64())
	return time.Duration(ms) * time.Millisecond
}

// percent draws a share up to a bound, often none.
func (d *drawer) percent(most float64) string {
	if d.rng.IntN(2) == 0 {
		return "0%"
	}
	return fmt.Sprintf("%.2f%%", d.rng.Float64()*most)
}

// network draws the paths between nodes: from a rack to the other side of the world.
func (d *drawer) network() string {
	latency := d.between(time.Millisecond, 120*time.Millisecond)
	return fmt.Sprintf("latency: %s, jitter: %s, loss: %s, duplicate: %s, reorder: %s", latency, latency/time.Duration(2+d.rng.IntN(8)),
		d.percent(5), d.percent(2), d.percent(2))
}

func (d *drawer) services() {
	d.line("services:")
	for i := range 1 + d.rng.IntN(3) {
		d.line("  - {name: s%d, instances: %d, protocol: tcp}", i+1, 1+d.rng.IntN(d.nodes))
	}
	d.line("traffic: [{from: random 2, to: s1, rate: 0.5/s}]")
}

// group draws some of the nodes, never all.
func (d *drawer) group() string {
	first := 1 + d.rng.IntN(d.nodes)
	last := first + d.rng.IntN(d.nodes-first+1)
	if first == 1 && last == d.nodes {
		last--
	}
	if first == last {
		return fmt.Sprint(first)
	}
	return fmt.Sprintf("%d-%d", first, last)
}

// halves draws two groups that make up all nodes.
func (d *drawer) halves() (a, b string) {
	cut := 1 + d.rng.IntN(d.nodes-1)
	return fmt.Sprintf("1-%d", cut), fmt.Sprintf("%d-%d", cut+1, d.nodes)
}

func (d *drawer) one() string { return fmt.Sprint(1 + d.rng.IntN(d.nodes)) }

// fault draws one thing that goes wrong before end.
func (d *drawer) fault(end time.Duration) {
	at := faultsBegin + time.Duration(d.rng.Int64N(int64(end-faultsBegin-time.Second))).Truncate(time.Millisecond)
	last := min(d.between(time.Second, 90*time.Second), end-at)
	kinds := []func() string{d.partition, d.isolate, d.apart, d.bridge, d.oneWay, d.flap, d.weather, d.kill, d.stop, d.restart, d.churn}
	text := kinds[d.rng.IntN(len(kinds))]()
	if !strings.HasPrefix(text, "restart") {
		text = fmt.Sprintf("for: %s, %s", last.Truncate(time.Millisecond), text)
	}
	d.line("  - {at: %s, %s}", at, text)
}

func (d *drawer) partition() string {
	a, b := d.halves()
	return fmt.Sprintf("partition: [[%s], [%s]]", a, b)
}

func (d *drawer) isolate() string { return "isolate: " + d.one() }

func (d *drawer) apart() string {
	a, b := d.pair()
	return fmt.Sprintf("apart: {a: %s, b: %s}", a, b)
}

// pair draws two groups that have no node in common.
func (d *drawer) pair() (a, b string) {
	cut := 1 + d.rng.IntN(d.nodes-1)
	first, last := 1+d.rng.IntN(cut), cut+1+d.rng.IntN(d.nodes-cut)
	return fmt.Sprintf("%d-%d", first, cut), fmt.Sprintf("%d-%d", cut+1, last)
}

func (d *drawer) bridge() string {
	cut := 1 + d.rng.IntN(d.nodes-2)
	return fmt.Sprintf("bridge: {a: 1-%d, b: %d-%d, over: %d}", cut, cut+2, d.nodes, cut+1)
}

func (d *drawer) oneWay() string {
	a, b := d.pair()
	if d.rng.IntN(2) == 0 {
		a, b = b, a
	}
	return fmt.Sprintf("one_way: {from: %s, to: %s}", a, b)
}

func (d *drawer) flap() string {
	a, b := d.pair()
	return fmt.Sprintf("flap: {a: %s, b: %s, rate: %.2f/s}", a, b, 0.1+d.rng.Float64()*2)
}

func (d *drawer) weather() string {
	return fmt.Sprintf("network: {loss: %s, latency: %s}", d.percent(20), d.between(time.Millisecond, 200*time.Millisecond))
}

func (d *drawer) kill() string { return "kill: " + d.group() }

func (d *drawer) stop() string { return "stop: " + d.group() }

func (d *drawer) restart() string {
	return fmt.Sprintf("restart: {nodes: %s, within: %s}", d.group(), d.between(time.Second, 10*time.Second))
}

func (d *drawer) churn() string {
	return fmt.Sprintf("churn: {rate: %.1f/s, services: %d}", 0.2+d.rng.Float64()*5, 1+d.rng.IntN(4))
}
