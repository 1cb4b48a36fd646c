package lane

import (
	"slices"
	"testing"
	"time"

	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

func TestConforms(t *testing.T) {
	tunneltest.Conform(t, func(t *testing.T) tunneltest.Pair {
		t.Helper()
		a, b := pair(t)
		return tunneltest.Pair{A: asOne{a}, B: asOne{b}, IDA: a.self, IDB: b.self, Buffered: Window}
	})
}

// pair makes two nodes that are a millisecond apart.
func pair(t *testing.T) (a, b *testNode) {
	t.Helper()
	_, a, b = pairOn(t)
	return a, b
}

// pairOn does so, and returns how to cut what goes from one to the other over TCP.
func pairOn(t *testing.T) (cut func(from, to *testNode) (heal func()), a, b *testNode) {
	t.Helper()
	w, hosts := world(t, netsim.Link{Latency: 500 * time.Microsecond})
	f := newField()
	a = f.newNode(t, hosts[0].Env(), tunneltest.NewIdentity(t, 1), "10.0.0.1:8085")
	b = f.newNode(t, hosts[1].Env(), tunneltest.NewIdentity(t, 2), "10.0.0.2:8085")
	a.host, b.host = hosts[0], hosts[1]
	return func(from, to *testNode) func() { return w.Cut(from.host, to.host) }, a, b
}

// asOne shows what there is with a peer as one connection: lanes, and the connection below that the first stream went over.
type asOne struct{ *testNode }

func (a asOne) Connections() []tunnel.ConnectionInfo {
	return slices.CompactFunc(a.testNode.Connections(), func(x, y tunnel.ConnectionInfo) bool { return x.Peer == y.Peer })
}
