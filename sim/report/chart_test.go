package report

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestValueAxis(t *testing.T) {
	for _, c := range []struct{ top, hi, step float64 }{
		{20, 20, 5}, {21, 30, 10}, {3600, 4000, 1000}, {0.7, 0.8, 0.2}, {0, 1, 0.5}, {math.NaN(), 1, 0.5}, {-3, 1, 0.5}, {1, 1, 0.5},
	} {
		a := valueAxis(c.top)
		if math.Abs(a.hi-c.hi) > 1e-9 || math.Abs(a.step-c.step) > 1e-9 || a.lo != 0 {
			t.Errorf("valueAxis(%v) = %v, want 0 to %v by %v", c.top, a, c.hi, c.step)
		}
	}
}

func TestShareAxis(t *testing.T) {
	for least, lo := range map[float64]float64{1: 0.9, 0.95: 0.9, 0.9: 0.5, 0.6: 0.5, 0.5: 0, 0: 0} {
		if a := shareAxis(least); a.lo != lo || a.hi != 1 {
			t.Errorf("shareAxis(%v) = %v, want from %v", least, a, lo)
		}
	}
	a := axis{0.5, 1, 0.1}
	if y := a.y(0.75, 150); y != 75 {
		t.Errorf("the middle is at %v", y)
	}
	if a.y(0, 150) != 150 || a.y(9, 150) != 0 {
		t.Error("values outside of the axis leave the chart")
	}
	if got := len(a.ticks()); got != 6 {
		t.Errorf("%d ticks", got)
	}
}

func TestTimeTicks(t *testing.T) {
	for _, c := range []struct{ end, step time.Duration }{
		{720 * second, 2 * time.Minute},
		{60 * second, 10 * second},
		{24 * time.Hour, 3 * time.Hour},
		{40 * 24 * time.Hour, 5 * 24 * time.Hour},
		{3 * time.Millisecond, 500 * time.Microsecond},
		{math.MaxInt64, 13344 * 24 * time.Hour},
	} {
		ticks := timeTicks(c.end)
		if len(ticks) < 2 || ticks[1] != c.step || len(ticks) > maxTimeTicks || ticks[len(ticks)-1] > c.end {
			t.Errorf("timeTicks(%v) = %v, want steps of %v", c.end, ticks, c.step)
		}
	}
	if ticks := timeTicks(1); len(ticks) != 1 {
		t.Errorf("timeTicks(1ns) = %v", ticks)
	}
}

func TestThin(t *testing.T) {
	var points []point
	for i := range 10_000 {
		points = append(points, point{time.Duration(i), 5})
	}
	points[1234].v, points[1235].v = 9, 1
	for i := 5000; i < 5100; i++ {
		points[i].v = math.NaN()
	}
	got := thin(points, 10_000)
	if len(got) > 2*maxColumns {
		t.Errorf("%d points are left", len(got))
	}
	i := slices.Index(got, point{1234, 9})
	if i < 0 || got[i+1] != (point{1235, 1}) {
		t.Error("the highest and the lowest value are lost, or changed places")
	}
	if !slices.ContainsFunc(got, func(p point) bool { return math.IsNaN(p.v) }) {
		t.Error("the gap is lost")
	}
	if got := thin(points[:100], 10_000); len(got) != 100 {
		t.Errorf("of 100 points %d are left", len(got))
	}
}

func TestPath(t *testing.T) {
	nan, a := math.NaN(), axis{0, 1, 0.5}
	for _, c := range []struct {
		name   string
		points []point
		steps  bool
		want   markup
	}{
		{"lines", []point{{0, 1}, {5, 0.5}, {10, 0}}, false, "M0 0L500 75L1000 150"},
		{"gap", []point{{0, 1}, {2, 1}, {4, nan}, {6, 0}, {8, 0}}, false, "M0 0L200 0M600 150L800 150"},
		{"alone", []point{{0, nan}, {5, 1}, {6, nan}}, false, "M500 0h4"},
		{"steps", []point{{0, 1}, {5, 0}}, true, "M0 0H500V150H1000"},
		{"steps with a gap", []point{{0, 1}, {5, nan}, {8, 1}}, true, "M0 0H500M800 0H1000"},
		{"none", nil, false, ""},
	} {
		if got := path(c.points, 10, a, c.steps); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSlots(t *testing.T) {
	nan := math.NaN()
	lines := []line{{"a", []point{{0, 1}, {1, 3}, {5, nan}, {10, 7}}}, {"b", []point{{9, 2}}}}
	got := slots(lines, 10)
	if len(got) != 4 {
		t.Fatalf("%d slots, want one per point", len(got))
	}
	if v := got[0].values[0]; v.lo != 1 || v.hi != 3 || v.text(number) != "1 to 3" {
		t.Errorf("the first slot is %v", v)
	}
	if !got[1].empty || !got[2].empty || got[3].empty {
		t.Error("the slots without a value are not the middle ones")
	}
	if v := got[3].values; v[0].text(number) != "7" || v[1].text(number) != "2" {
		t.Errorf("the last slot is %v", v)
	}
}

func TestBands(t *testing.T) {
	spans := []*Span{
		{From: 900, To: 0}, {From: 100, To: 300}, {From: 200, To: 250}, {From: 301, To: 310}, {From: 500, To: 500}, {From: 700, To: 600},
	}
	want := []band{{100, 310}, {500, 500}, {700, 700}, {900, 1000}}
	if got := bands(spans, 1000, 100); !slices.Equal(got, want) {
		t.Errorf("bands %v, want %v", got, want)
	}
	var many []*Span
	for i := range time.Duration(5000) {
		many = append(many, &Span{From: i * 20, To: i*20 + 5})
	}
	if got := bands(many, 100_000, 100); len(got) > 101 {
		t.Errorf("%d bands are left", len(got))
	}
}

func TestLanes(t *testing.T) {
	got := lanes([]Span{{0, 1, "flap", "a"}, {2, 3, "kill", "b"}, {4, 5, "flap", "a"}, {6, 7, "flap", "c"}})
	if len(got) != 3 || len(got[0].spans) != 2 || got[1].kind != "kill" || got[2].label != "c" {
		t.Errorf("%d lanes", len(got))
	}
}

func TestPlaces(t *testing.T) {
	all, groups := places([]TopologyNode{{"a", "x"}, {"b", "y"}, {"c", "x"}, {"d", ""}})
	if !slices.Equal(groups, []string{"x", "y", ""}) {
		t.Errorf("groups %q", groups)
	}
	var order string
	for _, pl := range all {
		order += pl.node.Name
	}
	if order != "acbd" {
		t.Errorf("nodes %q around the circle, want those of a group side by side", order)
	}
	if top := all[0]; top.x != 260 || top.y != 70 {
		t.Errorf("the first node is at %v, %v", top.x, top.y)
	}
	if right := all[1]; math.Abs(right.x-450) > 1e-9 || math.Abs(right.y-260) > 1e-9 {
		t.Errorf("the second of four nodes is at %v, %v", right.x, right.y)
	}
}

func TestDrawable(t *testing.T) {
	all, _ := places([]TopologyNode{{"a", ""}, {"b", ""}})
	edges := []Edge{{"a", "b", 0, EdgeDirect}, {"a", "nobody", 0, EdgeDown}, {"b", "a", 0, "odd"}, {"a", "b", 0, EdgeRelay}, {"a", "b", 0, EdgeDown}}
	var states []string
	for _, d := range drawable(edges, all) {
		states = append(states, d.state)
	}
	if want := []string{EdgeDown, EdgeRelay, EdgeDirect, EdgeDirect}; !slices.Equal(states, want) {
		t.Errorf("edges %q, want %q", states, want)
	}
}
