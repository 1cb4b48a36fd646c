package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const (
	checkNAT    = "nat"
	checkUDPOut = "udp out"
	checkUDPIn  = "udp in"
	checkPath   = "path size"

	// reachTime bounds the question how nodes reach each other, which the daemon tries out.
	reachTime = 8 * time.Second
	nobody    = "no other node to try"
)

// network looks how this host and the others reach each other.
func (d *doctor) network(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	r, err := d.client.Reach(ctx)
	if err != nil {
		d.addError(warn, checkNAT, err, "update the daemon, and restart it")
		return
	}
	d.receives, d.sends = r.ReceiveBuffer, r.SendBuffer
	d.nats(&r)
	d.udpOut(&r)
	d.udpIn(&r)
	d.paths(&r)
}

func (d *doctor) nats(r *api.Reach) {
	for i := range r.NATs {
		check := checkNAT
		if len(r.NATs) > 1 {
			check += ", " + r.NATs[i].Family
		}
		d.nat(check, r, &r.NATs[i])
		d.findings[len(d.findings)-1].Value = string(r.NATs[i].Kind)
	}
}

func (d *doctor) nat(check string, r *api.Reach, n *api.NAT) {
	seen, outside := strings.Join(n.Seen, ", "), plural(n.Nodes, "node outside sees ", "nodes outside see ")
	switch n.Kind {
	case api.NATNone:
		d.add(good, check, "none: "+plural(n.Nodes, "node sees", "nodes see")+" this host at its own address, "+seen, "")
	case api.NATIndependent:
		d.add(good, check, "endpoint-independent mapping: "+outside+seen+", so others know where to send", "")
	case api.NATDependent:
		d.add(warn, check, "address- and port-dependent mapping (symmetric): "+outside+seen+"; hosts behind such NATs do not reach each other directly",
			forwardFix(r.Port)+"; or have a host that all can reach relay: open UDP there")
	case api.NATBlocked:
		d.add(warn, check, "UDP is blocked: it reaches none of "+plural(len(r.Nodes), "other node", "other nodes")+", and packets travel over TCP", unblockFix(r))
	default:
		why := "no other node has answered over UDP"
		if n.Nodes > 0 {
			why = outside + seen + ", and it takes two outside of this network to tell"
		}
		d.add(good, check, "not known: "+why, "")
	}
}

func forwardFix(port int) string {
	return fmt.Sprintf("forward UDP %d of the router to this host, and tell its public address: --advertise ADDRESS:%d", port, port)
}

// unblockFix is what to do where UDP reaches nobody: with one other node, nobody can tell at which end.
func unblockFix(r *api.Reach) string {
	fix := fmt.Sprintf("let UDP out, and the replies in to port %d, in the firewalls of this host and of its network", r.Port)
	if len(r.Nodes) == 1 {
		fix += "; or there"
	}
	return fix
}

// udpOut tells who does not answer over UDP, and how else they are reached.
func (d *doctor) udpOut(r *api.Reach) {
	var others []string
	first := ""
	for i := range r.Nodes {
		if n := &r.Nodes[i]; !n.UDP {
			others = append(others, n.Node+" "+instead(n))
			first = cmp.Or(first, n.Node)
		}
	}
	switch all := len(r.Nodes); {
	case all == 0:
		d.add(good, checkUDPOut, nobody, "")
	case len(others) == 0:
		d.add(good, checkUDPOut, plural(all, "node answers", "nodes answer")+" over UDP directly", "")
	case len(others) == all:
		d.add(warn, checkUDPOut, "no node answers over UDP directly: "+strings.Join(others, ", "), unblockFix(r))
	default:
		d.add(warn, checkUDPOut, fmt.Sprintf("%d of %d nodes answer over UDP directly; %s", all-len(others), all, strings.Join(others, ", ")),
			fmt.Sprintf("let the UDP port of the mesh in on one of the two (here %d); `micro-net trace %s` shows what was tried", r.Port, first))
	}
}

// instead is how a node is reached that does not answer over UDP.
func instead(n *api.Reachable) string {
	switch {
	case n.Path == micronet.PathRelay:
		return "is reached over the relay " + n.Relay
	case n.Transport == micronet.TransportTCP:
		return "is reached over TCP"
	}
	return "is not reached"
}

// udpIn tells whether packets get in that nobody here has asked for.
func (d *doctor) udpIn(r *api.Reach) {
	in, lost := strangers(r)
	switch {
	case len(r.Nodes) == 0:
		d.add(good, checkUDPIn, nobody, "")
	case len(in) > 0:
		d.add(good, checkUDPIn, "packets get in from where this host had sent nothing: those of "+strings.Join(in, ", "), "")
	case len(lost) == 0:
		d.add(good, checkUDPIn, "not tried: no node answers over UDP that could", "")
	case behindNAT(r):
		d.add(warn, checkUDPIn, "only replies get in, as behind most NATs: other packets of "+strings.Join(lost, ", ")+" did not arrive",
			forwardFix(r.Port)+"; not needed where two hosts of the mesh let UDP in")
	default:
		d.add(warn, checkUDPIn, "only replies get in: other packets of "+strings.Join(lost, ", ")+" did not arrive",
			fmt.Sprintf("let UDP %d in, in the firewalls of this host and of its network; not needed where two other hosts of the mesh do", r.Port))
	}
}

// strangers lists those whose packets got in unasked, and those who tried in vain. Behind a NAT those do not count who are behind
// it too. Where somebody tried just now, what was before does not count.
func strangers(r *api.Reach) (in, lost []string) {
	var before []string
	nat := behindNAT(r)
	for i := range r.Nodes {
		n := &r.Nodes[i]
		switch {
		case nat && n.Inside:
		case n.Stranger == api.StrangerArrived:
			in = append(in, n.Node)
		case n.Stranger == api.StrangerLost:
			lost = append(lost, n.Node)
		case n.UDP && n.Unasked:
			before = append(before, n.Node)
		}
	}
	if len(in)+len(lost) == 0 {
		in = before
	}
	return in, lost
}

// behindNAT reports whether somebody outside sees an address that this host does not have.
func behindNAT(r *api.Reach) bool {
	return slices.ContainsFunc(r.NATs, func(n api.NAT) bool { return n.Kind != api.NATNone && n.Nodes > 0 })
}

const (
	// fullPacket is the largest that is tried; links of 1500 bytes carry it.
	fullPacket = 1452
	// leastPacket is what every path has to carry.
	leastPacket = 1200
	// narrowPacket is what the usual tunnels on the way carry too, in links of 1420 bytes.
	narrowPacket = 1392
)

// paths names those that are narrower than usual.
func (d *doctor) paths(r *api.Reach) {
	tried, wide := 0, 0
	for i := range r.Nodes {
		n := &r.Nodes[i]
		switch {
		case n.Carries == 0:
			continue
		case n.Lost == 0:
			wide++
		default:
			d.narrow(n)
		}
		tried++
	}
	switch {
	case len(r.Nodes) == 0:
		d.add(good, checkPath, nobody, "")
	case tried == 0:
		d.add(good, checkPath, "not tried: no node answers over UDP directly", "")
	case wide > 0:
		d.add(good, checkPath, fmt.Sprintf("packets of %d bytes get through to %s", fullPacket, plural(wide, "node", "nodes")), "")
	}
}

func (d *doctor) narrow(n *api.Reachable) {
	if n.Carries < leastPacket {
		d.add(bad, checkPath, fmt.Sprintf("the path to %s loses packets of %d bytes: no connection comes up", n.Node, n.Lost),
			fmt.Sprintf("give every link on the way an MTU of 1280 at least; `tracepath -n %s` may show which has less", hostOf(n.Remote)))
		return
	}
	over := overhead(n.Remote)
	text := fmt.Sprintf("narrow path to %s: packets of %d bytes get through and those of %d are lost, so a link on the way has an MTU of %d to %d; the same data takes %d %% more packets",
		n.Node, n.Carries, n.Lost, n.Carries+over, n.Lost+over-1, 100*fullPacket/n.Carries-100)
	if n.Cut {
		text += ", and large ones travel in two halves now"
	}
	v, fix := good, ""
	if n.Carries < narrowPacket || n.Cut {
		v = warn
		fix = fmt.Sprintf("raise the MTU of that link (often a VPN); `tracepath -n %s` shows which it is where ICMP is let through", hostOf(n.Remote))
	}
	d.add(v, checkPath, text, fix)
}

// overhead are the headers of IP and UDP in front of a packet.
func overhead(remote string) int {
	if a, err := netip.ParseAddrPort(remote); err == nil && a.Addr().Is6() {
		return 40 + 8
	}
	return 20 + 8
}

func hostOf(remote string) string {
	if a, err := netip.ParseAddrPort(remote); err == nil {
		return a.Addr().String()
	}
	return remote
}
