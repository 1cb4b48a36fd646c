package main

import (
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// direct is a node that is reached as one wishes.
func direct(name string) api.Reachable {
	return api.Reachable{
		Node: name, UDP: true, Path: micronet.PathDirect, Transport: micronet.TransportQUIC, Remote: "192.0.2.2:8085",
		Stranger: api.StrangerArrived, Carries: fullPacket,
	}
}

func changed(n api.Reachable, f func(*api.Reachable)) api.Reachable {
	f(&n)
	return n
}

// want is a finding: words of its detail and of its fix, none where it is empty.
type want struct {
	check       string
	status      verdict
	detail, fix string
}

func TestDoctorOfTheNetwork(t *testing.T) {
	b, c := direct("b"), direct("c")
	shut := func(n *api.Reachable) { n.Stranger = api.StrangerLost }
	tcp := func(n *api.Reachable) {
		n.UDP, n.Transport, n.Stranger, n.Carries = false, micronet.TransportTCP, "", 0
	}
	relayed := func(n *api.Reachable) {
		n.UDP, n.Path, n.Relay, n.Stranger, n.Carries = false, micronet.PathRelay, "r", "", 0
	}
	silent := func(n *api.Reachable) { *n = api.Reachable{Node: n.Node, Transport: micronet.TransportNone} }
	carries := func(size, lost int) func(*api.Reachable) {
		return func(n *api.Reachable) { n.Carries, n.Lost = size, lost }
	}
	nat := func(kind api.NATKind, nodes int, seen ...string) api.NAT {
		return api.NAT{Family: "ipv4", Kind: kind, Nodes: nodes, Seen: seen}
	}
	open, cone := nat(api.NATNone, 2, "192.0.2.1:8085"), nat(api.NATIndependent, 2, "203.0.113.1:31000")
	for _, tt := range []struct {
		name  string
		nats  []api.NAT
		nodes []api.Reachable
		want  []want
	}{
		{"alone", []api.NAT{{Kind: api.NATUnknown}}, nil, []want{
			{checkNAT, good, "not known: no other node has answered over UDP", ""},
			{checkUDPOut, good, nobody, ""},
			{checkUDPIn, good, nobody, ""},
			{checkPath, good, nobody, ""},
		}},
		{"in the open", []api.NAT{open}, []api.Reachable{b, c}, []want{
			{checkNAT, good, "none: 2 nodes see this host at its own address, 192.0.2.1:8085", ""},
			{checkUDPOut, good, "2 nodes answer over UDP directly", ""},
			{checkUDPIn, good, "those of b, c", ""},
			{checkPath, good, "packets of 1452 bytes get through to 2 nodes", ""},
		}},
		{"a firewall", []api.NAT{open}, []api.Reachable{changed(b, shut), direct("c")}, []want{{checkUDPIn, good, "those of c", ""}}},
		{"a firewall for all", []api.NAT{open}, []api.Reachable{changed(b, shut), changed(c, func(n *api.Reachable) { n.Stranger, n.Unasked = "", true })}, []want{
			{checkUDPIn, warn, "only replies get in: other packets of b did not arrive", "let UDP 8085 in, in the firewalls"},
		}},
		{"nobody was asked", []api.NAT{open}, []api.Reachable{changed(b, func(n *api.Reachable) { n.Stranger, n.Unasked = "", true })}, []want{{checkUDPIn, good, "those of b", ""}}},
		{"behind a NAT", []api.NAT{cone}, []api.Reachable{changed(b, shut), changed(c, func(n *api.Reachable) { n.Inside = true })}, []want{
			{checkNAT, good, "endpoint-independent mapping: 2 nodes outside see 203.0.113.1:31000", ""},
			{checkUDPIn, warn, "only replies get in, as behind most NATs: other packets of b did not arrive", "forward UDP 8085 of the router to this host, and tell its public address: --advertise ADDRESS:8085"},
		}},
		{"behind a symmetric NAT", []api.NAT{nat(api.NATDependent, 2, "203.0.113.1:1", "203.0.113.1:2")}, []api.Reachable{b, changed(c, relayed)}, []want{
			{checkNAT, warn, "(symmetric): 2 nodes outside see 203.0.113.1:1, 203.0.113.1:2", "--advertise ADDRESS:8085; or have a host that all can reach relay"},
			{checkUDPOut, warn, "1 of 2 nodes answer over UDP directly; c is reached over the relay r", "`micro-net trace c`"},
		}},
		{"one outside", []api.NAT{nat(api.NATUnknown, 1, "203.0.113.1:1")}, []api.Reachable{b}, []want{
			{checkNAT, good, "not known: 1 node outside sees 203.0.113.1:1, and it takes two", ""},
		}},
		{"both families", []api.NAT{cone, {Family: "ipv6", Kind: api.NATNone, Nodes: 1, Seen: []string{"[2001:db8::1]:8085"}}}, []api.Reachable{b}, []want{
			{"nat, ipv4", good, "endpoint-independent", ""}, {"nat, ipv6", good, "none: 1 node sees", ""},
		}},
		{"UDP is blocked", []api.NAT{{Kind: api.NATBlocked}}, []api.Reachable{changed(b, tcp), changed(c, silent)}, []want{
			{checkNAT, warn, "it reaches none of 2 other nodes", "let UDP out, and the replies in to port 8085"},
			{checkUDPOut, warn, "no node answers over UDP directly: b is reached over TCP, c is not reached", "let UDP out"},
			{checkUDPIn, good, "not tried", ""},
			{checkPath, good, "not tried", ""},
		}},
		{"UDP is blocked here or there", []api.NAT{{Kind: api.NATBlocked}}, []api.Reachable{changed(b, tcp)}, []want{{checkNAT, warn, "none of 1 other node,", "; or there"}}},
		{"narrow paths", []api.NAT{open}, []api.Reachable{changed(b, carries(1252, 1332)), changed(c, carries(1422, 1452)), direct("d")}, []want{
			{checkPath, warn, "narrow path to b: packets of 1252 bytes get through and those of 1332 are lost, so a link on the way has an MTU of 1280 to 1359; the same data takes 15 % more", "`tracepath -n 192.0.2.2`"},
			{checkPath, good, "narrow path to c: packets of 1422 bytes", ""},
			{checkPath, good, "packets of 1452 bytes get through to 1 node", ""},
		}},
		{"large ones are cut", []api.NAT{open}, []api.Reachable{changed(b, func(n *api.Reachable) { n.Carries, n.Lost, n.Cut = 1392, 1422, true })}, []want{
			{checkPath, warn, "travel in two halves now", "raise the MTU"},
		}},
		{"over IPv6", []api.NAT{open}, []api.Reachable{changed(b, func(n *api.Reachable) { n.Remote, n.Carries, n.Lost = "[2001:db8::2]:8085", 1200, 1252 })}, []want{
			{checkPath, warn, "an MTU of 1248 to 1299", "tracepath -n 2001:db8::2"},
		}},
		{"too narrow for anything", []api.NAT{open}, []api.Reachable{changed(b, carries(1, 1200))}, []want{
			{checkPath, bad, "the path to b loses packets of 1200 bytes: no connection comes up", "an MTU of 1280 at least"},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.backend.reach = api.Reach{NATs: tt.nats, Port: 8085, Nodes: tt.nodes}
			by, _ := w.start().findings()
			for _, x := range tt.want {
				w.wantFinding(by, x.check, x.status, x.detail, x.fix)
				for _, f := range by[x.check] {
					if x.fix == "" && strings.Contains(f.Detail, x.detail) && f.Fix != "" {
						t.Errorf("%+v has a fix", f)
					}
				}
			}
			if f := by[tt.want[0].check][0]; strings.HasPrefix(f.Check, checkNAT) && f.Value != string(tt.nats[0].Kind) {
				t.Errorf("%+v: its value is not %s", f, tt.nats[0].Kind)
			}
		})
	}
}

func TestDoctorOfAnOlderDaemon(t *testing.T) {
	w := newWorld(t)
	w.backend.fail = micronet.E("api", micronet.NotFound, "there is nothing at GET /api/v1/reach")
	by, _ := w.start().findings()
	w.wantFinding(by, checkNAT, warn, "there is nothing at", "update the daemon")
}

func TestBuffers(t *testing.T) {
	const receive = "/proc/sys/net/core/rmem_max"
	for _, c := range []struct {
		socket      int
		limit       string
		want        verdict
		detail, fix string
	}{
		{wantedSocket, "212992\n", good, "the daemon's socket has 7340032 bytes to receive", ""},
		{425984, "212992\n", warn, "net.core.rmem_max is 212992", "sysctl -w net.core.rmem_max=7500000, and the same in /etc/sysctl.d; then restart the daemon"},
		{425984, "7500000\n", warn, "the daemon's socket has 425984 bytes to receive, although", "restart the daemon"},
		{0, "3670015\n", warn, "net.core.rmem_max is 3670015", "/etc/sysctl.d"},
		{0, "3670016\n", good, "net.core.rmem_max is 3670016", ""},
		{0, "7500000\n", good, "net.core.rmem_max is 7500000", ""},
		{0, "much\n", warn, `net.core.rmem_max is "much`, "sysctl -w"},
	} {
		w := newWorld(t)
		w.backend.reach.ReceiveBuffer = c.socket
		w.files[receive] = c.limit
		by, _ := w.start().findings()
		w.wantFinding(by, "udp buffers", c.want, c.detail, c.fix)
	}
}
