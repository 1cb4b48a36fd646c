package report

import (
	"fmt"
	"io"
	"math"
	"time"
)

// HTML writes the page of a run: verdict, failures, expectations, the timeline of faults, charts on
// the same axis of time, topology, nodes, last events and beliefs. It is one file that loads nothing
// and runs no script: its pictures are SVG, and the values under the pointer are shown by style rules.
// Its size is bounded at about 2 MB; where something was left out the page says how much.
func HTML(w io.Writer, r *Run) error {
	p := newPage(r)
	p.head()
	p.failures()
	p.expectations()
	p.addf("<section><h2>Faults</h2>\n")
	p.timeline()
	p.addf("</section>\n")
	p.mesh()
	p.traffic()
	if len(r.Topology.Nodes) > 0 {
		p.addf("<section><h2>Topology at the end</h2>\n")
		p.topology()
		p.addf("</section>\n")
	}
	p.perNode()
	p.events()
	p.states()
	p.addf("</main></body></html>\n")
	return flush(w, "report.html", &p.Buffer)
}

func (p *page) head() {
	r := p.run
	p.addf("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\n")
	p.addf(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>` + "\n")
	p.addf(`<meta name="viewport" content="width=device-width, initial-scale=1"/><meta name="color-scheme" content="light dark"/>` + "\n")
	p.addf("<title>%s: %s, seed %d</title>\n<style>%s</style></head>\n<body><main>\n", verdict(r), clip(oneLine(r.Scenario), 200), r.Seed, markup(style))
	p.addf(`<header><p class="verdict %s">%s</p><h1>%s</h1>`, verdict(r), verdict(r), clip(oneLine(r.Scenario), 200))
	if r.About != "" {
		p.addf("<p>%s</p>", clip(r.About, 2000))
	}
	p.addf("\n<dl class=\"tiles\">")
	p.tiles()
	p.addf("</dl>\n")
	if r.Command != "" {
		p.addf(`<p class="command">Repeat it: <code>%s</code></p>`, clip(oneLine(r.Command), 4000))
	}
	p.addf("</header>\n")
}

// tiles are the figures of the head.
func (p *page) tiles() {
	r := p.run
	p.tile("seed", fmt.Sprint(r.Seed))
	p.tile("nodes", fmt.Sprint(r.Nodes))
	if r.Fidelity != "" {
		p.tile("fidelity", clip(oneLine(r.Fidelity), 40))
	}
	p.tile("virtual time", clock(r.Virtual))
	p.tile("took", tookText(r))
	p.tile("simulator steps", count(r.Events))
	if n := len(r.Expectations); n > 0 {
		p.tile("expectations held", fmt.Sprintf("%d of %d", held(r), n))
	}
	p.tile("failures", count(uint64(len(r.Failures))))
	if n := len(r.Samples); n > 0 {
		p.tile("members agree at the end", percent(r.Samples[n-1].Members))
		p.tile("gossip per node and second", bytesText(meanGossip(r.Samples)))
	}
	if ok, failed := allRequests(r); ok+failed > 0 {
		p.tile("requests that went well", percent(rate(ok, failed)))
	}
}

func (p *page) tile(name, value string) {
	p.addf("<div><dt>%s</dt><dd>%s</dd></div>", name, value)
}

// tookText is the time on the machine, and how much faster than life that was.
func tookText(r *Run) string {
	wall := r.Wall.Round(max(time.Microsecond, r.Wall/1000))
	if r.Wall <= 0 || r.Virtual < r.Wall {
		return clock(wall)
	}
	return fmt.Sprintf("%s (%.0f×)", clock(wall), float64(r.Virtual)/float64(r.Wall))
}

func held(r *Run) (n int) {
	for i := range r.Expectations {
		n += btoi(r.Expectations[i].Held)
	}
	return n
}

// meanGossip is the mean of what was measured; NaN when nothing was.
func meanGossip(samples []Sample) float64 {
	sum, n := 0.0, 0
	for i := range samples {
		if g := samples[i].GossipBytes; !math.IsNaN(g) {
			sum, n = sum+g, n+1
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return sum / float64(n)
}

func allRequests(r *Run) (ok, failed uint64) {
	for i := range r.Traffic {
		o, f := r.Traffic[i].requests()
		ok, failed = ok+o, failed+f
	}
	return ok, failed
}
