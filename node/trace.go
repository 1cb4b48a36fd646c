package node

import (
	"context"
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/router"
	"github.com/micro/micro-net/tunnel"
)

// Trace tells hop by hop how packets get to a node, or to the instance of a service that a call would be led to now,
// with all ways that were tried.
func (b backend) Trace(ctx context.Context, word string) (api.Trace, error) {
	v := b.l.view.Load()
	n, inst, err := b.target(v, word)
	if err != nil {
		return api.Trace{}, err
	}
	t := api.Trace{
		Target: word, Node: n.Name, ID: n.ID.String(), Path: micronet.PathLocal, Ways: []api.Way{},
		Hops: []api.Hop{{Kind: api.HopNode, Name: b.l.name, Address: b.address()}},
	}
	if n.ID != b.l.self {
		ways, err := b.l.under.Trace(ctx, n.ID)
		if err != nil {
			return api.Trace{}, err
		}
		b.addWays(&t, n, ways)
	}
	if inst != nil {
		t.Hops = append(t.Hops, api.Hop{Kind: api.HopInstance, Name: inst.ID, Address: fmt.Sprintf("%s:%d", inst.Address, inst.Port)})
	}
	return t, nil
}

// target finds what a word means: a service, else a node.
func (b backend) target(v *view, word string) (*micronet.Node, *micronet.Instance, error) {
	dest := b.destination(word)
	routes := b.l.router.Routes(time.Now(), dest.Service)
	if best := bestOf(routes); best != nil && v.byID[best.Node] != nil {
		return v.byID[best.Node], &best.Instance, nil
	}
	n, err := v.find(word)
	return n, nil, err
}

// bestOf is the route that would be taken first, nil when there is none. They are sorted by metric.
func bestOf(routes []router.View) *micronet.Route {
	for i := range routes {
		if routes[i].State == micronet.RouteUp {
			return &routes[i].Route
		}
	}
	if len(routes) > 0 {
		return &routes[0].Route
	}
	return nil
}

func (b backend) addWays(t *api.Trace, n *micronet.Node, ways []tunnel.Way) {
	var d directWays
	for i := range ways {
		w := &ways[i]
		shown := api.Way{Path: pathKind(w.Relay), Transport: transportKind(w.TCP), State: stateOf(w), RTTMs: ms(w.RTT), Unanswered: w.Missed}
		if w.Remote.IsValid() {
			shown.Remote = w.Remote.String()
		}
		if w.Relay.IsZero() {
			d.add(w)
		} else {
			shown.Relay = b.l.node.nameOf(w.Relay)
		}
		t.Ways = append(t.Ways, shown)
	}
	t.Path = ""
	if len(ways) > 0 && ways[0].InUse && ways[0].Confirmed {
		t.Path = pathKind(ways[0].Relay)
		if t.Path == micronet.PathRelay {
			t.Hops = append(t.Hops, api.Hop{Kind: api.HopRelay, Name: t.Ways[0].Relay, Address: t.Ways[0].Remote})
		}
		t.RTTMs = t.Ways[0].RTTMs
	}
	t.Hops = append(t.Hops, api.Hop{Kind: api.HopNode, Name: n.Name, Address: firstOf(n), RTTMs: t.RTTMs})
	t.Why = whyNotDirect(t.Path, d)
}

func firstOf(n *micronet.Node) string {
	if len(n.Endpoints) == 0 {
		return ""
	}
	return n.Endpoints[0].String()
}

func stateOf(w *tunnel.Way) api.WayState {
	switch {
	case w.InUse && w.Confirmed:
		return api.WayInUse
	case w.Confirmed && w.Grey:
		return api.WayGrey
	case w.Confirmed:
		return api.WayAnswers
	}
	return api.WaySilent
}

// directWays counts those that lead over no relay: all, those that answer, and those of them that carry no data.
type directWays struct{ all, answer, grey int }

func (d *directWays) add(w *tunnel.Way) {
	d.all++
	if w.Confirmed {
		d.answer++
	}
	if w.Confirmed && w.Grey {
		d.grey++
	}
}

// whyNotDirect says it in words, "" for a direct path.
func whyNotDirect(path micronet.PathKind, d directWays) string {
	switch {
	case path == micronet.PathDirect:
		return ""
	case d.answer > 0 && d.answer == d.grey:
		return "a direct address answers, and nothing but probes gets through: a device between drops QUIC's packets"
	case d.answer > 0:
		return "a direct address answers, and the relay is much faster"
	case d.all == 0:
		return "no address of the node can be tried from here"
	case path == micronet.PathRelay:
		return fmt.Sprintf("none of %d addresses of the node answers: NATs or firewalls are between, or the link is down", d.all)
	}
	return fmt.Sprintf("none of %d addresses of the node answers, and no relay leads there", d.all)
}
