package node

import (
	"errors"
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

// resign makes this node an authority, or none, after what it signs with has changed, and tells everybody
// which. The caller has the passport's turn.
func (l *life) resign() error {
	issuer, err := l.pass.issuer(l.env)
	if err := l.mayNotSign(err); err != nil {
		return err
	}
	if l.pass.trust.Revoked(l.self) {
		issuer = nil
	}
	switch a := l.gate.authority.Load(); {
	case issuer == nil:
		l.gate.authority.Store(nil)
	case a != nil:
		a.issuer.Store(issuer)
	default:
		if a, err = l.newAuthority(issuer); err != nil {
			return err
		}
		l.gate.authority.Store(a)
	}
	poke(l.reissued)
	return nil
}

// mayNotSign lets a node start whose right to sign has ended: it is a member like all others then.
func (l *life) mayNotSign(err error) error {
	is := func(why error) bool { return errors.Is(err, why) }
	if is(identity.ErrExpired) || is(identity.ErrNotYetValid) || is(identity.ErrDemoted) || is(identity.ErrVoid) || is(identity.ErrUntrusted) {
		l.env.Log.Error("this node cannot sign for the cluster", "err", err, "fix", "check the clock; promote this node again")
		return nil
	}
	return err
}

// holderOf is who has a name in the mesh, as this node sees it. Who left has given it back.
func (l *life) holderOf(name string) (micronet.NodeID, bool) {
	v := l.view.Load()
	if v == nil {
		return micronet.NodeID{}, false
	}
	for i := range v.nodes {
		if n := &v.nodes[i]; n.Name == name && n.Status != micronet.Left && n.Status != micronet.Revoked {
			return n.ID, true
		}
	}
	return micronet.NodeID{}, false
}

// rootHolders lists the live nodes that have the cluster's root key, as they say.
func (l *life) rootHolders() []micronet.NodeID {
	return slices.DeleteFunc(l.alive(), func(id micronet.NodeID) bool { return !l.contacts.hasRoot(id) })
}

// keepers lists the live nodes that have shown that the cluster's root key is there.
func (l *life) keepers() []micronet.NodeID {
	shown := l.records.rights()
	return slices.DeleteFunc(l.alive(), func(id micronet.NodeID) bool { return !l.proven(id, shown[id]).Has(identity.RoleRoot) })
}

// rights tells which other nodes sign for the cluster, whether they are alive or not: those whose records are held and
// show a right that counts now. What their credentials say is their word, and serves to find whom to ask.
func (l *life) rights() map[micronet.NodeID]identity.Roles {
	out := map[micronet.NodeID]identity.Roles{}
	for id, right := range l.records.rights() {
		if roles := l.proven(id, right); roles != 0 {
			out[id] = roles
		}
	}
	return out
}

// proven is what another node signs by the right that it shows, nothing when that does not count now.
func (l *life) proven(id micronet.NodeID, right []byte) identity.Roles {
	if id == l.self || len(right) == 0 {
		return 0
	}
	roles, err := l.pass.trust.VerifyRight(right, id, l.env.Wall())
	if err != nil {
		return 0
	}
	return roles
}

// isLastAuthority reports whether nobody could sign for the cluster without this node, as far as others have shown that
// they can. Who said goodbye may have left for good. A root key may be gone from a host that is dead: what was shown of
// it counts for days, and a host from which it was taken shows so only while it lives. A promotion comes back with the
// host.
func (l *life) isLastAuthority() bool {
	if l.gate.authority.Load() == nil {
		return false
	}
	v := l.view.Load()
	for id, right := range l.records.rights() {
		n := v.byID[id]
		if n == nil || n.Status == micronet.Left {
			continue
		}
		if roles := l.proven(id, right); roles != 0 && (n.Status.Serving() || !roles.Has(identity.RoleRoot)) {
			return false
		}
	}
	return true
}
