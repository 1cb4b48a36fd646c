package node

import (
	"context"
	"errors"
	"fmt"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/tunnel"
)

// What an authority issues after its right has ended counts for nothing, and whoever asked it may not have
// known: the word that ends a right travels like all others. So a node looks at its own certificate with the
// eyes of others whenever it has learnt something.

// refused reports why others refuse this node's membership; nil when they do not, when only its dates are
// wrong, and when the node's own key was revoked.
func (p *passport) refused(env micronet.Env) error {
	if p.trust.Revoked(p.id()) {
		return nil
	}
	return butDates(p.trust.VerifyMembership(p.member(), p.id(), env.Wall()))
}

// butDates is the error, unless it is about dates.
func butDates(err error) error {
	if errors.Is(err, identity.ErrExpired) || errors.Is(err, identity.ErrNotYetValid) {
		return nil
	}
	return err
}

// restateOwn looks whether others still accept this node's certificate, and its right to sign.
func (l *life) restateOwn() {
	if l.rightRefused() != nil {
		poke(l.voided) // reviewRight takes it
	}
	l.report("node.certificate", l.pass.inTurn(context.Background(), func() error { l.judgeOwn(); return nil }))
}

// judgeOwn looks at the certificate in use. The caller has the passport's turn: no other one comes into use meanwhile.
func (l *life) judgeOwn() {
	err := l.pass.refused(l.env)
	if err == nil {
		l.pass.void.Store(nil)
		return
	}
	why := cause(err)
	first := l.pass.void.Swap(&why) == nil
	if l.goBack() {
		return
	}
	if w, some := l.voidWarning(); some && first {
		l.env.Log.Error(w.Text, "code", w.Code, "fix", w.Fix)
	}
	poke(l.voided)
}

// goBack takes the certificate from before the last renewal up again, if others accept that: it is renewed at
// another authority then. The caller has the passport's turn.
func (l *life) goBack() bool {
	m := l.pass.former.Swap(nil)
	if m == nil || l.pass.trust.VerifyMembership(*m, l.self, l.env.Wall()) != nil {
		return false
	}
	back := *m
	back.Roots = l.pass.trust.Roots()
	if err := l.pass.put(l.node.disk, back); err != nil {
		l.report("node.certificate", err)
		return false
	}
	l.env.Log.Warn("others refuse the last certificate of this node, which goes back to the one before", "expires", back.NotAfter)
	poke(l.reissued)
	poke(l.voided)
	return true
}

// maxReminders bounds the packets that remind one peer, which is called on less and less often.
const maxReminders = 16

// remind tells a peer that answers, and with which no tunnel comes about, whose word counts and whose does not: it may
// hold a certificate of one of them and not know why everybody refuses it, or of a root that nobody here knows. What
// fits into no packet, such as all that names the last roots that a cluster can have, needs a tunnel.
func (l *life) remind(id micronet.NodeID) {
	for _, st := range l.statements.held.Load().Decisive(maxReminders, tunnel.MaxPacket) {
		l.report("node.remind", l.under.Send(id, tunnel.ChannelStatement, st.Raw))
	}
}

// rightRefused reports why nobody accepts this node's right to sign, though it was not demoted and the dates
// are right.
func (l *life) rightRefused() error {
	p := l.pass.promotion.Load()
	if p == nil || l.pass.trust.Revoked(l.self) {
		return nil
	}
	_, err := l.pass.trust.Authority(*p, l.keys, l.env.Entropy, l.env.Wall())
	return butDates(err)
}

// voidWarning says that others refuse this node's certificate.
func (l *life) voidWarning() (api.Warning, bool) {
	why := l.pass.void.Load()
	if why == nil {
		return api.Warning{}, false
	}
	return api.Warning{
		Code: "certificate-void", Text: "other nodes refuse the certificate of this node: " + *why,
		Fix: "make a token at an authority, `micro-net invite`, and start this node anew with `micro-net up --join TOKEN`",
	}, true
}

// whyVoid says why the newest certificate of another node does not count, "" when it does or was not seen: who issued it
// had no right to, or its root was forgotten. Such a node may be alive; it is no use to anybody until it shows another certificate.
func (l *life) whyVoid(id micronet.NodeID) string {
	err := l.contacts.check(id, l.pass.trust)
	if errors.Is(err, identity.ErrRevoked) || errors.Is(err, identity.ErrVoid) || errors.Is(err, identity.ErrUntrusted) {
		return cause(err)
	}
	return ""
}

// whyRefused says why others refuse a node, "" when they do not.
func (l *life) whyRefused(n *micronet.Node) string {
	if r, revoked := l.outcasts.Load().revoked[n.ID]; revoked {
		return "its key was revoked on " + r.when()
	}
	why := l.whyVoid(n.ID)
	if own := l.pass.void.Load(); n.ID == l.self && own != nil {
		why = *own
	}
	if why == "" {
		return ""
	}
	return "its certificate does not count: " + why
}

// voidMembers lists the nodes that are there and offer nothing, as their certificates do not count.
func (l *life) voidMembers() (list []string) {
	v := l.view.Load()
	for i := range v.nodes {
		if n := &v.nodes[i]; n.ID != l.self && n.Status.Serving() {
			if why := l.whyVoid(n.ID); why != "" {
				list = append(list, fmt.Sprintf("%s (%s)", n.Name, why))
			}
		}
	}
	return list
}

// memberVoidWarning says which members do not count.
func (l *life) memberVoidWarning() (api.Warning, bool) {
	list := l.voidMembers()
	return api.Warning{
		Code: "member-void", Text: "certificates do not count, and services of their nodes are not used: " + shortList(list),
		Fix: "make a token, `micro-net invite`, and start each of these nodes anew with `micro-net up --join TOKEN`",
	}, len(list) > 0
}

// unknownService is the error of a name that nobody offers who counts.
func (l *life) unknownService(name string) error {
	e := l.view.Load().unknownService(name)
	if list := l.voidMembers(); len(list) > 0 {
		return e.WithFix("what these nodes offer is not used, as their certificates do not count: %s", shortList(list))
	}
	return e
}
