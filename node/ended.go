package node

import (
	"context"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// ended lists whose right to sign has ended, and when.
func (s *statements) ended() map[micronet.NodeID][]identity.Clock {
	out := map[micronet.NodeID][]identity.Clock{}
	for id, list := range s.held.Load().Ended() {
		for _, at := range list {
			out[id] = append(out[id], identity.Clock(at))
		}
	}
	return out
}

// restateEnded makes this node refuse what was signed by rights that had ended, and gives its own up if that
// is one of them.
func (l *life) restateEnded() {
	l.pass.trust.SetEnded(l.statements.ended())
	p := l.pass.promotion.Load()
	if p == nil || !l.pass.trust.Ended(l.self, p.Given()) {
		return
	}
	l.report("node.demote", l.pass.inTurn(context.Background(), l.dropPromotion))
}

// dropPromotion ends this node's own right to sign after it was demoted. The caller has the passport's turn.
func (l *life) dropPromotion() error {
	p := l.pass.promotion.Load()
	if p == nil || !l.pass.trust.Ended(l.self, p.Given()) {
		return nil // promoted anew meanwhile
	}
	l.pass.promotion.Store(nil)
	l.env.Log.Warn("this node is no authority of its cluster any more: it was demoted")
	if err := l.node.disk.remove(filePromotion); err != nil {
		l.report("node.demote", err) // it counts for nothing
	}
	return l.resign()
}

// Demote ends a node's right to sign, where the root key is. What it has issued counts on until it is renewed
// elsewhere.
func (b backend) Demote(ctx context.Context, r api.DemoteRequest) (api.Demoted, error) {
	l := b.l
	if _, err := b.root("node demote"); err != nil {
		return api.Demoted{}, err
	}
	n, err := l.view.Load().find(r.Node)
	if err != nil {
		return api.Demoted{}, err
	}
	if err := l.mayDemote(n, r.Force); err != nil {
		return api.Demoted{}, err
	}
	a := l.gate.authority.Load()
	if a == nil {
		return api.Demoted{}, b.noAuthority("node demote") // revoked meanwhile
	}
	said := repeatable(l.statements.held.Load(), n.ID)
	err = l.castOff(ctx, a, n.ID, false, func(clock identity.Clock) ([]byte, error) {
		return a.issuer.Load().Demote(l.env.Wall(), clock, n.ID)
	})
	if err != nil {
		return api.Demoted{}, err
	}
	l.env.Log.Info("a node is no authority of the cluster any more", "node", n.Name, "peer", n.ID.Short())
	d := api.Demoted{Node: n.Name, ID: n.ID.String()}
	if len(said) > 0 {
		d.Warning = "what it has said counts on in the name of the root: " + tellKinds(said)
	}
	return d, nil
}

// mayDemote refuses what would change nothing. Who has the root key signs with it, whatever else it was given. Who does
// not say that it is an authority may be one, so it can be demoted all the same.
func (l *life) mayDemote(n *micronet.Node, force bool) error {
	const op = "node demote"
	refused := func(format string, args ...any) *micronet.Error {
		return micronet.E(op, micronet.Refused, format, args...)
	}
	switch {
	case n.ID == l.self:
		return refused("%s has the root key of the cluster and signs with it: no demotion ends that", n.Name).
			WithFix("take the key off this host, `micro-net node root export FILE --remove`, once another node signs (`micro-net node promote NAME`); " +
				"if this node was promoted as well, import the key on another host and demote it from there")
	case force:
		return nil
	case l.rights()[n.ID].Has(identity.RoleRoot):
		return refused("%s has the root key of the cluster and signs with it: no demotion ends that", n.Name).WithPeer(n.ID).
			WithFix("take the key off first, on %s: `micro-net node root export FILE --remove`; if it is not to be trusted with it any more, `micro-net node root rotate`; "+
				"--force ends only what it was promoted to", n.Name)
	case !l.contacts.isAuthority(n.ID):
		return refused("%s does not say that it is an authority", n.Name).WithPeer(n.ID).WithFix("use --force if it may be one all the same")
	}
	return nil
}
