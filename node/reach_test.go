package node

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// outerAddr is that of the NATs in these tests.
var outerAddr = netip.MustParseAddr("203.0.113.1")

// behind puts a host behind a device of the simulated network.
func (b *bubble) behind(n *netsim.NAT, name string, last byte) {
	h := n.Host(name, netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 0, last}), 16))
	done := make(chan struct{})
	close(done)
	b.nodes[name] = &simNode{host: h, stop: func() {}, done: done}
}

func (b *bubble) reach(n *simNode) api.Reach {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := n.backend().Reach(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// to finds what is said of a node.
func to(t *testing.T, r api.Reach, name string) api.Reachable {
	t.Helper()
	for _, n := range r.Nodes {
		if n.Node == name {
			return n
		}
	}
	t.Fatalf("nothing is said of %s: %+v", name, r)
	return api.Reachable{}
}

// TestReachKnowsNATs: what peers see tells the kinds of NATs apart, whoever else is behind them.
func TestReachKnowsNATs(t *testing.T) {
	for i, c := range []struct {
		kind     netsim.NATKind
		neighbor bool // another node behind the same NAT
		want     api.NATKind
	}{
		{netsim.FullCone, false, api.NATIndependent},
		{netsim.AddressRestricted, false, api.NATIndependent},
		{netsim.PortRestricted, false, api.NATIndependent},
		{netsim.PortRestricted, true, api.NATIndependent},
		{netsim.Symmetric, false, api.NATDependent},
		{netsim.Symmetric, true, api.NATDependent},
	} {
		t.Run(fmt.Sprintf("%s neighbor %v", c.kind, c.neighbor), func(t *testing.T) {
			inBubble(t, uint64(900+i), func(t *testing.T, b *bubble) {
				names := []string{"a", "b", "hidden"}
				n := b.world.NAT("nat", outerAddr, netsim.NATOptions{Kind: c.kind})
				b.behind(n, "hidden", 10)
				if c.neighbor {
					b.behind(n, "neighbor", 11)
					names = append(names, "neighbor")
				}
				all := b.mesh(names...)
				r := b.reach(all[2])
				if len(r.NATs) != 1 || r.NATs[0].Kind != c.want || r.NATs[0].Family != "ipv4" || r.NATs[0].Nodes != 2 || !strings.HasPrefix(r.NATs[0].Seen[0], "203.0.113.1:") {
					t.Errorf("behind it: %+v", r.NATs)
				}
				if c.neighbor {
					if x := to(t, r, "neighbor"); !x.Inside || x.Stranger != "" {
						t.Errorf("the neighbor, which says nothing about the world: %+v", x)
					}
				}
				if x := to(t, r, "a"); !x.UDP || x.Inside || x.Unasked || x.Path != micronet.PathDirect || x.Carries != 1452 {
					t.Errorf("of a: %+v", x)
				}
				open := b.reach(all[0])
				if len(open.NATs) != 1 || open.NATs[0].Kind != api.NATNone || open.NATs[0].Seen[0] != "10.0.0.1:8085" {
					t.Errorf("in the open: %+v", open.NATs)
				}
				if x := to(t, open, "hidden"); !x.UDP || !x.Unasked {
					t.Errorf("of hidden: %+v", x)
				}
			})
		})
	}
}

// TestReachNeedsTwoOutside: with one, nothing can be told apart, and alone nothing at all.
func TestReachNeedsTwoOutside(t *testing.T) {
	inBubble(t, 910, func(t *testing.T, b *bubble) {
		b.behind(b.world.NAT("nat", outerAddr, netsim.NATOptions{Kind: netsim.Symmetric}), "hidden", 10)
		a := b.start("a", "")
		if r := b.reach(a); r.Port != 8085 || len(r.Nodes) != 0 || len(r.NATs) != 1 || r.NATs[0].Kind != api.NATUnknown {
			t.Errorf("alone: %+v", r)
		}
		hidden := b.start("hidden", b.invite(a))
		b.await(drainFor, "both see both", b.alive(2, a, hidden))
		if r := b.reach(hidden); r.NATs[0].Kind != api.NATUnknown || r.NATs[0].Nodes != 1 {
			t.Errorf("with one outside: %+v", r.NATs)
		}
	})
}

// TestReachSeesBlockedUDP: a node whose UDP is blocked says so, and others name it.
func TestReachSeesBlockedUDP(t *testing.T) {
	inBubble(t, 911, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "walled")
		b.world.SetFirewall(all[2].host, netsim.Firewall{BlockUDP: true})
		b.await(time.Minute, "it says that UDP reaches nobody", func() error {
			if r := b.reach(all[2]); r.NATs[0].Kind != api.NATBlocked || to(t, r, "a").UDP {
				return fmt.Errorf("%+v", r)
			}
			return nil
		})
		r := b.reach(all[0])
		if x := to(t, r, "walled"); x.UDP || x.Transport != micronet.TransportTCP {
			t.Errorf("of walled: %+v", x)
		}
		if x := to(t, r, "b"); !x.UDP || x.Transport != micronet.TransportQUIC || r.NATs[0].Kind != api.NATNone {
			t.Errorf("of b: %+v, %+v", x, r.NATs)
		}
	})
}

// TestReachNamesNarrowPaths: a hop of 1280 bytes that tells nobody, and one that loses only large packets.
func TestReachNamesNarrowPaths(t *testing.T) {
	inBubble(t, 912, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		link := netsim.Link{Latency: 10 * time.Millisecond, MTU: 1280}
		b.world.SetLink(all[0].host, all[1].host, link)
		b.world.SetLink(all[1].host, all[0].host, link)
		link.MTU = 1460
		b.world.SetLink(all[0].host, all[2].host, link)
		r := b.reach(all[0])
		if x := to(t, r, "b"); x.Carries != 1252 || x.Lost != 1332 || !x.UDP {
			t.Errorf("of b: %+v", x)
		}
		if x := to(t, r, "c"); x.Carries != 1422 || x.Lost != 1452 {
			t.Errorf("of c: %+v", x)
		}
		if x := to(t, b.reach(all[2]), "a"); x.Carries != 1452 || x.Lost != 0 {
			t.Errorf("of a, the other way: %+v", x)
		}
	})
}

// TestReachTriesStrangers: whether others get in that this host has never sent anything to.
func TestReachTriesStrangers(t *testing.T) {
	inBubble(t, 913, func(t *testing.T, b *bubble) {
		b.behind(b.world.NAT("nat", outerAddr, netsim.NATOptions{Kind: netsim.PortRestricted}), "hidden", 10)
		b.behind(b.world.NAT("cone-nat", netip.MustParseAddr("203.0.113.2"), netsim.NATOptions{Kind: netsim.FullCone}), "cone", 11)
		b.world.SetFirewall(b.prepare("shut").host, netsim.Firewall{BlockInbound: true})
		all := b.mesh("open", "shut", "hidden", "cone")
		for i, want := range []api.StrangerState{api.StrangerArrived, api.StrangerLost, api.StrangerLost, api.StrangerArrived} {
			r := b.reach(all[i])
			tried := 0
			for _, n := range r.Nodes {
				if n.Stranger != "" {
					tried++
				}
				if n.Stranger != "" && n.Stranger != want {
					t.Errorf("%s: packets of %s: %s, want %s", all[i].host.Name(), n.Node, n.Stranger, want)
				}
			}
			if tried == 0 {
				t.Errorf("%s: nobody tried: %+v", all[i].host.Name(), r.Nodes)
			}
		}
		all[0].life().poking <- struct{}{}
		for len(all[0].life().poking) < maxPokes {
			all[0].life().poking <- struct{}{}
		}
		err := all[1].life().ask(t.Context(), all[0].node.ID(), controlRequest{Verb: verbPoke}, nil)
		wantError(t, "a node that pokes enough", err, micronet.Overloaded)
	})
}

// TestReachTriesMappedPorts: behind a NAT that lets only replies in, others get in by the port that its router opened, which need not
// be the one that this host's packets come from. Without that port nobody does.
func TestReachTriesMappedPorts(t *testing.T) {
	inBubble(t, 914, func(t *testing.T, b *bubble) {
		opts := netsim.NATOptions{Kind: netsim.Symmetric, Timeout: 30 * time.Second, ForwardsIn: true}
		h, _, _ := b.behindRouterOf(opts, "home", "203.0.113.8", nil)
		c, _, _ := b.behindRouterOf(opts, "closed", "203.0.113.9", nil)
		a := b.start("open", "")
		b.start("home", b.invite(a))
		b.start("closed", b.invite(a), func(c *Config) { c.PortMap = PortMapOff })
		b.await(15*time.Second, "all see all", b.alive(3, a, h, c))
		b.await(5*time.Second, "home is let in", b.mapped(h, "granted", "203.0.113.8:8085"))
		if n := to(t, b.reach(h), "open"); n.Stranger != api.StrangerArrived {
			t.Errorf("through the port of the router: %+v", n)
		}
		if n := to(t, b.reach(c), "open"); n.Stranger != api.StrangerLost {
			t.Errorf("with no port: %+v", n)
		}
	})
}
