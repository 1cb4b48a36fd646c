package report

import (
	"bytes"
	"fmt"
	"html"
	"time"
)

// markup is text that is HTML already. Everything else that goes into a page is escaped.
type markup string

// page collects the HTML of one run.
type page struct {
	bytes.Buffer
	run    *Run
	end    time.Duration // the right end of the time axis, at least 1 ns
	bands  markup        // the faults, to be drawn behind each chart
	marks  markup        // the failures
	charts int           // how many there are so far: their ids
}

func newPage(r *Run) *page {
	p := &page{run: r, end: max(r.Virtual, lastTime(r), 1)}
	p.bands, p.marks = faultBands(r, p.end), failureMarks(r, p.end)
	return p
}

// lastTime is the newest time in the run that a chart must reach.
func lastTime(r *Run) time.Duration {
	var last time.Duration
	if n := len(r.Samples); n > 0 {
		last = r.Samples[n-1].At
	}
	for _, t := range r.Traffic {
		if n := len(t.Buckets); n > 0 {
			last = max(last, t.Buckets[n-1].At)
		}
	}
	return last
}

// addf writes a format of ours. Arguments that are strings are escaped, those of type markup are not.
func (p *page) addf(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = escape(s)
		}
	}
	fmt.Fprintf(&p.Buffer, format, args...)
}

// escape makes a text safe between tags and in quoted attributes.
func escape(s string) markup { return markup(html.EscapeString(clean(s))) }

// x is a time as a share of the axis in percent.
func (p *page) x(at time.Duration) string {
	return coord(100*min(1, max(0, float64(at)/float64(p.end)))) + "%"
}

// coord prints a coordinate with as few characters as it needs.
func coord(f float64) string { return trimZeros(fmt.Sprintf("%.2f", f)) }

// until is the end of a fault on the axis.
func until(s *Span, end time.Duration) time.Duration {
	if s.To == 0 {
		return max(end, s.From)
	}
	return max(s.To, s.From)
}

// Bounds of a table in the page.
const (
	maxTable = 128 << 10 // bytes of its rows
	maxCell  = 600       // bytes of a text before it is escaped
)

// head is the title of a column.
type head struct {
	text  string
	class string // "n" for figures, which stand at the right
}

func words(names ...string) (heads []head) {
	for _, n := range names {
		heads = append(heads, head{n, ""})
	}
	return heads
}

func figures(names ...string) (heads []head) {
	for _, n := range names {
		heads = append(heads, head{n, "n"})
	}
	return heads
}

// table writes rows until there are limit of them or maxTable bytes, and says how many are left.
// Each row writes its cells with p.cell and friends.
func (p *page) table(heads []head, n, limit int, row func(i int)) {
	p.addf(`<div class="scroll" tabindex="0" role="region" aria-label="table"><table><thead><tr>`)
	for _, h := range heads {
		p.addf(`<th scope="col" class="%s">%s</th>`, h.class, h.text)
	}
	p.addf("</tr></thead><tbody>\n")
	i, begin := 0, p.Len()
	for ; i < min(n, limit) && p.Len()-begin < maxTable; i++ {
		p.addf("<tr>")
		row(i)
		p.addf("</tr>\n")
	}
	if i < n {
		p.addf(`<tr><td colspan="%d">and %d more</td></tr>`, len(heads), n-i)
	}
	p.addf("</tbody></table></div>\n")
}

func (p *page) cell(s string)   { p.addf("<td>%s</td>", clip(s, maxCell)) }
func (p *page) figure(s string) { p.addf(`<td class="n">%s</td>`, clip(s, maxCell)) }
