package node

import (
	"context"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/tunnel"
)

// Reach asks other nodes how they and this host reach each other.
func (b backend) Reach(ctx context.Context) (api.Reach, error) {
	contacts, err := b.l.under.Survey(ctx, b.l.alive())
	if err != nil {
		return api.Reach{}, err
	}
	own := b.l.owned()
	r := api.Reach{Port: int(b.l.mesh.Port()), Nodes: []api.Reachable{}}
	r.ReceiveBuffer, r.SendBuffer = b.l.under.Buffers()
	for i := range contacts {
		r.Nodes = append(r.Nodes, b.reachable(own, &contacts[i]))
	}
	r.NATs = natKinds(time.Now(), own, isWalled(r.Nodes), sightings(contacts))
	b.stranger(ctx, r.Nodes)
	return r, nil
}

// owned reports which addresses are those of the host's interfaces.
func (l *life) owned() func(netip.Addr) bool {
	all, err := l.env.Net.Interfaces()
	l.report("node.interfaces", err)
	own := map[netip.Addr]bool{}
	for _, i := range all {
		for _, p := range i.Prefixes {
			own[p.Addr().Unmap().WithZone("")] = true
		}
	}
	return func(a netip.Addr) bool { return own[a] }
}

func sightings(contacts []tunnel.Contact) (out []sighting) {
	for i := range contacts {
		for _, w := range contacts[i].Ways {
			if w.Seen.IsValid() {
				out = append(out, sighting{contacts[i].Peer, w.Seen, w.Replied})
			}
		}
	}
	return out
}

func (b backend) reachable(own func(netip.Addr) bool, k *tunnel.Contact) api.Reachable {
	r := api.Reachable{Node: b.l.node.nameOf(k.Peer), ID: k.Peer.String(), Carries: k.Carries, Lost: k.Lost, Cut: k.Cut, Transport: micronet.TransportNone}
	for i := range k.Ways {
		w := &k.Ways[i]
		r.UDP = r.UDP || (w.Replied.After(k.Asked) && !w.TCP && w.Relay.IsZero())
		r.Unasked = r.Unasked || w.Unasked
		r.Inside = r.Inside || own(w.Seen.Addr())
		if w.InUse && w.Confirmed {
			b.show(&r, w)
		}
	}
	return r
}

// show tells which way is in use.
func (b backend) show(r *api.Reachable, w *tunnel.Way) {
	r.Path, r.Transport = pathKind(w.Relay), transportKind(w.TCP)
	if w.Remote.IsValid() {
		r.Remote = w.Remote.String()
	}
	if !w.Relay.IsZero() {
		r.Relay = b.l.node.nameOf(w.Relay)
	}
}

// isWalled reports whether nobody answers over UDP, and somebody over TCP.
func isWalled(nodes []api.Reachable) bool {
	tcp := false
	for i := range nodes {
		if nodes[i].UDP {
			return false
		}
		tcp = tcp || nodes[i].Transport == micronet.TransportTCP
	}
	return tcp
}
