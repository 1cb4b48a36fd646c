package netsim

import (
	"testing"
	"time"
)

func TestWallClocks(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		e := w.a.Env()
		want := func(what string, ahead time.Duration) {
			t.Helper()
			if got := time.Until(e.Wall()); got != ahead || w.a.Skew() != ahead {
				t.Errorf("%s: %v ahead, Skew is %v, want %v", what, got, w.a.Skew(), ahead)
			}
		}
		want("at first", 0)
		w.a.SetDrift(500)
		time.Sleep(1000 * time.Second)
		want("500 ppm fast for 1000 s", 500*time.Millisecond)
		w.a.StepWall(time.Second)
		want("after a step", 1500*time.Millisecond)
		w.a.SetDrift(-100)
		time.Sleep(1000 * time.Second)
		want("100 ppm slow for 1000 s", 1400*time.Millisecond)
		w.a.SetSkew(-time.Minute)
		want("set", -time.Minute)
		time.Sleep(100 * time.Second)
		want("and on", -time.Minute-10*time.Millisecond)
		w.a.SetDrift(0)
		time.Sleep(time.Hour)
		want("without drift", -time.Minute-10*time.Millisecond)
		if d := time.Until(w.b.Env().Wall()); d != 0 {
			t.Errorf("another host's clock is %v ahead", d)
		}
	})
}
