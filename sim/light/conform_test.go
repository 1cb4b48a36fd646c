package light

import (
	"testing"
	"time"

	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// window is what netsim takes from a writer while nobody reads.
const window = 256 << 10

func TestConforms(t *testing.T) {
	for _, c := range []struct {
		name string
		link netsim.Link
	}{
		{"fast", netsim.Link{}},
		{"usual", netsim.Link{Latency: testLatency, Jitter: time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tunneltest.Conform(t, func(t *testing.T) tunneltest.Pair { t.Helper(); return makePair(t, c.link) })
		})
	}
}

func makePair(t *testing.T, link netsim.Link) tunneltest.Pair {
	t.Helper()
	w := newWorld(t, link)
	a, b := newNode(t, w, "a", addrA, 1), newNode(t, w, "b", addrB, 2)
	introduce(a, b)
	p := tunneltest.Pair{IDA: a.id, IDB: b.id, Buffered: window}
	for _, side := range []struct {
		n   *testNode
		tun *tunnel.Tunnel
	}{{a, &p.A}, {b, &p.B}} {
		tun, err := New(side.n.conf)
		if err != nil {
			t.Fatal(err)
		}
		*side.tun = tun
	}
	return p
}
