package gossip_test

import (
	"errors"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

func TestComparisons(t *testing.T) {
	c, a, b := gossip.NewComparisons(), micronet.NodeID{1}, micronet.NodeID{2}
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	heard := func(ms int, id micronet.NodeID, same, want bool) {
		t.Helper()
		if got := c.Heard(at(ms), id, same); got != want {
			t.Fatalf("at %d ms: compare %t, want %t", ms, got, want)
		}
	}
	if c.Same(a) {
		t.Fatal("of a peer that was not heard it is known what it holds")
	}
	heard(0, a, true, false)
	if !c.Same(a) {
		t.Fatal("it said so")
	}
	heard(1, a, false, true) // at once
	c.Compared(at(2), a, 1, nil)
	heard(100, b, false, false) // not two at a time
	heard(600, b, false, true)
	c.Compared(at(700), b, 0, nil)
	heard(1300, b, false, false) // it moved nothing
	heard(1400, a, false, true)
	c.Compared(at(1500), a, 0, errors.New("cut"))
	heard(3000, a, false, false)
	heard(5000, a, false, true)
	c.Changed(at(6000))
	if c.Same(a) {
		t.Fatal("it holds what was held before")
	}
	heard(6100, b, false, false) // it may be on its way
	heard(6400, b, false, true)  // whatever moved nothing before
	for ms := 7000; ms < 14_000; ms += 1000 {
		heard(ms, b, false, false) // it is being compared with
	}
	heard(7000+500, a, false, true) // which keeps nobody else waiting
	heard(15_000, b, false, true)   // it has had its time
	c.Expire(at(100_000))
	if c.Same(a) || c.Same(b) {
		t.Fatal("nothing is forgotten")
	}
}
