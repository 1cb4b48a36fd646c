package identity

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// Right is what a node shows to others who must not believe its word that it signs for the cluster: the grant
// of its promotion, or, where the root key is, one by that key which says so. The latter lets nobody sign anything, and
// holds as long as the node's membership: who has lost the key cannot show it for longer.
func (a *Authority) Right(m Membership) ([]byte, error) {
	if !a.IsRoot() {
		return a.grants[0], nil
	}
	g, err := ParseGrant(m.Grant)
	if err != nil {
		return nil, err
	}
	return a.grant(Grant{ID: g.ID, Roles: RoleRoot}, m.window())
}

// VerifyRight returns which of RoleAuthority and RoleRoot a node has by the right that it shows. The right counts now: a
// root of this cluster gave it to that very node, it has begun and not ended, and neither was the node revoked nor the
// right taken back.
func (t *Trust) VerifyRight(raw []byte, id micronet.NodeID, now time.Time) (Roles, error) {
	g, err := t.VerifyGrant(raw, nil, now)
	if err != nil {
		return 0, err
	}
	switch {
	case g.ID != id:
		return 0, unauthorized("right", "the right is not the one of the node that shows it").WithPeer(id)
	case g.Roles.Has(RoleRoot):
		return RoleRoot | RoleAuthority, nil
	case !g.Roles.Has(RoleAuthority):
		return 0, unauthorized("right", "the grant gives no right to sign").WithPeer(id)
	case t.Ended(id, g.window().issued()):
		return 0, unauthorized("right", "the node was %w", ErrDemoted).WithPeer(id)
	}
	return RoleAuthority, nil
}
