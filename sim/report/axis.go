package report

import (
	"math"
	"time"
)

// axis is the range of a chart's values and the distance of its grid lines.
type axis struct{ lo, hi, step float64 }

// valueAxis begins at zero and ends at a round number that is not below top.
func valueAxis(top float64) axis {
	if !(top > 0) || math.IsInf(top, 0) {
		top = 1
	}
	step := niceStep(top / 4)
	return axis{0, math.Ceil(top/step-1e-9) * step, step}
}

// shareAxis ends at 1 and begins at 0, 0.5 or 0.9, so that a share that hardly moves is still seen.
func shareAxis(least float64) axis {
	for _, lo := range []float64{0.9, 0.5} {
		if least > lo {
			return axis{lo, 1, (1 - lo) / 5}
		}
	}
	return axis{0, 1, 0.25}
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that is not below f.
func niceStep(f float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(f)))
	for _, m := range []float64{1, 2, 5} {
		if m*base >= f*(1-1e-9) {
			return m * base
		}
	}
	return 10 * base
}

// ticks are the values of the grid lines, lowest first.
func (a axis) ticks() []float64 {
	n := int(math.Round((a.hi - a.lo) / a.step))
	out := make([]float64, 0, n+1)
	for i := range n + 1 {
		out = append(out, a.lo+float64(i)*a.step)
	}
	return out
}

// y is the height of a value in a box of the given height, counted from the top and never outside.
func (a axis) y(v, height float64) float64 {
	return height * (1 - min(1, max(0, (v-a.lo)/(a.hi-a.lo))))
}

// maxTimeTicks keeps the labels apart on a narrow screen, where every other one is hidden.
const maxTimeTicks = 9

// timeTicks are round times from zero to end.
func timeTicks(end time.Duration) []time.Duration {
	step := timeStep(end / (maxTimeTicks - 1))
	var out []time.Duration
	for i := range time.Duration(maxTimeTicks) {
		if i > end/step { // a division: the product could overflow
			break
		}
		out = append(out, i*step)
	}
	return out
}

// timeStep is a step that people count in, not below least.
func timeStep(least time.Duration) time.Duration {
	const day = 24 * time.Hour
	for unit := time.Microsecond; unit < time.Second; unit *= 10 {
		for _, m := range []time.Duration{1, 2, 5} {
			if m*unit >= least {
				return m * unit
			}
		}
	}
	for _, unit := range []time.Duration{time.Second, time.Minute} {
		for _, m := range []time.Duration{1, 2, 5, 10, 15, 30} {
			if m*unit >= least {
				return m * unit
			}
		}
	}
	for _, h := range []time.Duration{1, 2, 3, 6, 12} {
		if h*time.Hour >= least {
			return h * time.Hour
		}
	}
	return (least + day - 1) / day * day
}
