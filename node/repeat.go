package node

import (
	"context"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
)

// repeatLead is how long before the end of an authority what it has said is repeated: nobody who can be reached
// must be without a policy in between.
const repeatLead = time.Second

// castOff says as this authority that the word of a node counts no more. Where the root key says so nothing
// that the node has said counts, whatever its clock: what is to count on is repeated first, unless it is
// disavowed.
func (l *life) castOff(ctx context.Context, a *authority, id micronet.NodeID, disavow bool, end signature) error {
	issuer := a.issuer.Load()
	if disavow || !issuer.IsRoot() {
		return l.statements.declare(ctx, end)
	}
	if len(l.statements.held.Load().Said(id)) > 0 {
		if err := l.statements.declareOver(ctx, func(held *gossip.Ledger) []signature { return l.repeats(issuer, held.Said(id)) }); err != nil {
			return err
		}
		if err := sleep(ctx, repeatLead); err != nil {
			return err
		}
	}
	return l.statements.declareOver(ctx, func(held *gossip.Ledger) []signature { return append(l.repeats(issuer, held.Said(id)), end) })
}

// repeats are statements of others in the name of the root. Clocks stay what they were, so that newer words stay
// newer.
func (l *life) repeats(root *identity.Authority, list []gossip.Statement) (signs []signature) {
	for _, st := range list {
		signs = append(signs, func(identity.Clock) ([]byte, error) {
			said, err := identity.ParseStatement(st.Raw)
			if err != nil {
				return nil, err
			}
			return root.State(l.env.Wall(), said)
		})
	}
	return signs
}

// strayed tells whoever can repeat them of statements that do not count. Who made them may not have known that
// its right had ended; or it is not to be trusted.
func (l *life) strayed(list []gossip.Statement) {
	if l.gate.authority.Load() == nil {
		return
	}
	l.env.Log.Warn("what an authority has said does not count, as its right has ended or its key was revoked", "count", len(list),
		"peer", list[0].Issuer.Short(), "fix", "say it again here if it is to count")
}
