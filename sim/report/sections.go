package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Bounds of the sections of the page.
const (
	maxServices  = 4 // services with charts of their own, the busiest first
	maxEvents    = 400
	maxLogBytes  = 128 << 10
	maxState     = 16 << 10 // bytes of one node's text
	maxStates    = 240 << 10
	shownNodes   = 12 // rows of the table of nodes before it is unfolded
	maxNodeRows  = 500
	maxFailures  = 300
	maxExpecting = 300
)

func (p *page) failures() {
	all := p.run.Failures
	if len(all) == 0 {
		return
	}
	p.addf("<section><h2>What failed</h2>\n")
	p.table(append(figures("time"), words("node", "invariant", "what was seen")...), len(all), maxFailures, func(i int) {
		f := &all[i]
		p.figure(clock(f.At))
		p.cell(f.Node)
		p.cell(f.Invariant)
		p.cell(f.Text)
	})
	p.addf("</section>\n")
}

func (p *page) expectations() {
	all := slices.Clone(p.run.Expectations)
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b Expectation) int { return btoi(a.Held) - btoi(b.Held) })
	p.addf("<section><h2>Expectations</h2>\n")
	p.table(words("", "expected", "measured"), len(all), maxExpecting, func(i int) {
		mark, class := "✗ failed", "bad"
		if all[i].Held {
			mark, class = "✓ held", "good"
		}
		p.addf(`<td class="%s">%s</td>`, class, mark)
		p.cell(all[i].Text)
		p.cell(all[i].Measured)
	})
	p.addf("</section>\n")
}

// sampleLine makes a line of one figure of the samples.
func (p *page) sampleLine(name string, value func(*Sample) float64) line {
	return lineOf(name, p.run.Samples, func(s *Sample) time.Duration { return s.At }, value)
}

// mesh charts what the samples say.
func (p *page) mesh() {
	if len(p.run.Samples) == 0 {
		return
	}
	p.addf("<section><h2>The mesh over time</h2>\n")
	p.chart(&chart{title: "Agreement with the truth", share: true, unit: percent, lines: []line{
		p.sampleLine("members", func(s *Sample) float64 { return s.Members }),
		p.sampleLine("catalog", func(s *Sample) float64 { return s.Catalog }),
	}})
	p.chart(&chart{title: "What the average node sees", unit: number, lines: []line{
		p.sampleLine("alive", func(s *Sample) float64 { return s.Alive }),
		p.sampleLine("suspect", func(s *Sample) float64 { return s.Suspect }),
		p.sampleLine("dead", func(s *Sample) float64 { return s.Dead }),
	}})
	p.chart(&chart{title: "Gossip sent per node and second", unit: bytesText, lines: []line{
		p.sampleLine("gossip", func(s *Sample) float64 { return s.GossipBytes }),
	}})
	p.chart(&chart{title: "Memory of the process", unit: bytesText, lines: []line{
		p.sampleLine("heap", func(s *Sample) float64 { return orNaN(float64(s.Heap)) }),
	}})
	p.chart(&chart{title: "Goroutines of the process", unit: number, lines: []line{
		p.sampleLine("goroutines", func(s *Sample) float64 { return orNaN(float64(s.Goroutines)) }),
	}})
	p.addf("</section>\n")
}

// orNaN reads the zero of a figure that was not measured.
func orNaN(f float64) float64 {
	if f == 0 {
		return math.NaN()
	}
	return f
}

// requests counts what ended well and badly.
func (t *Traffic) requests() (ok, failed uint64) {
	for i := range t.Buckets {
		ok += uint64(max(0, t.Buckets[i].OK))
		failed += uint64(max(0, t.Buckets[i].Failed))
	}
	return ok, failed
}

// rate is the share of requests that went well; NaN when there were none.
func rate(ok, failed uint64) float64 {
	if ok+failed == 0 {
		return math.NaN()
	}
	return float64(ok) / float64(ok+failed)
}

// traffic charts the services, the busiest first.
func (p *page) traffic() {
	all := slices.Clone(p.run.Traffic)
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b Traffic) int {
		ok1, failed1 := a.requests()
		ok2, failed2 := b.requests()
		return cmp.Compare(ok2+failed2, ok1+failed1)
	})
	p.addf("<section><h2>Traffic</h2>\n")
	for i := range all[:min(len(all), maxServices)] {
		p.service(&all[i])
	}
	if len(all) > maxServices {
		p.addf("<p>Charts are drawn for the %d busiest of %d services.</p>\n", maxServices, len(all))
	}
	if len(all) > 1 {
		p.serviceTable(all)
	}
	p.addf("</section>\n")
}

func (p *page) service(t *Traffic) {
	name := clip(oneLine(t.Service), 60)
	bucketLine := func(name string, value func(*Bucket) float64) line {
		return lineOf(name, t.Buckets, func(b *Bucket) time.Duration { return b.At }, value)
	}
	p.chart(&chart{title: name + ": requests that went well", share: true, steps: true, unit: percent, lines: []line{
		bucketLine("went well", func(b *Bucket) float64 { return rate(uint64(max(0, b.OK)), uint64(max(0, b.Failed))) }),
	}})
	p.chart(&chart{title: name + ": latency", steps: true, unit: millis, lines: []line{
		bucketLine("p50", func(b *Bucket) float64 { return orNaN(ms(b.P50)) }),
		bucketLine("p99", func(b *Bucket) float64 { return orNaN(ms(b.P99)) }),
	}})
}

func (p *page) serviceTable(all []Traffic) {
	p.table(append(words("service"), figures("requests", "failed", "went well")...), len(all), maxNodeRows, func(i int) {
		ok, failed := all[i].requests()
		p.cell(all[i].Service)
		p.figure(count(ok + failed))
		p.figure(count(failed))
		p.figure(percent(rate(ok, failed)))
	})
}

// perNode is the table of what each node used, the one that gossiped most first.
func (p *page) perNode() {
	all := slices.Clone(p.run.PerNode)
	if len(all) == 0 {
		return
	}
	slices.SortStableFunc(all, func(a, b NodeStat) int { return cmp.Compare(b.GossipBytes, a.GossipBytes) })
	p.addf("<section><h2>Each node</h2>\n")
	p.nodeTable(all[:min(len(all), shownNodes)], all[0].GossipBytes)
	if len(all) > shownNodes {
		p.addf("<details><summary>All %d nodes</summary>", len(all))
		p.nodeTable(all, all[0].GossipBytes)
		p.addf("</details>\n")
	}
	p.addf("</section>\n")
}

func (p *page) nodeTable(all []NodeStat, most float64) {
	heads := append(words("node"), figures("gossip per second", "sent", "received", "dropped", "memory", "members", "records")...)
	p.table(heads, len(all), maxNodeRows, func(i int) {
		n := &all[i]
		p.cell(n.Name)
		p.addf(`<td class="n">%s<span class="bar" style="width:%s%%"></span></td>`, bytesText(n.GossipBytes), coord(share(n.GossipBytes, most)))
		for _, f := range []uint64{n.Sent, n.Received, n.Dropped} {
			p.figure(count(f))
		}
		p.figure(bytesText(orNaN(float64(n.Memory))))
		p.figure(fmt.Sprint(n.Members))
		p.figure(fmt.Sprint(n.Records))
	})
}

// share is a part of a whole in percent, 0 where that means nothing.
func share(part, whole float64) float64 {
	if !(part > 0) || !(whole > 0) || math.IsInf(whole, 0) {
		return 0
	}
	return min(100, 100*part/whole)
}

// events is the table of the last events, the newest at the end. It is made from the end, so that the
// newest ones are there whatever the bound leaves out.
func (p *page) events() {
	log := p.run.Log
	if len(log) == 0 {
		return
	}
	first, size := len(log), 0
	for first > 0 && len(log)-first < maxEvents && size < maxLogBytes {
		first--
		size += len(eventRow(&log[first]))
	}
	p.addf("<section><h2>Last events</h2>\n<p>The last %s of %s.</p>\n", count(uint64(len(log)-first)), plural(len(log), "event"))
	p.addf(`<div class="scroll tall" tabindex="0" role="region" aria-label="last events"><table class="log"><thead><tr>`)
	p.addf(`<th scope="col" class="n">time</th><th scope="col">node</th><th scope="col">event</th><th scope="col">peer</th><th scope="col">detail</th></tr></thead><tbody>` + "\n")
	for i := first; i < len(log); i++ {
		p.WriteString(string(eventRow(&log[i])))
	}
	p.addf("</tbody></table></div></section>\n")
}

func eventRow(e *Event) markup {
	cell := func(s string, n int) markup { return escape(clip(s, n)) }
	return markup(fmt.Sprintf("<tr><td class=\"n\">%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
		seconds(e.At), cell(e.Node, 80), cell(e.Kind, 80), cell(e.Peer, 80), cell(e.Detail, 400)))
}

// states shows what the nodes believed at the end, folded.
func (p *page) states() {
	all := p.run.States
	if len(all) == 0 {
		return
	}
	p.addf("<section><h2>What the nodes believed at the end</h2>\n<div class=\"states\">")
	begin, i := p.Len(), 0
	for ; i < len(all) && p.Len()-begin < maxStates; i++ {
		p.addf("<details><summary>%s</summary><pre>%s</pre></details>\n", clip(oneLine(all[i].Name), 80), clip(all[i].Text, maxState))
	}
	p.addf("</div>")
	if i < len(all) {
		p.addf("<p>%d more are in the JSON of the run.</p>\n", len(all)-i)
	}
	p.addf("</section>\n")
}
