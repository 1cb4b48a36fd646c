package netsim

import (
	"testing"
	"time"
)

func TestBurstHasItsShareAndItsLength(t *testing.T) {
	const slots = 200_000
	for _, c := range []struct{ share, mean, wantMean float64 }{
		{0.1, 10, 10},
		{0.01, 3, 3},
		{0.5, 20, 20},
		{0.9, 40, 40},
		{0.2, 1, 1.25}, // no shorter: bad slots that know nothing of each other
		{0.75, 0, 4},
	} {
		b := Burst{Share: c.share}
		bad, spells, was := 0, 0, false
		for n := range uint64(slots) {
			is := b.bad(7, n, c.mean)
			if is {
				bad++
			}
			if is && !was {
				spells++
			}
			was = is
		}
		near(t, "share of bad slots", float64(bad)/slots, c.share)
		near(t, "mean length of a spell", float64(bad)/float64(spells), c.wantMean)
	}
}

// TestBurstIsWhatAWalkFinds compares looking back with walking the chain from its beginning.
func TestBurstIsWhatAWalkFinds(t *testing.T) {
	const share1, mean = 0.3, 8.0
	b := Burst{Share: share1}
	state := share(3, 0) < share1
	for n := range uint64(5000) {
		if n > 0 {
			switch u := share(3, n); {
			case state && u >= 1-1/mean:
				state = false
			case !state && u < share1/(1-share1)/mean:
				state = true
			}
		}
		if got := b.bad(3, n, mean); got != state {
			t.Fatalf("slot %d: bad = %v, the walk says %v", n, got, state)
		}
	}
}

func TestBurstEdges(t *testing.T) {
	for n := range uint64(100) {
		if (Burst{}).loses(n, 1, n, 0) {
			t.Fatal("the zero Burst loses packets")
		}
		if !(Burst{Share: 1, Packets: 5}).loses(n, 1, n, 0) || !(Burst{Share: 1, Time: time.Second}).loses(n, 1, n, 0) {
			t.Fatal("a share of 1 lets packets pass")
		}
	}
	passed := 0
	for n := range uint64(100_000) {
		if !(Burst{Share: 1, Packets: 5, Loss: 0.7}).loses(nth(9, n), 1, n, 0) {
			passed++
		}
	}
	near(t, "passed in a bad spell", float64(passed)/100_000, 0.3)
}

func TestBurstsOfPackets(t *testing.T) {
	link := Link{Latency: time.Millisecond, Burst: Burst{Share: 0.2, Packets: 10}}
	inWorld(t, 1, Options{Link: link}, func(t *testing.T, w *three) {
		a := listenPacket(t, w.a, wild(1))
		listenPacket(t, w.b, wild(1))
		for range 20_000 {
			send(t, a, "x", at(addrB, 1))
		}
		s := w.Stats()
		near(t, "lost in bad spells", float64(s.Burst)/20_000, 0.2)
		if s.Lost != 0 {
			t.Errorf("Lost = %d, want losses of bad spells counted apart", s.Lost)
		}
	})
}

// TestBurstsOfTimeMeetDatagramsAndStreams: in a bad spell neither passes, in a good one both do.
func TestBurstsOfTimeMeetDatagramsAndStreams(t *testing.T) {
	link := Link{Latency: time.Millisecond, Burst: Burst{Share: 0.3, Time: 20 * time.Second}}
	inWorld(t, 1, Options{Link: link}, func(t *testing.T, w *three) {
		c, _ := pair(t, w)
		a := listenPacket(t, w.a, wild(1))
		listenPacket(t, w.b, wild(1))
		spells, differ := 0, 0
		for range 300 {
			time.Sleep(time.Second)
			before := w.Stats().Burst
			send(t, a, "x", at(addrB, 1))
			one := w.Stats().Burst - before
			w.mu.Lock() // one segment, without the retries of a stream
			w.launchLocked(c.packetLocked(0, nil, func(*packet) Why { return "" }))
			w.mu.Unlock()
			two := w.Stats().Burst - before - one
			spells += int(one)
			if one != two {
				differ++
			}
		}
		if spells < 30 || spells > 200 || differ != 0 {
			t.Errorf("%d of 300 datagrams met a bad spell, %d times a segment did not fare the same", spells, differ)
		}
	})
}

func TestStreamsSurviveBursts(t *testing.T) {
	link := Link{Latency: testLatency, Burst: Burst{Share: 0.3, Packets: 4}}
	inWorld(t, 3, Options{Link: link}, func(t *testing.T, w *three) {
		c, s := pair(t, w)
		go func() {
			_, _ = c.Write(make([]byte, 1<<20))
			_ = c.CloseWrite()
		}()
		if n := len(readAll(t, s)); n != 1<<20 || w.Stats().Burst == 0 {
			t.Errorf("read %d bytes with %d losses, want all with some", n, w.Stats().Burst)
		}
	})
}
