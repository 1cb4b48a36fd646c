package netsim

import (
	"net/netip"
	"testing"
	"time"
)

// twice sends all datagrams to one port twice, the second time later and in other words.
type twice struct{}

func (twice) Take(to netip.AddrPort, b []byte) []Outgoing {
	if to.Port() != 1 {
		return nil
	}
	return []Outgoing{{Data: b}, {Data: []byte("again"), After: time.Second}}
}

func TestHandTakesWhatLeaves(t *testing.T) {
	inWorld(t, 1, Options{Link: Link{Latency: testLatency}}, func(t *testing.T, w *three) {
		a, b, other := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1)), listenPacket(t, w.b, wild(2))
		w.a.SetHand(twice{})
		send(t, a, "once", at(addrB, 1))
		send(t, a, "never", at(addrB, 2))
		for _, want := range []string{"once", "", "again"} {
			if got, _ := hear(t, b, 600*time.Millisecond); got != want {
				t.Errorf("heard %q, want %q", got, want)
			}
		}
		send(t, a, "once", at(addrB, 1))
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"once", ""} {
			if got, _ := hear(t, b, 2*time.Second); got != want {
				t.Errorf("of a socket that is closed: heard %q, want %q", got, want)
			}
		}
		w.a.SetHand(nil)
		send(t, listenPacket(t, w.a, wild(3)), "free", at(addrB, 2))
		if got, _ := hear(t, other, time.Second); got != "free" {
			t.Errorf("heard %q", got)
		}
	})
}
