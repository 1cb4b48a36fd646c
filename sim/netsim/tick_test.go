package netsim

import (
	"slices"
	"testing"
	"time"
)

// delivery is what arrived when.
type delivery struct {
	at   time.Duration
	what string
}

// deliveries are those of datagrams of two hosts at a third, over paths that reorder.
func deliveries(t *testing.T, tick time.Duration) (out []delivery) {
	opts := Options{Link: Link{Latency: testLatency, Jitter: 10 * time.Millisecond, Reorder: 0.2}, Tick: tick}
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		w.Trace = func(e Event) {
			if e.Step == Delivered {
				out = append(out, delivery{e.At, e.From + string(e.Data)})
			}
		}
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		_ = listenPacket(t, w.c, wild(1))
		for i := range 60 {
			time.Sleep(1300 * time.Microsecond)
			send(t, a, string(rune('A'+i)), at(addrC, 1))
			send(t, b, string(rune('A'+i)), at(addrC, 1))
		}
		time.Sleep(time.Second)
	})
	return out
}

// What a tick gathers arrives in its order, never early, and late by less than a tick.
func TestTickGathersArrivals(t *testing.T) {
	const tick = 2 * time.Millisecond
	exact, gathered := deliveries(t, 0), deliveries(t, tick)
	if len(exact) != 120 || len(gathered) != len(exact) {
		t.Fatalf("%d datagrams arrived, and %d with ticks", len(exact), len(gathered))
	}
	instants := map[time.Duration]bool{}
	for i, e := range exact {
		g := gathered[i]
		if late := g.at - e.at; g.what != e.what || late < 0 || late >= tick || g.at%tick != 0 {
			t.Errorf("%d: %s at %v, and with ticks %s at %v", i, e.what, e.at, g.what, g.at)
		}
		instants[g.at] = true
	}
	if len(instants) > len(exact)*3/4 {
		t.Errorf("%d datagrams arrived at %d instants", len(exact), len(instants))
	}
}

// Timers of whole ticks fall onto the instants at which packets arrive.
func TestTicksHaveNoPhase(t *testing.T) {
	opts := steady()
	opts.Tick = time.Millisecond
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		phases := []time.Duration{w.a.Env().Phase, w.b.Env().Phase}
		if !slices.Equal(phases, []time.Duration{0, 0}) {
			t.Errorf("phases %v", phases)
		}
	})
}
