package node

import (
	"context"
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/tunnel"
)

// extension is an answer to verbExtend.
type extension struct {
	Promotion []byte `json:"promotion"` // as identity.Promotion.Marshal writes it
}

// Promote makes a node an authority, where the root key is.
func (b backend) Promote(ctx context.Context, r api.PromoteRequest) (api.Promoted, error) {
	l := b.l
	if _, err := b.root("node promote"); err != nil {
		return api.Promoted{}, err
	}
	n, err := l.view.Load().find(r.Node)
	if err != nil {
		return api.Promoted{}, err
	}
	if n.ID != l.self && n.Status != micronet.Alive {
		return api.Promoted{}, micronet.E("node promote", micronet.Unreachable, "%s is %s", n.Name, n.Status).
			WithPeer(n.ID).WithFix("start it first: a promotion is handed over at once")
	}
	a := l.gate.authority.Load()
	if a == nil {
		return api.Promoted{}, b.noAuthority("node promote") // revoked meanwhile
	}
	p, err := a.promote(n.ID, n.Name)
	if err == nil {
		err = l.handPromotion(ctx, n.ID, p)
	}
	if err != nil {
		return api.Promoted{}, err
	}
	l.env.Log.Info("made a node an authority of the cluster", "node", n.Name, "peer", n.ID.Short(), "ends", p.Ends().Format(time.RFC3339))
	return api.Promoted{Node: n.Name, ID: n.ID.String(), Ends: p.Ends()}, nil
}

// handPromotion gives a promotion to the node that it is for.
func (l *life) handPromotion(ctx context.Context, id micronet.NodeID, p identity.Promotion) error {
	if id == l.self {
		return l.takePromotion(ctx, p)
	}
	raw, err := p.Marshal()
	if err != nil {
		return err
	}
	return l.ask(ctx, id, controlRequest{Verb: verbPromote, Promotion: raw}, &struct{}{})
}

// servePromote takes a promotion from whoever brings it: the root key has signed it.
func (l *life) servePromote(ctx context.Context, in tunnel.Inbound, req controlRequest) {
	p, err := identity.UnmarshalPromotion(req.Promotion)
	if err == nil {
		err = l.takePromotion(ctx, p)
	}
	if err != nil {
		l.report("node.promote", err)
		_ = in.Refuse(micronet.KindOf(err), cause(err))
		return
	}
	l.reply(in, struct{}{})
}

// takePromotion makes this node an authority by a promotion, once that is on disk. One that is no newer than
// the present one changes nothing. What it says of roots is not believed: those count that this node trusts.
func (l *life) takePromotion(ctx context.Context, p identity.Promotion) error {
	return l.pass.inTurn(ctx, func() error {
		if err := l.pass.stays("node.promote"); err != nil {
			return err
		}
		m := l.pass.member()
		p.Cluster, p.ClusterName, p.Roots = m.Cluster, m.ClusterName, l.pass.trust.Roots()
		if _, err := l.pass.trust.Authority(p, l.keys, l.env.Entropy, l.env.Wall()); err != nil {
			return err
		}
		if old := l.pass.promotion.Load(); old != nil && !p.Begins().After(old.Begins()) {
			return nil
		}
		raw, err := p.Marshal()
		if err != nil {
			return err
		}
		if err := l.node.disk.saveRaw(filePromotion, raw); err != nil {
			return err
		}
		l.pass.promotion.Store(&p)
		l.env.Log.Info("this node is an authority of its cluster", "ends", p.Ends().Format(time.RFC3339))
		return l.resign()
	})
}

// serveExtend gives a new promotion to a node that shows the one it has. Nobody is made an authority by it.
func (l *life) serveExtend(in tunnel.Inbound, req controlRequest) {
	p, err := l.extend(in.From(), req.Promotion)
	if err != nil {
		l.report("node.promote", err)
		_ = in.Refuse(micronet.KindOf(err), cause(err))
		return
	}
	l.reply(in, p)
}

func (l *life) extend(id micronet.NodeID, shown []byte) (extension, error) {
	a := l.gate.authority.Load()
	if a == nil || l.pass.root.Load() == nil {
		return extension{}, micronet.E("node.promote", micronet.Refused, "the root key is not on this host")
	}
	p, err := identity.UnmarshalPromotion(shown)
	if err != nil {
		return extension{}, err
	}
	g, err := l.pass.trust.VerifyGrant(p.Grant, nil, l.env.Wall())
	if err != nil {
		return extension{}, err
	}
	if l.pass.trust.Ended(id, p.Given()) {
		return extension{}, micronet.E("node.promote", micronet.Refused, "the node was %w", identity.ErrDemoted).WithPeer(id)
	}
	name := l.contacts.name(id)
	if g.ID != id || !g.Roles.Has(identity.RoleAuthority) || name == "" {
		return extension{}, micronet.E("node.promote", micronet.Refused, "the promotion is not one of the node that shows it").WithPeer(id)
	}
	if l.leadsBack(a, p.Origin(), p.RenewAfter()) {
		return extension{}, newRootAway("node.promote").WithPeer(id)
	}
	next, err := a.promote(id, name)
	if err != nil {
		return extension{}, err
	}
	raw, err := next.Marshal()
	return extension{Promotion: raw}, err
}

// keepPromotion renews this node's right to sign before it ends, and gives it up when it has ended.
func (l *life) keepPromotion(ctx context.Context, plan *reissue) {
	p := l.pass.promotion.Load()
	if p == nil {
		return
	}
	wall := l.env.Wall()
	l.reviewRight(ctx)
	if wall.After(p.Ends()) {
		return
	}
	if now := time.Now(); !plan.isDue(now, wall, p) && (!l.mustMove(p.Origin(), 0) || now.Before(plan.next)) {
		return
	}
	if err := l.renewPromotion(ctx, p); err != nil && ctx.Err() == nil {
		plan.failed(time.Now())
		l.report("node.promote", err)
	}
}

// reviewRight makes this node an authority no more when its right to sign has ended, and one again when it has not:
// the clock was wrong, at the start or since.
func (l *life) reviewRight(ctx context.Context) {
	due := func() bool {
		p := l.pass.promotion.Load()
		return p != nil && l.pass.root.Load() == nil && !l.pass.trust.Revoked(l.self) && l.holds(p) != (l.gate.authority.Load() != nil)
	}
	if !due() {
		return
	}
	err := l.pass.inTurn(ctx, func() error {
		if l.pass.gone || !due() {
			return nil
		}
		if l.gate.authority.Load() == nil {
			return l.resign()
		}
		l.gate.authority.Store(nil)
		l.env.Log.Error("the right of this node to sign for the cluster has ended", "fix", promoteAgain)
		poke(l.reissued)
		return nil
	})
	if ctx.Err() == nil {
		l.report("node.promote", err)
	}
}

// holds reports whether a promotion counts, for others and by this host's clock.
func (l *life) holds(p *identity.Promotion) bool {
	wall := l.env.Wall()
	return !wall.Before(p.Begins()) && !wall.After(p.Ends()) && l.rightRefused() == nil
}

// renewPromotion gets a new promotion from where the root key is. It is nil too when that is nowhere.
func (l *life) renewPromotion(ctx context.Context, p *identity.Promotion) error {
	if l.pass.root.Load() != nil {
		a := l.gate.authority.Load()
		if a == nil || l.leadsBack(a, p.Origin(), p.RenewAfter()) {
			return nil // its key was revoked, or the new root is about to sign
		}
		next, err := a.promote(l.self, l.name)
		if err != nil {
			return err
		}
		return l.takePromotion(ctx, next)
	}
	raw, err := p.Marshal()
	if err != nil {
		return err
	}
	return l.askAny(l.rootHolders(), func(id micronet.NodeID) error {
		var answer extension
		if err := l.ask(ctx, id, controlRequest{Verb: verbExtend, Promotion: raw}, &answer); err != nil {
			return err
		}
		next, err := identity.UnmarshalPromotion(answer.Promotion)
		if err != nil {
			return err
		}
		return l.takePromotion(ctx, next)
	})
}

const promoteAgain = "bring the root key to a host of the cluster, `micro-net node root import FILE`, and promote this node again there"

// promotionWarning says that this node's right to sign ends soon, or has ended.
func (l *life) promotionWarning() (api.Warning, bool) {
	p := l.pass.promotion.Load()
	if p == nil || l.pass.root.Load() != nil {
		return api.Warning{}, false
	}
	left, refused := p.Ends().Sub(l.env.Wall()), l.rightRefused()
	switch {
	case refused != nil:
		return api.Warning{Code: "promotion-void", Text: "others refuse what this node signs: " + cause(refused), Fix: promoteAgain}, true
	case left <= 0:
		return api.Warning{Code: "promotion-ended", Text: "the right of this node to sign for the cluster has ended", Fix: promoteAgain}, true
	case left < p.Term()/3:
		return api.Warning{
			Code: "promotion-ends", Text: fmt.Sprintf("the right of this node to sign for the cluster ends in %.0f days and could not be renewed", left.Hours()/24),
			Fix: "start the node that has the root key, or bring the key to a host of the cluster: `micro-net node root import FILE`",
		}, true
	}
	return api.Warning{}, false
}
