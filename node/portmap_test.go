package node

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/micro-net/internal/portmap"
	"github.com/micro/micro-net/internal/portmap/portmaptest"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// behindRouter makes the host of a daemon behind a NAT of its own that gives every connection another port, with a router that lets others in.
func (b *bubble) behindRouter(name, outer string, change func(*portmaptest.Router)) (*simNode, *netsim.NAT, *portmaptest.Box) {
	return b.behindRouterOf(netsim.NATOptions{Kind: netsim.Symmetric, Timeout: 30 * time.Second}, name, outer, change)
}

func (b *bubble) behindRouterOf(opts netsim.NATOptions, name, outer string, change func(*portmaptest.Router)) (*simNode, *netsim.NAT, *portmaptest.Box) {
	nat := b.world.NAT(name+"-nat", netip.MustParseAddr(outer), opts)
	box := portmaptest.NewBox(nat, nat.Gateway(name+"-gw", netip.MustParsePrefix("192.168.1.1/24")), change)
	ctx, cancel := context.WithCancel(context.Background())
	b.wg.Go(func() { _ = box.Run(ctx) })
	done := make(chan struct{})
	close(done)
	b.nodes[name] = &simNode{host: nat.Host(name, netip.MustParsePrefix("192.168.1.20/24")), stop: func() {}, done: done}
	b.boxes = append(b.boxes, cancel)
	return b.nodes[name], nat, box
}

func portMapping(n *simNode) api.PortMapping { return n.backend().Status().PortMapping }

// mapped checks what status shows, and whether others are told so.
func (b *bubble) mapped(n *simNode, state, address string) func() error {
	return func() error {
		s := portMapping(n)
		if s.State != state || s.Address != address {
			return fmt.Errorf("%+v, want %s %s", s, state, address)
		}
		told := slices.ContainsFunc(n.life().address.where(), func(a netip.AddrPort) bool { return a.String() == address })
		if told != (state == string(portmap.Granted)) {
			return fmt.Errorf("%s: endpoints %v", state, n.life().address.where())
		}
		return nil
	}
}

// direct checks how packets of one daemon get to another one.
func direct(from, to *simNode) func() error {
	return func() error {
		p, ok := from.life().under.Path(to.node.ID())
		if !ok || !p.Confirmed || p.TCP || !p.Relay.IsZero() {
			return fmt.Errorf("the path is %+v", p)
		}
		return nil
	}
}

// TestPortMappingsLetMeet: two homes whose NATs let nobody meet reach each other directly through the ports that their routers open, by PCP
// and by NAT-PMP. Stopped daemons give them back.
func TestPortMappingsLetMeet(t *testing.T) {
	inBubble(t, 81, func(t *testing.T, b *bubble) {
		h, _, boxH := b.behindRouter("home", "10.9.0.1", nil)
		o, _, boxO := b.behindRouter("office", "10.9.0.2", func(r *portmaptest.Router) { r.NoPCP = true })
		b.mesh("cloud", "home", "office")
		b.await(5*time.Second, "home is let in", b.mapped(h, "granted", "10.9.0.1:8085"))
		b.await(5*time.Second, "office is let in", b.mapped(o, "granted", "10.9.0.2:8085"))
		if s := portMapping(o); s.Protocol != portmap.NATPMP || s.Router != "192.168.1.1" || time.Until(s.Until) < time.Hour {
			t.Errorf("status shows %+v", s)
		}
		b.serve(o, "web", "office")
		b.await(10*time.Second, "calls", b.answers(h, "web", "office"))
		b.await(10*time.Second, "directly", direct(h, o))
		b.await(10*time.Second, "directly", direct(o, h))
		begin := time.Now()
		b.halt(h)
		b.halt(o)
		if boxH.Mappings()+boxO.Mappings() != 0 {
			t.Errorf("%d and %d ports are open still", boxH.Mappings(), boxO.Mappings())
		}
		t.Logf("stopped within %s", time.Since(begin))
	})
}

// TestWithoutPortMappings: the same homes without. It is what the test above has to be compared with.
func TestWithoutPortMappings(t *testing.T) {
	inBubble(t, 81, func(t *testing.T, b *bubble) {
		h, _, boxH := b.behindRouter("home", "10.9.0.1", nil)
		o, _, _ := b.behindRouter("office", "10.9.0.2", nil)
		off := func(c *Config) { c.PortMap = PortMapOff }
		a := b.start("cloud", "")
		for _, name := range []string{"home", "office"} {
			b.start(name, b.invite(a), off)
		}
		b.await(15*time.Second, "all see all", b.alive(3, a, h, o))
		b.serve(o, "web", "office")
		b.await(10*time.Second, "calls", b.answers(h, "web", "office"))
		time.Sleep(20 * time.Second)
		if direct(h, o)() == nil {
			t.Error("the NATs let them meet: this world proves nothing")
		}
		if s := portMapping(h); s.State != api.PortMapOff || boxH.Mappings() != 0 {
			t.Errorf("switched off: %+v", s)
		}
	})
}

// TestRouterRestarts: peers learn of the new port within two minutes, and a router that says no more is given up when the mapping has ended.
func TestRouterRestarts(t *testing.T) {
	inBubble(t, 82, func(t *testing.T, b *bubble) {
		h, nat, box := b.behindRouter("home", "10.9.0.1", func(r *portmaptest.Router) { r.Longest = 10 * time.Minute })
		a := b.mesh("cloud", "home")[0]
		b.await(5*time.Second, "home is let in", b.mapped(h, "granted", "10.9.0.1:8085"))
		time.Sleep(time.Minute) // its clock tells a restart from none
		nat.SetAddr(netip.MustParseAddr("10.9.0.77"))
		box.Restart()
		b.await(135*time.Second, "at another address", func() error {
			if s := portMapping(h); s.Address != "10.9.0.77:8085" {
				return fmt.Errorf("%+v", s)
			}
			return nil
		})
		b.await(time.Second, "it is told", b.mapped(h, "granted", "10.9.0.77:8085"))
		b.await(5*time.Second, "the other one knows", func() error {
			cred, _ := a.life().contacts.of(h.node.ID())
			if !slices.Contains(cred.Endpoints, netip.MustParseAddrPort("10.9.0.77:8085")) {
				return fmt.Errorf("%v", cred.Endpoints)
			}
			return nil
		})
		for _, stop := range b.boxes {
			stop()
		}
		b.await(11*time.Minute, "it has ended", b.mapped(h, "silent", ""))
	})
}

// TestWhoAsksNobody: routers are asked by hosts with a private address of their own alone, and by sockets that can be reached through them.
func TestWhoAsksNobody(t *testing.T) {
	inBubble(t, 83, func(t *testing.T, b *bubble) {
		h, nat, box := b.behindRouter("home", "10.9.0.1", nil)
		public := &simNode{host: nat.Host("public", netip.MustParsePrefix("198.51.100.9/24")), stop: func() {}, done: h.done}
		b.nodes["public"] = public
		single := &simNode{host: nat.Host("single", netip.MustParsePrefix("192.168.1.21/24"), netip.MustParsePrefix("192.168.7.21/24")), stop: func() {}, done: h.done}
		b.nodes["single"] = single
		a := b.start("cloud", "")
		b.start("public", b.invite(a))
		b.start("single", b.invite(a), func(c *Config) { c.Mesh = netip.MustParseAddrPort("192.168.7.21:8085") })
		time.Sleep(20 * time.Second)
		for n, why := range map[*simNode]string{
			a: "this host has no router of IPv4", public: "198.51.100.9 is no private address",
			single: "the mesh listens at 192.168.7.21, the router knows 192.168.1.21",
		} {
			if s := portMapping(n); s.State != api.PortMapNone || s.Reason != why {
				t.Errorf("%s: %+v", n.host.Name(), s)
			}
		}
		if n := box.Mappings(); n != 0 { // it grants what it is asked for
			t.Errorf("%d mappings", n)
		}
	})
}

// TestMovedHostAsksAnew: a host that comes home asks the router there, and asks nobody elsewhere.
func TestMovedHostAsksAnew(t *testing.T) {
	inBubble(t, 84, func(t *testing.T, b *bubble) {
		_, nat, box := b.behindRouter("home", "10.9.0.1", nil)
		all := b.mesh("cloud", "roamer")
		r := all[1]
		if s := portMapping(r); s.State != api.PortMapNone {
			t.Errorf("in the open: %+v", s)
		}
		time.Sleep(30 * time.Second) // from now on it looks around every ten seconds, and is told besides
		r.host.Move(nat, netip.MustParsePrefix("192.168.1.33/24"))
		b.await(time.Second, "at home", b.mapped(r, "granted", "10.9.0.1:8085"))
		r.host.SetAddrs(netip.MustParsePrefix("192.168.1.34/24"))
		b.await(time.Second, "with another address", b.mapped(r, "granted", "10.9.0.1:8086"))
		if n := box.Mappings(); n != 2 {
			t.Errorf("%d mappings: what the old address had ends by itself", n)
		}
		r.host.Move(nil, netip.MustParsePrefix("10.0.0.99/24"))
		b.await(time.Second, "in the open", b.mapped(r, "none", ""))
	})
}

// TestPortMappingAfterACrash: the daemon that comes back has the same nonce, and the port that it had.
func TestPortMappingAfterACrash(t *testing.T) {
	inBubble(t, 85, func(t *testing.T, b *bubble) {
		h, _, box := b.behindRouter("home", "10.9.0.1", func(r *portmaptest.Router) { r.NoNATPMP = true })
		b.mesh("cloud", "home")
		b.await(5*time.Second, "home is let in", b.mapped(h, "granted", "10.9.0.1:8085"))
		b.crash(h)
		if box.Mappings() != 1 {
			t.Fatal("the crash has given the port back")
		}
		h.host.Restart()
		b.start("home", "")
		b.await(5*time.Second, "home is let in", b.mapped(h, "granted", "10.9.0.1:8085"))
	})
}

// upnpAlone is a router that speaks UPnP alone.
func upnpAlone(r *portmaptest.Router) { r.NoPCP, r.NoNATPMP, r.UPnP = true, true, true }

// TestUPnPLetsMeet: the homes of TestPortMappingsLetMeet with routers that speak UPnP alone, one of which grants mappings without end only. Stopped
// daemons give these back, too.
func TestUPnPLetsMeet(t *testing.T) {
	inBubble(t, 86, func(t *testing.T, b *bubble) {
		h, _, boxH := b.behindRouter("home", "10.9.0.1", upnpAlone)
		o, _, boxO := b.behindRouter("office", "10.9.0.2", func(r *portmaptest.Router) { upnpAlone(r); r.Permanent = true })
		b.mesh("cloud", "home", "office")
		b.await(5*time.Second, "home is let in", b.mapped(h, "granted", "10.9.0.1:8085"))
		b.await(5*time.Second, "office is let in", b.mapped(o, "granted", "10.9.0.2:8085"))
		if s := portMapping(o); s.Protocol != portmap.UPnP || s.Router != "192.168.1.1" || time.Until(s.Until) < time.Hour {
			t.Errorf("status shows %+v", s)
		}
		b.serve(o, "web", "office")
		b.await(10*time.Second, "calls", b.answers(h, "web", "office"))
		b.await(10*time.Second, "directly", direct(h, o))
		b.await(10*time.Second, "directly", direct(o, h))
		b.halt(h)
		b.halt(o)
		if boxH.Mappings()+boxO.Mappings() != 0 {
			t.Errorf("%d and %d ports are open still", boxH.Mappings(), boxO.Mappings())
		}
	})
}

// TestUPnPRouterRestarts: a router that has forgotten the mapping is noticed, and one that is gone does not keep the daemon from ending.
func TestUPnPRouterRestarts(t *testing.T) {
	inBubble(t, 87, func(t *testing.T, b *bubble) {
		h, nat, box := b.behindRouter("home", "10.9.0.1", upnpAlone)
		b.mesh("cloud", "home")
		b.await(5*time.Second, "home is let in", b.mapped(h, "granted", "10.9.0.1:8085"))
		time.Sleep(time.Minute)
		nat.SetAddr(netip.MustParseAddr("10.9.0.77"))
		box.Restart()
		b.await(135*time.Second, "it is told", b.mapped(h, "granted", "10.9.0.77:8085"))
		if n := box.Mappings(); n != 1 {
			t.Errorf("%d mappings", n)
		}
		for _, stop := range b.boxes {
			stop()
		}
		time.Sleep(3 * time.Minute)
		if s := portMapping(h); s.State != "granted" {
			t.Errorf("the router is off for three minutes: %+v", s)
		}
		begin := time.Now()
		b.halt(h)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("stopped within %s", took)
		}
	})
}

// hostileRouter is the inner side of a router whose answers to a search and over HTTP are whatever the test says.
func (b *bubble) hostileRouter(name string, found func() string, serve http.HandlerFunc) *simNode {
	nat := b.world.NAT(name+"-nat", netip.MustParseAddr("10.9.0.1"), netsim.NATOptions{})
	gw := nat.Gateway(name+"-gw", netip.MustParsePrefix("192.168.1.1/24"))
	other := nat.Host(name+"-other", netip.MustParsePrefix("192.168.1.66/24"))
	ctx, cancel := context.WithCancel(context.Background())
	for _, from := range []*netsim.Host{gw, other} {
		ln, err := from.Listen(ctx, netip.MustParseAddrPort("0.0.0.0:5000"))
		if err != nil {
			b.t.Fatal(err)
		}
		server := &http.Server{Handler: serve}
		context.AfterFunc(ctx, func() { _ = server.Close() })
		b.wg.Go(func() { _ = server.Serve(ln) })
	}
	c, err := gw.ListenPacket(ctx, netip.MustParseAddrPort("0.0.0.0:1900"))
	if err != nil {
		b.t.Fatal(err)
	}
	spoof, err := other.ListenPacket(ctx, netip.MustParseAddrPort("0.0.0.0:1900"))
	if err != nil {
		b.t.Fatal(err)
	}
	context.AfterFunc(ctx, func() { _, _ = c.Close(), spoof.Close() })
	b.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			_, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if said := found(); said != "" {
				_, _ = c.WriteTo([]byte(said), from)
			} else { // another host answers, as well as it can
				_, _ = spoof.WriteTo([]byte(searchAnswer("192.168.1.1")), from)
			}
		}
	})
	done := make(chan struct{})
	close(done)
	b.nodes[name] = &simNode{host: nat.Host(name, netip.MustParsePrefix("192.168.1.20/24")), stop: func() {}, done: done}
	b.boxes = append(b.boxes, cancel)
	return b.nodes[name]
}

func searchAnswer(host string) string {
	return "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: http://" + host + ":5000/rootDesc.xml\r\n\r\n"
}

// TestH8_HostileIGD: a router that sends us elsewhere, or never ends, is refused within bounds, and the daemon ends at once all the same. Nobody but
// the router is heard.
func TestH8_HostileIGD(t *testing.T) {
	const state, reason = "refused", "it describes no service that maps ports"
	var written atomic.Int64
	for _, c := range []struct {
		name          string
		found         string
		serve         http.HandlerFunc
		asked         bool
		state, reason string
	}{
		{"another host in the answer", searchAnswer("192.168.1.66"), nil, false, "silent", ""},
		{"another host answers", "", nil, false, "silent", ""},
		{"a redirect", searchAnswer("192.168.1.1"), func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.168.1.66:5000/x", http.StatusFound)
		}, true, state, reason},
		{"without end", searchAnswer("192.168.1.1"), func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				n, err := w.Write([]byte(strings.Repeat("<root>", 1000)))
				if written.Add(int64(n)); err != nil {
					return
				}
			}
		}, true, state, reason},
		{"drop by drop", searchAnswer("192.168.1.1"), func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte(" "))
				w.(http.Flusher).Flush()
				time.Sleep(time.Second)
			}
		}, true, state, reason},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, 88, func(t *testing.T, b *bubble) {
				var asked, elsewhere atomic.Int32
				h := b.hostileRouter("home", func() string { return c.found }, func(w http.ResponseWriter, r *http.Request) {
					asked.Add(1)
					if !strings.HasPrefix(r.Host, "192.168.1.1:") || r.URL.Path == "/x" {
						elsewhere.Add(1)
					}
					if c.serve != nil {
						c.serve(w, r)
					}
				})
				b.mesh("cloud", "home")
				b.await(20*time.Second, "it is given up", func() error {
					if s := portMapping(h); s.State != c.state || s.Reason != c.reason {
						return fmt.Errorf("%+v", s)
					}
					return nil
				})
				if (asked.Load() > 0) != c.asked || elsewhere.Load() != 0 {
					t.Errorf("%d requests, %d of them elsewhere", asked.Load(), elsewhere.Load())
				}
				if n := written.Load(); n > 2<<20 {
					t.Errorf("%d bytes were taken", n)
				}
				begin := time.Now()
				b.halt(h)
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("stopped within %s", took)
				}
			})
		})
	}
}
