package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

const (
	// rootSettle is how long a new root is known when the first certificate is issued under it: everybody
	// who can be reached trusts it by then, and who cannot learns of it first.
	rootSettle = time.Minute
	// moveEach and moveMost spread over time when members ask for certificates under the new root: so much
	// for each node, and not more than that in all.
	moveEach = time.Second
	moveMost = 10 * time.Minute
)

// heir is the root that goes on after others.
type heir struct {
	key   identity.KeyID
	since time.Time // it is trusted
}

// learnRoot trusts the root that a statement speaks of, if it does. That the statement is true was checked.
func learnRoot(trust *identity.Trust, raw []byte) (news bool, err error) {
	st, err := identity.ParseStatement(raw)
	if err != nil || st.Kind != identity.StatementRoot {
		return false, err
	}
	roots := trust.Roots()
	if slices.ContainsFunc(roots, func(r []byte) bool { return bytes.Equal(r, st.Body) }) {
		return false, nil
	}
	return true, trust.SetRoots(append(roots, st.Body)...)
}

// restateRoots trusts all roots that the roots before them have named, from the first on, and notes which
// one goes on. Whoever signs tells its members of them.
func (l *life) restateRoots() {
	list := l.stated(identity.StatementRoot)
	slices.SortFunc(list, func(a, b identity.Statement) int { return cmp.Compare(a.Clock, b.Clock) })
	for _, held := range l.statements.held.Load().Of(uint8(identity.StatementRoot)) {
		_, err := learnRoot(l.pass.trust, held.Raw)
		l.report("node.root", err)
	}
	roots := len(l.pass.trust.Roots())
	news := roots != l.roots
	l.roots = roots
	l.heir.Store(heirOf(list))
	if news {
		l.env.Log.Info("the cluster has a new root", "roots", roots)
	}
	if root := l.pass.root.Load(); news || (root != nil && l.pass.next.Load() == nil && l.pass.trust.Ended(root.ID(), time.Time{})) {
		l.report("node.root", l.pass.inTurn(context.Background(), l.reviseRoots))
	}
}

// heirOf finds the newest root in statements that are sorted by their clocks; nil when there are none.
func heirOf(list []identity.Statement) *heir {
	var h *heir
	for i := range list {
		if key := identity.KeyIDOf(list[i].Body); h == nil || h.key != key {
			h = &heir{key, list[i].Clock.Time()}
		}
	}
	return h
}

// reviseRoots makes what this node signs tell of all roots, and deletes a root key that was replaced
// elsewhere. The caller has the passport's turn.
func (l *life) reviseRoots() error {
	root := l.pass.root.Load()
	if root != nil && l.pass.next.Load() == nil && l.pass.trust.Ended(root.ID(), time.Time{}) {
		l.pass.root.Store(nil)
		l.env.Log.Warn("the root key on this host was replaced by another one and is deleted", "fix", "import the new one if it is to be here: `micro-net node root import FILE`")
		if err := l.node.disk.remove(fileRootKey); err != nil {
			l.report("node.root", err) // it counts for nothing
		}
	}
	if !l.pass.signs() && l.gate.authority.Load() == nil {
		return nil
	}
	return l.resign()
}

// mustMove reports whether what leads to a root has to be replaced by what leads to the one that goes on.
func (l *life) mustMove(origin identity.KeyID, spread time.Duration) bool {
	h := l.heir.Load()
	return h != nil && h.key != origin && !l.env.Wall().Before(h.since.Add(rootSettle+spread))
}

// moveSpread is how much later this node asks for a certificate under a new root than others may. An
// authority does not wait.
func (l *life) moveSpread() time.Duration {
	if l.gate.authority.Load() != nil {
		return 0
	}
	most := min(moveMost, moveEach*time.Duration(len(l.view.Load().nodes)))
	return time.Duration(float64(most) * float64(binary.BigEndian.Uint16(l.self[:2])) / (1 << 16))
}

// leadsBack reports whether what an authority issues for somebody would lead to a root that was replaced, while he has
// as much already: it would be no use, and count among his renewals.
func (l *life) leadsBack(a *authority, has identity.KeyID, due time.Time) bool {
	h, origin := l.heir.Load(), a.issuer.Load().Origin()
	return h != nil && origin != h.key && origin == has && l.env.Wall().Before(due)
}

// newRootAway says why nothing is issued that would lead back.
func newRootAway(op string) *micronet.Error {
	return micronet.E(op, micronet.Refused, "the root key is being replaced, and the new one does not sign here yet").
		WithFix("start the node that has the root key, if it is down; it goes on by itself")
}

// checkMove refuses to take one certificate for another under the same former root before it is time.
func (l *life) checkMove(origin identity.KeyID) error {
	m, h := l.pass.member(), l.heir.Load()
	if h == nil || origin == h.key || origin != m.Origin() || !l.env.Wall().Before(m.RenewAfter()) {
		return nil
	}
	return micronet.E("node.certificate", micronet.Refused, "it would lead to the former root")
}

// renewers lists whom to ask for a certificate, in turn: where there is a new root whoever has its key, and then
// those who issue under it already. A certificate under the former one is of use only when it is time for it. That
// somebody has a key is that node's own word.
func (l *life) renewers() [][]micronet.NodeID {
	m, all := l.pass.member(), l.authorities()
	if !l.mustMove(m.Origin(), 0) {
		return [][]micronet.NodeID{all}
	}
	holders, key := l.rootHolders(), l.heir.Load().key
	var moved, rest []micronet.NodeID
	for _, id := range all {
		switch {
		case slices.Contains(holders, id): // asked before
		case l.contacts.origin(id) == key:
			moved = append(moved, id)
		case !l.env.Wall().Before(m.RenewAfter()):
			rest = append(rest, id)
		}
	}
	return [][]micronet.NodeID{holders, moved, rest}
}
