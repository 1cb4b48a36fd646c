package node

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

// revoked lists the keys that were revoked, and since when.
func (s *statements) revoked() map[micronet.NodeID]identity.Revoked {
	out := map[micronet.NodeID]identity.Revoked{}
	for _, st := range s.held.Load().Revocations() {
		id := micronet.NodeID([]byte(st.Subject))
		r, known := out[id]
		if !known {
			r.Since = identity.Clock(st.Clock) // the oldest comes first
		}
		r.Disavowed = r.Disavowed || identity.StatementKind(st.Kind) == identity.StatementDisavowal
		out[id] = r
	}
	return out
}

// restateRevoked makes this node refuse the keys that were revoked.
func (l *life) restateRevoked() {
	l.pass.trust.SetRevoked(l.statements.revoked())
}
