package report

import (
	"math"
	"strings"
	"time"
)

// The sizes of a chart in pixels. Only its width follows the screen: the outer SVG has no view box and
// places texts in percent, so that they keep their size, and the lines are in an inner SVG that is
// stretched.
const (
	plotTop    = 20  // above it: the line that shows the values under the pointer
	plotHeight = 150 //
	chartBelow = 24  // labels of the time axis
	innerWidth = 1000
)

// chart is some lines over the time of the run.
type chart struct {
	title string
	share bool // values are 0..1
	steps bool // a value holds until the next one, and is not the value of an instant
	unit  func(float64) string
	lines []line
}

func (c *chart) axis() axis {
	least, top := 1.0, 0.0
	for i := range c.lines {
		all, _ := c.lines[i].whole()
		if !math.IsNaN(all.lo) {
			least, top = min(least, all.lo), max(top, all.hi)
		}
	}
	if c.share {
		return shareAxis(least)
	}
	return valueAxis(top)
}

// hasData tells whether there is a point to draw.
func (c *chart) hasData() bool {
	for i := range c.lines {
		if all, _ := c.lines[i].whole(); !math.IsNaN(all.lo) {
			return true
		}
	}
	return false
}

// describe says in words what the picture shows.
func (c *chart) describe() string {
	var b strings.Builder
	for i := range c.lines {
		l := &c.lines[i]
		all, last := l.whole()
		b.WriteString(l.name + ": " + all.text(c.unit) + ", at the end " + c.unit(last) + ". ")
	}
	return strings.TrimSpace(b.String())
}

// chart writes a figure: legend, picture, table. Nothing when there is nothing to show.
func (p *page) chart(c *chart) {
	if !c.hasData() {
		return
	}
	p.addf("<figure>\n<figcaption><h3>%s</h3>", clip(c.title, 120))
	if len(c.lines) > 1 {
		p.legend(c)
	}
	p.addf("</figcaption>\n")
	a, s := c.axis(), slots(c.lines, p.end)
	p.svgBegin("chart", plotTop+plotHeight+chartBelow, c.title, c.describe())
	p.grid(a, c.unit)
	p.svgShade(plotTop, plotHeight, p.bands+p.marks)
	p.timeAxis(plotTop + plotHeight)
	p.plot(c, a)
	p.hover(c, s)
	p.addf("</svg>\n")
	p.figures(c, s)
	p.addf("</figure>\n")
}

func (p *page) legend(c *chart) {
	p.addf(`<p class="legend">`)
	for i, l := range c.lines {
		p.addf(`<span><svg aria-hidden="true" width="26" height="10"><path class="l l%d" d="M0 5h26"/></svg>%s</span> `, i+1, l.name)
	}
	p.addf("</p>")
}

// svgBegin opens a picture that is as wide as its box and names it for those who do not see it.
func (p *page) svgBegin(class string, height int, title, desc string) {
	p.charts++
	p.addf(`<svg class="%s" role="img" width="100%%" height="%d" aria-labelledby="t%d d%d">`, class, height, p.charts, p.charts)
	p.addf(`<title id="t%d">%s</title><desc id="d%d">%s</desc>`+"\n", p.charts, clip(title, 200), p.charts, clip(desc, 1000))
}

// grid draws the lines of the values and their labels.
func (p *page) grid(a axis, unit func(float64) string) {
	for _, v := range a.ticks() {
		y := coord(plotTop + a.y(v, plotHeight))
		p.addf(`<line class="grid" x2="100%%" y1="%s" y2="%s"/><text class="yl" x="-6" y="%s" dy=".32em">%s</text>`+"\n", y, y, y, unit(v))
	}
}

// svgShade stretches shapes of a box of 1000 by 100 over the chart.
func (p *page) svgShade(top, height int, shapes markup) {
	p.addf(`<svg width="100%%" y="%d" height="%d" viewBox="0 0 %d 100" preserveAspectRatio="none">%s</svg>`+"\n", top, height, innerWidth, shapes)
}

// timeAxis writes the labels of the time below y. Every other one goes where it is narrow.
func (p *page) timeAxis(y int) {
	for i, at := range timeTicks(p.end) {
		class := "xl"
		if i%2 == 1 {
			class = "xl odd"
		}
		p.addf(`<line class="tick" x1="%s" x2="%s" y1="%d" y2="%d"/><text class="%s" x="%s" y="%d">%s</text>`+"\n",
			p.x(at), p.x(at), y, y+4, class, p.x(at), y+17, clock(at))
	}
}

// plot draws the lines in their own box, stretched to the width of the screen.
func (p *page) plot(c *chart, a axis) {
	p.addf(`<svg width="100%%" y="%d" height="%d" viewBox="0 0 %d %d" preserveAspectRatio="none" overflow="visible">`, plotTop, plotHeight, innerWidth, plotHeight)
	for i := range c.lines {
		p.addf(`<path class="l l%d" d="%s"/>`, i+1, path(thin(c.lines[i].points, p.end), p.end, a, c.steps))
	}
	p.addf("</svg>\n")
}

// path joins points: with straight lines, or with steps that hold each value until the next point. A
// point between two gaps becomes a dash.
func path(points []point, end time.Duration, a axis, steps bool) markup {
	var b strings.Builder
	x := func(at time.Duration) string { return coord(innerWidth * float64(at) / float64(end)) }
	for i, pt := range points {
		if math.IsNaN(pt.v) {
			continue
		}
		starts := i == 0 || math.IsNaN(points[i-1].v)
		switch y := coord(a.y(pt.v, plotHeight)); {
		case starts:
			b.WriteString("M" + x(pt.at) + " " + y)
		case steps:
			b.WriteString("V" + y)
		default:
			b.WriteString("L" + x(pt.at) + " " + y)
		}
		switch last := i == len(points)-1; {
		case steps && last:
			b.WriteString("H" + x(end))
		case steps:
			b.WriteString("H" + x(points[i+1].at))
		case starts && (last || math.IsNaN(points[i+1].v)):
			b.WriteString("h4")
		}
	}
	return markup(b.String())
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// hover lays invisible columns over the chart; the one under the pointer shows its values above.
func (p *page) hover(c *chart, all []slot) {
	for i := range all {
		s := &all[i]
		if s.empty {
			continue
		}
		p.addf(`<g class="s"><rect x="%s" width="%s" y="%d" height="%d"/><text x="100%%" y="12">%s`,
			p.x(s.from), p.x(s.to-s.from), plotTop, plotHeight, clock(s.from))
		for j, v := range s.values {
			if !math.IsNaN(v.lo) {
				p.addf(" · %s %s", c.lines[j].name, v.text(c.unit))
			}
		}
		p.addf("</text></g>\n")
	}
}

// figures is the table of what the chart shows.
func (p *page) figures(c *chart, all []slot) {
	heads := figures("from")
	for _, l := range c.lines {
		heads = append(heads, head{l.name, "n"})
	}
	p.addf("<details><summary>Figures: %s</summary>", clip(c.title, 120))
	p.table(heads, len(all), maxSlots, func(i int) {
		p.figure(clock(all[i].from))
		for _, v := range all[i].values {
			p.figure(v.text(c.unit))
		}
	})
	p.addf("</details>\n")
}
