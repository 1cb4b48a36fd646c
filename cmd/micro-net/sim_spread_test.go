package main

import (
	"testing"
	"time"
)

// 299, 473 and 913 are the least numbers of samples whose largest, second and fifth largest bound the
// quantile (Wilks).
func TestBoundOfAQuantile(t *testing.T) {
	for _, c := range []struct{ n, want int }{{10, 10}, {298, 298}, {299, 298}, {473, 471}, {913, 908}, {1000, 995}} {
		if got := boundOf(c.n, 0.99, 0.95); got != c.want {
			t.Errorf("of %d samples number %d bounds the quantile, want %d", c.n, got, c.want)
		}
	}
}

func TestSpread(t *testing.T) {
	var times []time.Duration
	for i := range 300 {
		times = append(times, time.Duration(300-i)*time.Second)
	}
	const want = "half within 2m30s, 99 % within 4m57s, all within 5m0s; at 95 % confidence 99 % take at most 5m0s"
	if got := spread(times); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := spread(times[:1]), "half within 5m0s, 99 % within 5m0s, all within 5m0s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
