package heartbeat

import (
	"testing"
	"time"
)

const (
	sec = time.Second
	ms  = time.Millisecond
)

// wantStart demands how far the estimate is off. The truth is epoch.
func (e *estimate) wantStart(t *testing.T, want time.Duration) {
	t.Helper()
	if got := e.start.Sub(epoch); got != want {
		t.Errorf("the estimate is %v off, want %v", got, want)
	}
}

// The quickest beat counts, and drift since then.
func TestEstimateLeast(t *testing.T) {
	e := newEstimate(epoch.Add(3000 * sec))
	for _, x := range []struct {
		beat  time.Duration // the time of the chain
		delay time.Duration
		want  time.Duration
	}{
		{4000 * sec, 900 * ms, 900 * ms},
		{4002 * sec, 2 * sec, 900*ms + 3100*time.Microsecond},
		{4004 * sec, 300 * ms, 300 * ms},
		{4014 * sec, 300 * ms, 300 * ms},
		{4024 * sec, 300*ms + 5*ms, 305 * ms},
		{4124 * sec, 20 * sec, 305*ms + 119695*time.Microsecond},
		{9000 * sec, 20 * sec, 305*ms + 119695*time.Microsecond + 300*ms}, // a silence of more than five minutes
	} {
		e.arrived(epoch.Add(x.beat+x.delay), x.beat)
		e.wantStart(t, x.want)
	}
}

// Of a chain that we have known from its beginning we know that it cannot have begun later.
func TestEstimateAnchor(t *testing.T) {
	e := newEstimate(epoch)
	e.arrived(epoch.Add(100*sec), 20*sec)
	e.wantStart(t, 100*ms)
}

// Beat k proves that k intervals have passed, even if our clock stood still meanwhile.
func TestEstimateOurClockStood(t *testing.T) {
	e := newEstimate(epoch)
	e.arrived(epoch.Add(20*sec), 200*sec)
	e.wantStart(t, -180*sec)
}

func TestEstimateClaims(t *testing.T) {
	e := estimate{start: epoch, at: epoch}
	for _, x := range []struct{ claimed, made, repeated time.Duration }{
		{5 * sec, 5 * sec, 5 * sec},
		{-time.Hour, -time.Hour, -time.Hour},
		{10 * sec, 10 * sec, 10 * sec},
		{11 * sec, 11 * sec, 10 * sec},
		{time.Hour, 10*sec + Slack, 10 * sec},
	} {
		claimed := epoch.Add(x.claimed)
		if got := e.made(claimed, 10*sec).Sub(epoch); got != x.made {
			t.Errorf("claimed %v: made %v, want %v", x.claimed, got, x.made)
		}
		if got := e.repeated(claimed, 10*sec).Sub(epoch); got != x.repeated {
			t.Errorf("repeated with %v: made %v, want %v", x.claimed, got, x.repeated)
		}
	}
	e.trust(epoch.Add(101*sec), epoch.Add(100*sec), 40*sec)
	e.wantStart(t, 60*sec)
}
