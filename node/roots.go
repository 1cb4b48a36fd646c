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
	key         identity.KeyID
	certificate []byte
	since       time.Time // it is trusted
}

// excludes reports whether a root is of another line than the one that goes on: neither comes after the other.
func (h *heir) excludes(root []byte) bool {
	if h == nil || h.key == identity.KeyIDOf(root) {
		return false
	}
	return !identity.Succeeds(h.certificate, identity.RootIDOf(root)) && !identity.Succeeds(root, identity.RootIDOf(h.certificate))
}

// learnRoot trusts the root that a statement speaks of, if it does. That the statement is true was checked.
func learnRoot(trust *identity.Trust, raw []byte) (news bool, err error) {
	st, err := identity.ParseStatement(raw)
	if err != nil || st.Kind != identity.StatementRoot {
		return false, err
	}
	err = trust.ReviseRoots(func(roots [][]byte) ([][]byte, bool) {
		news = !slices.ContainsFunc(roots, func(r []byte) bool { return bytes.Equal(r, st.Body) })
		return append(roots, st.Body), news
	})
	return news, err
}

// restateRoots trusts all roots that the roots before them have named, from the first on, and notes which
// one goes on. Whoever signs tells its members of them.
func (l *life) restateRoots() {
	list := l.ofRoots()
	for _, held := range l.statements.held.Load().Of(uint8(identity.StatementRoot)) {
		_, err := learnRoot(l.pass.trust, held.Raw)
		l.report("node.root", err)
	}
	roots := l.pass.trust.Roots()
	news := !slices.EqualFunc(roots, l.roots, bytes.Equal)
	l.roots = roots
	l.heir.Store(heirOf(list))
	if news {
		l.env.Log.Info("the cluster has other roots", "roots", len(roots))
	}
	l.report("node.root", l.pass.inTurn(context.Background(), l.giveWay))
	if root := l.pass.root.Load(); news || (root != nil && l.pass.next.Load() == nil && l.pass.trust.Ended(root.ID(), time.Time{})) {
		l.report("node.root", l.pass.inTurn(context.Background(), l.reviseRoots))
	}
}

// ofRoots lists what roots have said of roots, oldest first.
func (l *life) ofRoots() []identity.Statement {
	list := l.stated(identity.StatementRoot)
	slices.SortStableFunc(list, func(a, b identity.Statement) int { return cmp.Compare(a.Clock, b.Clock) }) // then by subject
	return list
}

// restateTrust forgets the roots that nobody else trusts, and what is held of their word.
func (l *life) restateTrust() {
	forgot, err := forgetRoots(l.pass.trust, l.ofRoots())
	l.report("node.root", err)
	if forgot {
		l.report("node.root", l.statements.review())
	}
}

// forgetRoots trusts those roots no more that nobody else does: the root from which they have taken over has ended, which
// names another one, and no root that counts has named them before that.
func forgetRoots(trust *identity.Trust, list []identity.Statement) (forgot bool, err error) {
	err = trust.ReviseRoots(func(roots [][]byte) ([][]byte, bool) {
		left := withoutOrphans(roots, list)
		forgot = len(left) < len(roots)
		return left, forgot
	})
	return forgot && err == nil, err
}

func withoutOrphans(roots [][]byte, list []identity.Statement) [][]byte {
	for {
		left := slices.DeleteFunc(slices.Clone(roots), func(r []byte) bool { return isOrphan(r, list) && !isHanded(r, list, roots) })
		if len(left) == len(roots) {
			return left
		}
		roots = left
	}
}

// isOrphan reports whether a root has taken over from one that ended in favour of another line.
func isOrphan(root []byte, list []identity.Statement) bool {
	return slices.ContainsFunc(list, func(st identity.Statement) bool {
		return !st.Ends().IsZero() && identity.Succeeds(root, st.Issuer) && !bytes.Equal(st.Body, root) && !identity.Succeeds(root, identity.RootIDOf(st.Body))
	})
}

// isHanded reports whether one of some roots has named a root.
func isHanded(root []byte, list []identity.Statement, by [][]byte) bool {
	return slices.ContainsFunc(list, func(st identity.Statement) bool {
		return bytes.Equal(st.Body, root) && slices.ContainsFunc(by, func(r []byte) bool { return identity.RootIDOf(r) == st.Issuer })
	})
}

// heirOf finds the root that goes on by statements that are sorted by their clocks; nil when there are none. From the
// first root on it is the one that each of them names, whatever those say that were named besides.
func heirOf(list []identity.Statement) (h *heir) {
	if len(list) == 0 {
		return nil
	}
	by := list[0].Issuer
	for range list {
		next := namedBy(by, list)
		if next == nil {
			break
		}
		h, by = next, identity.RootIDOf(next.certificate)
	}
	return h
}

// newestWord is what was said last of the root that goes on, by statements that are sorted by their clocks; nil when there
// are none.
func newestWord(list []identity.Statement) (newest *identity.Statement) {
	h := heirOf(list)
	for i := range list {
		if identity.KeyIDOf(list[i].Body) == h.key {
			newest = &list[i]
		}
	}
	return newest
}

// namedBy finds the root that goes on after one: the one that its end names, or else the last that it has announced.
func namedBy(root micronet.NodeID, list []identity.Statement) (h *heir) {
	for i := range list {
		st := &list[i]
		if st.Issuer != root {
			continue
		}
		if key := identity.KeyIDOf(st.Body); h == nil || h.key != key {
			h = &heir{key, st.Body, st.Clock.Time()}
		}
		if !st.Ends().IsZero() {
			break
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
	m, all, h := l.pass.member(), l.authorities(), l.heir.Load()
	if h == nil || !l.mustMove(m.Origin(), 0) {
		return [][]micronet.NodeID{all}
	}
	holders, key := l.rootHolders(), h.key
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
