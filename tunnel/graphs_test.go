package tunnel

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	allGraphs = flag.Bool("all-graphs", false, "TestAllGraphs takes all graphs, and TestOneWayGraphs many more (`make graphs`)")
	graphSeed = flag.Uint64("graph-seed", 1, "what TestAllGraphs and TestOneWayGraphs draw besides from")
)

// Limits of what a change of the graph costs.
const (
	// graphOther is how soon packets come again over a way that was there all the time.
	graphOther = 2 * time.Second
	// graphNew is how soon they come over one that the change has opened: two that have a relay look for a direct way every
	// five seconds, and are no relay for others before they have found it.
	graphNew = probeMost + time.Second
	// graphOneWay is the same where links may pass packets one way: relays are asked in vain for a while, and once more
	// after a pause.
	graphOneWay = probeMost + detourAgain + 2*time.Second
	// graphBusy is how many datagrams a second there may be between two nodes besides two for each packet: probes and
	// replies, also of relays.
	graphBusy = 10
)

// graphRun is one change with all that is drawn.
type graphRun struct {
	change
	seed   uint64
	opened time.Duration // limit of what the change opens
}

// outages are what runs took, by whether the way was there before, and what was wrong with them: a test that fails in a bubble
// ends the goroutine around it.
type outages struct {
	other, opened []time.Duration
	faults        []string
}

func (r graphRun) fault(out *outages, format string, args ...any) {
	out.faults = append(out.faults, fmt.Sprintf("%v, seed %d: ", r.change, r.seed)+fmt.Sprintf(format, args...))
}

func (o *outages) add(more outages) {
	o.other, o.opened = append(o.other, more.other...), append(o.opened, more.opened...)
	o.faults = append(o.faults, more.faults...)
}

// play makes a change while all send to all, and looks at what comes of it.
func (r graphRun) play(t *testing.T) (out outages) {
	synctest.Test(t, func(t *testing.T) {
		draw := rand.New(rand.NewPCG(r.seed, *graphSeed))
		m := newGraphMesh(t, r.n, r.from, draw)
		m.run(r.before(draw))
		stayed := m.graph
		for i, f := range r.flips {
			if i > 0 && draw.IntN(2) == 0 {
				m.run(time.Duration(draw.Int64N(int64(3 * time.Second))))
			}
			m.change(f)
			stayed = stayed.and(m.graph)
		}
		m.run(r.opened)
		m.sent = 0
		clear(m.enclosed)
		m.run(time.Second)
		out = r.judge(m, stayed)
	})
	return out
}

// before is how long the mesh was as it is: mostly long enough to have found all ways, sometimes so long that it has given
// up looking for others.
func (r graphRun) before(draw *rand.Rand) time.Duration {
	switch draw.IntN(12) {
	case 0:
		return time.Duration(draw.Int64N(int64(3 * time.Second)))
	case 1:
		return 30*time.Second + time.Duration(draw.Int64N(int64(20*time.Second)))
	}
	return 3*time.Second + time.Duration(draw.Int64N(int64(2*time.Second)))
}

// judge compares what came with what the graph lets pass.
func (r graphRun) judge(m *graphMesh, stayed graph) (out outages) {
	for i := range m.n {
		for _, j := range others(m.n, i, i) {
			if !m.graph.reaches(m.n, i, j) {
				continue
			}
			took, comes := m.outage(i, j)
			limit := r.opened
			if stayed.reaches(m.n, i, j) {
				limit = graphOther
				out.other = append(out.other, took)
			} else {
				out.opened = append(out.opened, took)
			}
			if !comes || took > limit {
				r.fault(&out, "from %d to %d it took %v (they come: %v)", i, j, took, comes)
			}
		}
	}
	if m.strays > 0 {
		r.fault(&out, "%d packets took more than one relay", m.strays)
	}
	if m.passedOn > 0 {
		r.fault(&out, "%d packets were sent to relays by who had them from others", m.passedOn)
	}
	for _, n := range m.enclosed {
		if n > 1 {
			r.fault(&out, "one packet was sent to relays %d times", n)
			break
		}
	}
	pairs, packets := m.n*(m.n-1), int(time.Second/meshEvery*3/2)
	if most := pairs * (2*packets + graphBusy); m.sent > most {
		r.fault(&out, "%d datagrams in a second, more than %d", m.sent, most)
	}
	return out
}

// playAll plays runs on all processors, and tells how long packets took to come again.
func playAll(t *testing.T, runs []graphRun) {
	t.Helper()
	begin, next := time.Now(), make(chan graphRun)
	var all outages
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for r := range next {
				o := r.play(t)
				mu.Lock()
				all.add(o)
				mu.Unlock()
			}
		})
	}
	for _, r := range runs {
		next <- r
	}
	close(next)
	wg.Wait()
	t.Logf("%d changes in %v", len(runs), time.Since(begin).Round(100*time.Millisecond))
	for what, took := range map[string][]time.Duration{"there before": all.other, "opened by the change": all.opened} {
		if len(took) > 0 {
			slices.Sort(took)
			t.Logf("over a way %s, %d times: half within %v, 99 %% within %v, all within %v", what, len(took),
				took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		}
	}
	for _, f := range all.faults {
		t.Error(f)
	}
}

// graphRounds is how often -all-graphs takes each change, with other names of the nodes, latencies and moments.
const graphRounds = 8

// Whenever there is a way with one other node at most, it is used: all graphs of up to five nodes that differ in more than
// the names of the nodes, with each change of one or two links. Of those of five nodes a few are drawn, unless
// -all-graphs is given.
func TestAllGraphs(t *testing.T) {
	draw := rand.New(rand.NewPCG(*graphSeed, 0))
	var runs []graphRun
	for n := 2; n <= maxGraph; n++ {
		for c := range unlike(n, changes(n, links(n))) {
			if n < maxGraph || *allGraphs || draw.IntN(6) == 0 {
				runs = append(runs, graphRun{c, draw.Uint64(), graphNew})
			}
		}
	}
	if *allGraphs {
		for _, r := range slices.Repeat(runs, graphRounds-1) {
			runs = append(runs, graphRun{r.change, draw.Uint64(), graphNew})
		}
	}
	playAll(t, runs)
}

// The same where packets pass some links one way only: such links lead nowhere, and are in nobody's way.
func TestOneWayGraphs(t *testing.T) {
	draw := rand.New(rand.NewPCG(*graphSeed, 1))
	n := 60
	if *allGraphs {
		n = 4000
	}
	var runs []graphRun
	for range n {
		runs = append(runs, graphRun{oneWayChange(draw), draw.Uint64(), graphOneWay})
	}
	playAll(t, runs)
}

// oneWayChange draws a graph and one or two changes of it.
func oneWayChange(draw *rand.Rand) change {
	c := change{n: 3 + draw.IntN(maxGraph-2)}
	pieces := ways(c.n)
	for _, p := range pieces {
		if draw.IntN(3) > 0 {
			c.from = c.from.flip(p)
		}
	}
	for _, at := range draw.Perm(len(pieces))[:1+draw.IntN(2)] {
		c.flips = append(c.flips, pieces[at])
	}
	return c
}
