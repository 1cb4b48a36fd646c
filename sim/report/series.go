package report

import (
	"math"
	"time"
)

// point is one measured value; NaN makes a gap in its line.
type point struct {
	at time.Duration
	v  float64
}

// line is one series of a chart.
type line struct {
	name   string
	points []point
}

// Bounds of what a chart draws, however many samples there are.
const (
	maxColumns = 600 // columns of a line; each keeps its lowest and highest value
	maxSlots   = 96  // spans of time that show their values, on the chart and in its table
)

// column is which of n equal parts of the axis a time falls in.
func column(at, end time.Duration, n int) int {
	return min(n-1, max(0, int(float64(at)/float64(end)*float64(n))))
}

// thin keeps the lowest and the highest point of each column, in the order in which they came, so
// that a single bad sample among thousands is still seen. Of a column without values one gap is left.
func thin(points []point, end time.Duration) []point {
	if len(points) <= 2*maxColumns {
		return points
	}
	var out []point
	for from := 0; from < len(points); {
		c := column(points[from].at, end, maxColumns)
		to := from + 1
		for to < len(points) && column(points[to].at, end, maxColumns) == c {
			to++
		}
		out = append(out, extremes(points[from:to])...)
		from = to
	}
	return out
}

// extremes returns the lowest and highest of some points, or one gap.
func extremes(points []point) []point {
	lo, hi := -1, -1
	for i, p := range points {
		if math.IsNaN(p.v) {
			continue
		}
		if lo < 0 || p.v < points[lo].v {
			lo = i
		}
		if hi < 0 || p.v > points[hi].v {
			hi = i
		}
	}
	switch {
	case lo < 0:
		return points[:1]
	case lo == hi:
		return points[lo : lo+1]
	}
	return []point{points[min(lo, hi)], points[max(lo, hi)]}
}

// between is the range of a line's values in some span of time; NaN when there was none.
type between struct{ lo, hi float64 }

func (b *between) include(v float64) {
	if math.IsNaN(v) {
		return
	}
	if math.IsNaN(b.lo) {
		b.lo, b.hi = v, v
	}
	b.lo, b.hi = min(b.lo, v), max(b.hi, v)
}

// text prints the range, or the one value when both ends read the same.
func (b between) text(unit func(float64) string) string {
	lo, hi := unit(b.lo), unit(b.hi)
	if lo == hi {
		return hi
	}
	return lo + " to " + hi
}

// slot is what the lines of a chart were in one span of time.
type slot struct {
	from, to time.Duration
	values   []between // one per line
	empty    bool
}

// slots cuts the axis into equal spans.
func slots(lines []line, end time.Duration) []slot {
	n := 1
	for _, l := range lines {
		n = max(n, min(maxSlots, len(l.points)))
	}
	out := make([]slot, n)
	for i := range out {
		out[i] = slot{from: part(end, i, n), to: part(end, i+1, n), empty: true, values: make([]between, len(lines))}
		for j := range lines {
			out[i].values[j] = between{math.NaN(), math.NaN()}
		}
	}
	for j, l := range lines {
		for _, p := range l.points {
			s := &out[column(p.at, end, n)]
			s.values[j].include(p.v)
			s.empty = s.empty && math.IsNaN(p.v)
		}
	}
	return out
}

// part is i/n of a time, without overflow.
func part(end time.Duration, i, n int) time.Duration {
	return time.Duration(float64(end) * float64(i) / float64(n))
}

// whole is the range of all values of a line, and its last one.
func (l *line) whole() (all between, last float64) {
	all, last = between{math.NaN(), math.NaN()}, math.NaN()
	for _, p := range l.points {
		all.include(p.v)
		if !math.IsNaN(p.v) {
			last = p.v
		}
	}
	return all, last
}

// lineOf makes a line of one figure of each sample.
func lineOf[T any](name string, samples []T, at func(*T) time.Duration, value func(*T) float64) line {
	l := line{name: name, points: make([]point, len(samples))}
	for i := range samples {
		v := value(&samples[i])
		if math.IsInf(v, 0) {
			v = math.NaN()
		}
		l.points[i] = point{at(&samples[i]), v}
	}
	return l
}
