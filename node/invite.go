package node

import (
	"context"
	"time"

	"github.com/micro/micro-net/node/api"
)

// Invite makes a token with which other nodes join, as `micro-net invite` does: it is good for a
// number of uses and ends after ttl; zero values are one use and 15 minutes. It waits until the
// node is ready. The error is Refused when this node is no authority of its cluster.
func (n *Node) Invite(ctx context.Context, uses int, ttl time.Duration) (token string, err error) {
	l, err := n.ready(ctx)
	if err != nil {
		return "", err
	}
	r := api.InviteRequest{Uses: uses}
	if ttl != 0 {
		r.TTL = ttl.String()
	}
	inv, err := backend{l}.Invite(r)
	return inv.Token, err
}
