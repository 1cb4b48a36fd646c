package node

import (
	"context"
	"errors"

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

// remind tells a peer that answers, and with which no tunnel comes about, whose word counts no more: it may
// hold a certificate of one of them and not know why everybody refuses it.
func (l *life) remind(id micronet.NodeID) {
	for _, st := range l.statements.held.Load().Enders(maxReminders) {
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
