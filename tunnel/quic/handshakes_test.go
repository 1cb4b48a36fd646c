package quic

import (
	"context"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// open returns how many handshakes of others a node has open.
func (n *testNode) open() (total, peers int) {
	n.handshakes.mu.Lock()
	defer n.handshakes.mu.Unlock()
	return n.handshakes.total, len(n.handshakes.of)
}

func TestQ29_ForgedDialsKeepLittleState(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		// Whoever forges a's address does not see what b answers.
		m.deafen(a.conn, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() { _, _ = a.connect(ctx, b.ID) })
		}
		time.Sleep(500 * time.Millisecond)
		if total, _ := b.open(); total != retryAbovePerPeer {
			t.Errorf("%d handshakes are open, want %d", total, retryAbovePerPeer)
		}
		cancel()
		group.Wait()
		m.deafen(a.conn, false)
		ping(t, a, b) // a itself answers, and gets in
		time.Sleep(2 * handshakeIdle)
		if total, peers := b.open(); total != 0 || peers != 0 {
			t.Errorf("%d handshakes of %d peers are open after all have ended", total, peers)
		}
		ping(t, a, b)
	})
}

func TestQ29_HandshakesAreBounded(t *testing.T) {
	h := handshakes{of: make(map[micronet.NodeID]int)}
	id := func(i int) micronet.NodeID { return micronet.NodeID{byte(i), byte(i >> 8), 1} }
	for range maxHandshakesPerPeer {
		if !h.begin(id(0)) {
			t.Fatal("refused too early")
		}
	}
	if h.begin(id(0)) || !h.crowded(id(0)) || h.crowded(id(1)) {
		t.Fatal("one peer has more than its share, or takes that of others")
	}
	for i := maxHandshakesPerPeer; i < maxHandshakes; i++ {
		if !h.begin(id(i)) {
			t.Fatalf("handshake %d refused", i)
		}
	}
	if h.begin(id(9999)) || !h.crowded(id(9999)) {
		t.Fatal("more than the bound")
	}
	h.end(id(0))
	if !h.begin(id(9999)) {
		t.Fatal("a place that is free is not given")
	}
}
