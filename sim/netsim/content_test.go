package netsim

import (
	"testing"
	"time"
)

// shouting is what begins with a capital letter.
type shouting struct{}

func (shouting) Has(b []byte) bool { return len(b) > 0 && b[0] >= 'A' && b[0] <= 'Z' }

func TestPathDropsSomeContent(t *testing.T) {
	inWorld(t, 1, Options{Link: Link{Latency: testLatency}}, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		w.SetLink(w.a, w.b, Link{Latency: testLatency, Drops: shouting{}})
		for _, text := range []string{"Lost", "passes", "", "Lost too"} {
			send(t, a, text, at(addrB, 1))
		}
		for _, want := range []string{"passes", ""} {
			if got, _ := hear(t, b, time.Second); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
		if n := w.Stats().Content; n != 2 {
			t.Errorf("%d datagrams were dropped for what is in them, want 2", n)
		}
		send(t, b, "The way back", at(addrA, 1))
		if got, _ := hear(t, a, time.Second); got == "" {
			t.Error("the way back drops it too")
		}
	})
}
