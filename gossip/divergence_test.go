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

// TestDivergenceFromAll: of many peers each is heard once in a while; that none of them agrees is seen
// before one is heard again.
func TestDivergenceFromAll(t *testing.T) {
	start := time.Unix(1000, 0)
	d := NewDivergence()
	next := 0
	// until returns how long it takes until there is a comparison, and with whom.
	until := func(from time.Duration, same func(i int) bool) (time.Duration, micronet.NodeID) {
		for i := range 30 {
			next++
			id := micronet.NodeID{byte(next), byte(next >> 8)}
			if at := from + time.Duration(i)*200*time.Millisecond; d.Heard(start.Add(at), id, same(i)) {
				return at - from, id
			}
		}
		return -1, micronet.NodeID{}
	}
	nobody := func(int) bool { return false }
	took, id := until(0, nobody)
	if took != divergeFor {
		t.Errorf("noticed after %v, want %v", took, divergeFor)
	}
	d.Compared(start.Add(divergeFor), id, true)
	if took, _ = until(10*time.Second, func(i int) bool { return i%4 == 3 }); took >= 0 {
		t.Errorf("compared after %v although every fourth agrees", took)
	}
	took, id = until(20*time.Second, nobody)
	if took < 0 {
		t.Error("not noticed the second time")
	}
	d.Compared(start.Add(20*time.Second+took), id, false)
	if took, _ = until(30*time.Second, nobody); took >= 0 {
		t.Errorf("compared after %v with another one, although it brought nothing before", took)
	}
}
