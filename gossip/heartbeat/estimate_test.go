package heartbeat

import (
	"testing"
	"time"
)

const (
	sec = time.Second
	ms  = time.Millisecond
)

// feed tells one beat per two seconds. It arrives on time, or late by what is positive in off, and
// is told to be 0 old, or older by what is negative. The truth is that the chain began at epoch.
func (e *estimate) feed(from uint32, off ...time.Duration) {
	for i, d := range off {
		k := from + uint32(i)
		due := epoch.Add(time.Duration(k) * 2 * sec)
		e.made(due.Add(max(d, 0)), k, 2*sec, max(-d, 0))
	}
}

func TestEstimateFirstSamples(t *testing.T) {
	for _, c := range []struct {
		name string
		off  []time.Duration
		want time.Duration
	}{
		{"one", []time.Duration{100 * ms}, 100 * ms},
		{"the later of two, but not later than proven", []time.Duration{-time.Hour, 100 * ms}, 2 * ms},
		{"the later of two, late first", []time.Duration{100 * ms, -time.Hour}, 0},
		{"the median", []time.Duration{30 * ms, -time.Hour, 10 * ms, -time.Hour, 20 * ms, -time.Hour, 40 * ms}, 2 * ms},
		{"early lies", []time.Duration{-time.Hour, 0, 0, -time.Hour, 0, -time.Hour, 0}, 0},
		{"too many early lies", []time.Duration{-time.Hour, 0, 0, -time.Hour, -time.Hour, -time.Hour, 0}, -time.Hour},
		{"late lies", []time.Duration{9 * sec, 40 * ms, 9 * sec, 9 * sec, 9 * sec, 9 * sec, 9 * sec}, 58 * ms},
	} {
		e := newEstimate(epoch.Add(time.Hour))
		e.feed(1000, c.off...)
		if got := e.start.Sub(epoch); got.Truncate(ms) != c.want {
			t.Errorf("%s: the estimate is %v off, want %v", c.name, got, c.want)
		}
	}
}

// Somebody with many beats at hand is one voice.
func TestEstimateOneVoice(t *testing.T) {
	e := newEstimate(epoch.Add(time.Hour))
	now := epoch.Add(5000 * sec)
	for k := range uint32(10) {
		e.made(now, 100+k, 2*sec, 0)
	}
	if e.n != 1 {
		t.Errorf("%d samples at one moment", e.n)
	}
	e.feed(2501, 0, 0, 0, 0)
	if e.n != 5 || !e.start.Equal(epoch) {
		t.Errorf("%d samples, the estimate is %v off", e.n, e.start.Sub(epoch))
	}
}

// Of a chain that we have known from its beginning we know that it cannot have begun later.
func TestEstimateKnown(t *testing.T) {
	e := newEstimate(epoch)
	e.feed(10, 80*sec)
	if got, want := e.start.Sub(epoch), 100*ms; got != want { // one per mille of 100 s
		t.Errorf("the estimate is %v off, want %v", got, want)
	}
}

// An estimate that stands moves by drift, whatever is said.
func TestEstimateMoves(t *testing.T) {
	for said, want := range map[time.Duration]time.Duration{
		-time.Hour: -100 * ms, -40 * ms: -40 * ms, 40 * ms: 40 * ms, time.Hour: 100 * ms,
	} {
		e := estimate{}
		e.trust(epoch.Add(200*sec), 100, 2*sec, 0)
		e.learn(epoch.Add(300*sec), epoch.Add(said), 2*sec)
		if got := e.start.Sub(epoch); got != want {
			t.Errorf("a sample %v off moved it by %v, want %v", said, got, want)
		}
	}
}

// Beat k proves that k intervals have passed, even if our clock stood still meanwhile.
func TestEstimateOurClockStood(t *testing.T) {
	e := estimate{}
	e.trust(epoch.Add(20*sec), 10, 2*sec, 0)
	made := e.made(epoch.Add(25*sec), 100, 2*sec, sec)
	if got := made.Sub(epoch); got != 24*sec {
		t.Errorf("the beat was made after %v, want 24s", got)
	}
	if got := e.start.Sub(epoch); got != -175*sec {
		t.Errorf("the chain began after %v, want -175s", got)
	}
}
