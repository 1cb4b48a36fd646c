package node

import (
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
)

// TestMetricFollowsThePath: the metric of a route is that of the way in use as soon as the next view is made, when packets
// take a detour and when they go directly again.
func TestMetricFollowsThePath(t *testing.T) {
	inBubble(t, 601, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		c := b.start("c", b.invite(a))
		r := b.start("r", b.invite(a))
		between := func(x, y *simNode, latency time.Duration) {
			b.world.SetLink(x.host, y.host, netsim.Link{Latency: latency})
			b.world.SetLink(y.host, x.host, netsim.Link{Latency: latency})
		}
		between(a, r, 60*time.Millisecond)
		between(c, r, 60*time.Millisecond)
		between(a, c, 2*time.Millisecond)
		b.await(drainFor, "all see all", b.alive(3, a, c, r))
		b.serve(c, "echo", "c")
		b.await(drainFor, "calls", b.answers(a, "echo", "c"))

		m := &metricWatch{b: b, at: a, to: c.node.ID()}
		m.watch(3 * time.Second)
		heal := b.world.Apart([]*netsim.Host{a.host}, []*netsim.Host{c.host})
		m.watch(8 * time.Second)
		heal()
		m.watch(15 * time.Second)
		if m.turns != 2 || m.route != micronet.PathDirect {
			t.Errorf("the route changed its path %d times and is %s; want a detour and back", m.turns, m.route)
		}
	})
}

// metricWatch calls a service and looks at the only route to it.
type metricWatch struct {
	b     *bubble
	at    *simNode
	to    micronet.NodeID
	path  tunnelPath
	since time.Time // packets take it
	route micronet.PathKind
	turns int // changes of route
}

// tunnelPath is what packets take.
type tunnelPath struct {
	relay     micronet.NodeID
	confirmed bool
}

func (m *metricWatch) watch(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_ = m.b.answers(m.at, "echo", "c")() // it may fail, or take long, while there is no way
		m.look()
	}
}

func (m *metricWatch) look() {
	p, _ := m.at.life().under.Path(m.to)
	if now := (tunnelPath{p.Relay, p.Confirmed}); now != m.path {
		m.path, m.since = now, time.Now()
	}
	list, err := m.at.backend().Routes("echo")
	if err != nil || len(list) != 1 {
		m.b.t.Fatalf("%+v, %v", list, err)
	}
	got := list[0]
	if m.route != "" && got.Path != m.route {
		m.turns++
	}
	m.route = got.Path
	if !p.Confirmed || time.Since(m.since) < viewEvery+3*viewPerNode {
		return
	}
	rtt := time.Duration(got.RTTMs * float64(time.Millisecond))
	metric := time.Duration(got.Metric) * time.Microsecond
	if (rtt-p.RTT).Abs() > p.RTT/5 || metric < rtt || metric > 2*rtt+2*time.Millisecond || got.Path != pathKind(p.Relay) {
		m.b.t.Fatalf("%v after packets took another way (%s, %v): path %s, round trip %v, metric %v (%s)",
			time.Since(m.since), pathKind(p.Relay), p.RTT, got.Path, rtt, metric, got.Reason)
	}
}
