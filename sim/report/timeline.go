package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Bounds of the timeline.
const (
	maxLanes  = 24  // rows of faults; the table below holds more
	maxBands  = 200 // shaded bands behind a chart; nearer ones grow together
	maxBars   = 100 // bars of one lane; the same
	maxMarks  = 100 // failures that are marked in the charts
	laneFirst = 6   // pixels
	laneEach  = 30  //
)

// lane is a row of the timeline: the same fault, each time it happened.
type lane struct {
	kind, label string
	spans       []*Span
}

// lanes sorts the faults into rows, in the order in which they first happened.
func lanes(faults []Span) []*lane {
	var out []*lane
	index := map[[2]string]*lane{}
	for i := range faults {
		s := &faults[i]
		key := [2]string{s.Kind, s.Label}
		if index[key] == nil {
			index[key] = &lane{kind: s.Kind, label: s.Label}
			out = append(out, index[key])
		}
		index[key].spans = append(index[key].spans, s)
	}
	return out
}

// name is the text of a lane: the fault, what it was done to, and when.
func (l *lane) name(end time.Duration) string {
	s := clip(oneLine(l.kind), 24)
	if l.label != "" {
		s += " " + clip(oneLine(l.label), 44)
	}
	return s + " · " + l.when(end)
}

func (l *lane) when(end time.Duration) string {
	first := l.spans[0]
	switch {
	case len(l.spans) > 1:
		last := l.spans[len(l.spans)-1]
		return fmt.Sprintf("%d times, %s to %s", len(l.spans), clock(first.From), clock(until(last, end)))
	case until(first, end) == first.From:
		return clock(first.From)
	}
	return clock(first.From) + " to " + clock(until(first, end))
}

// timeline draws the faults as bars and the failures as marks.
func (p *page) timeline() {
	all := lanes(p.run.Faults)
	shown := all[:min(len(all), maxLanes)]
	rows := len(shown) + btoi(len(p.run.Failures) > 0)
	if rows == 0 {
		p.addf("<p>No faults were made.</p>\n")
		return
	}
	height := laneFirst + rows*laneEach
	p.addf("<figure>\n")
	p.svgBegin("chart", height+chartBelow, "Faults and failures", p.tell(shown))
	p.svgShade(0, height, p.marks)
	p.timeAxis(height)
	for i, l := range shown {
		p.lane(l, laneFirst+i*laneEach)
	}
	p.failureLane(laneFirst + len(shown)*laneEach)
	p.addf("</svg>\n<details><summary>Figures: faults</summary>")
	p.faultTable()
	p.addf("</details>\n</figure>\n")
	if len(all) > len(shown) {
		p.addf("<p>%d more kinds of faults are in the table.</p>\n", len(all)-len(shown))
	}
}

func (p *page) tell(shown []*lane) string {
	var b strings.Builder
	for _, l := range shown {
		b.WriteString(l.name(p.end) + ". ")
	}
	return b.String() + plural(len(p.run.Failures), "failure") + "."
}

func (p *page) lane(l *lane, y int) {
	p.addf(`<text class="lane" x="-44" y="%d">%s</text>`, y+12, l.name(p.end))
	for _, b := range bands(l.spans, p.end, maxBars) {
		if b.to == b.from {
			p.addf(`<rect class="fault" x="%s" y="%d" width="3" height="9" transform="translate(-1)"/>`, p.x(b.from), y+17)
			continue
		}
		p.addf(`<rect class="fault" x="%s" y="%d" width="%s" height="9" rx="2"/>`, p.x(b.from), y+17, p.x(b.to-b.from))
	}
	p.addf("\n")
}

func (p *page) failureLane(y int) {
	if len(p.run.Failures) == 0 {
		return
	}
	p.addf(`<text class="lane bad" x="-44" y="%d">%s</text>`, y+12, plural(len(p.run.Failures), "failure"))
	for _, at := range failureTimes(p.run) {
		p.addf(`<svg x="%s" y="%d" overflow="visible"><path class="mark" d="M0 0l5 10h-10z"/></svg>`, p.x(at), y+16)
	}
	p.addf("\n")
}

// failureTimes are the times at which something failed, each once and at most maxMarks.
func failureTimes(r *Run) []time.Duration {
	var out []time.Duration
	for i := range r.Failures {
		if !slices.Contains(out, r.Failures[i].At) && len(out) < maxMarks {
			out = append(out, r.Failures[i].At)
		}
	}
	return out
}

func (p *page) faultTable() {
	faults := p.run.Faults
	p.table(append(figures("from", "to"), words("fault", "what")...), len(faults), 400, func(i int) {
		s := &faults[i]
		p.figure(clock(s.From))
		p.figure(clock(until(s, p.end)))
		p.cell(s.Kind)
		p.cell(s.Label)
	})
}

// band is a part of the axis.
type band struct{ from, to time.Duration }

// bands joins faults that overlap, or are nearer than one part in n of the axis: there are at most n+1.
func bands(spans []*Span, end time.Duration, n int) []band {
	sorted := make([]band, 0, len(spans))
	for _, s := range spans {
		sorted = append(sorted, band{s.From, until(s, end)})
	}
	slices.SortFunc(sorted, func(a, b band) int { return cmp.Compare(a.from, b.from) })
	var out []band
	for _, b := range sorted {
		if last := len(out) - 1; last >= 0 && b.from-out[last].to <= end/time.Duration(n) {
			out[last].to = max(out[last].to, b.to)
			continue
		}
		out = append(out, b)
	}
	return out
}

// faultBands draws the times with faults, in a box of 1000 by 100.
func faultBands(r *Run, end time.Duration) markup {
	spans := make([]*Span, len(r.Faults))
	for i := range r.Faults {
		spans[i] = &r.Faults[i]
	}
	var b strings.Builder
	for _, s := range bands(spans, end, maxBands) {
		from := innerWidth * float64(s.from) / float64(end)
		width := max(1.5, innerWidth*float64(s.to-s.from)/float64(end))
		fmt.Fprintf(&b, "M%s 0h%sv100h-%sz", coord(from), coord(width), coord(width))
	}
	return markup(`<path class="band" d="` + b.String() + `"/>`)
}

// failureMarks draws lines at the times of the failures, in a box of 1000 by 100.
func failureMarks(r *Run, end time.Duration) markup {
	var b strings.Builder
	for _, at := range failureTimes(r) {
		fmt.Fprintf(&b, "M%s 0v100", coord(innerWidth*float64(at)/float64(end)))
	}
	return markup(`<path class="fail" d="` + b.String() + `"/>`)
}
