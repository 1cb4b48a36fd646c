package router

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const ms = float64(time.Millisecond)

func TestBand(t *testing.T) {
	for _, c := range []struct{ best, want float64 }{{0, ms}, {2 * ms, 3 * ms}, {4 * ms, 5 * ms}, {100 * ms, 125 * ms}} {
		if got := band(c.best); got != c.want {
			t.Errorf("band(%v) = %v, want %v", c.best, got, c.want)
		}
	}
}

func TestExpectedCost(t *testing.T) {
	for _, c := range []struct {
		path, latency, share float64
		inFlight             int64
		want                 float64
	}{
		{0, ms, 1, 0, ms},
		{5 * ms, 2 * ms, 1, 3, 13 * ms},
		{0, ms, 0.5, 4, 3 * ms},
		{0, ms, 1, -2, ms},
	} {
		if got := expectedCost(c.path, c.latency, c.share, c.inFlight); got != c.want {
			t.Errorf("expectedCost(%v, %v, %v, %d) = %v, want %v", c.path, c.latency, c.share, c.inFlight, got, c.want)
		}
	}
}

func TestPeakEWMA(t *testing.T) {
	for _, c := range []struct {
		average, sample float64
		age             time.Duration
		want            float64
	}{
		{10, 20, 0, 20},
		{20, 10, 0, 20},
		{20, 10, -time.Hour, 20},
		{20, 10, latencyDecay, 10 + 10/math.E},
		{20, 10, time.Hour, 10},
	} {
		if got := peakEWMA(c.average, c.sample, c.age); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("peakEWMA(%v, %v, %v) = %v, want %v", c.average, c.sample, c.age, got, c.want)
		}
	}
}

func TestEjectFor(t *testing.T) {
	for _, c := range []struct {
		n    int
		unit float64
		want time.Duration
	}{
		{1, 0.5, time.Second},
		{1, 0, 800 * time.Millisecond},
		{3, 0.5, 4 * time.Second},
		{6, 0.5, 32 * time.Second},
		{7, 0.5, time.Minute},
		{7, 0.99, time.Minute},
		{1 << 20, 0, 48 * time.Second},
	} {
		if got := ejectFor(c.n, c.unit); got != c.want {
			t.Errorf("ejectFor(%d, %v) = %v, want %v", c.n, c.unit, got, c.want)
		}
	}
}

func TestLatencyKeepsAverageAndAge(t *testing.T) {
	var s stats
	now := start.UnixNano()
	if got := s.latency(now); got != unknownLatency {
		t.Errorf("latency of an unmeasured instance = %v, want %v", got, unknownLatency)
	}
	s.observe(now, 80*time.Millisecond)
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{{0, 80 * ms}, {latencyDecay, 80 * ms / math.E}, {time.Hour, latencyFloor}} {
		if got := s.latency(now + int64(c.after)); math.Abs(got-c.want) > 0.01*ms {
			t.Errorf("latency after %v = %v, want %v", c.after, got, c.want)
		}
	}
}

func TestDiceAreFairAndSeeded(t *testing.T) {
	var d dice
	d.start(rand.New(rand.NewPCG(5, 5)))
	var counts [10]int
	for range 100000 {
		r := d.roll()
		counts[r.below(10)]++
		if u := r.unit(); u < 0 || u >= 1 {
			t.Fatalf("unit() = %v", u)
		}
	}
	for i, n := range counts {
		if n < 9600 || n > 10400 {
			t.Errorf("number %d came %d times of 100000, want about 10000", i, n)
		}
	}
}
