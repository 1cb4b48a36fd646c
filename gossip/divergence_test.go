package gossip

import (
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestDivergence(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	a, b := micronet.NodeID{1}, micronet.NodeID{2}
	d := NewDivergence()
	heard := func(s float64, id micronet.NodeID, same, want bool) {
		t.Helper()
		if got := d.Heard(at(s), id, same); got != want {
			t.Errorf("at %v: compare = %v, want %v", s, got, want)
		}
	}
	heard(0, a, false, false)   // broadcasts may be on their way
	heard(0.5, a, false, false) // still
	heard(0.6, a, true, false)  // they were
	heard(2, a, false, false)
	heard(3.1, a, false, true)
	d.Compared(at(3.2), a, true)
	heard(3.3, a, false, false) // begins anew
	heard(3.4, b, false, false)
	heard(4.9, b, false, false) // too soon after the last
	heard(5.2, b, false, true)
	d.Compared(at(5.3), b, false)
	heard(20, b, false, false) // it brought nothing
	heard(20, a, false, true)
	d.Compared(at(20), a, true)
	heard(36, b, false, true)
	d.Expire(at(200))
	heard(201, b, false, false)
	for i := range maxDivergent + 10 {
		d.Heard(at(300), micronet.NodeID{3, byte(i), byte(i >> 8)}, false)
	}
	if len(d.peers) > maxDivergent {
		t.Errorf("%d peers are remembered", len(d.peers))
	}
}
