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

// SetNames says whether names of services are granted in this mesh, or any node may offer any. Where they
// become granted nobody is led any more to what was not, also to what is offered now. The error is Refused when
// this node is no authority of its cluster.
func (n *Node) SetNames(ctx context.Context, granted bool) error {
	l, err := n.ready(ctx)
	if err != nil {
		return err
	}
	mode := namesOpen
	if granted {
		mode = namesGranted
	}
	_, err = backend{l}.SetNames(ctx, api.NamesRequest{Mode: mode, Force: true})
	return err
}

// GrantNames says which services a node may offer, by patterns, in place of what it was granted before. The
// error is Refused when this node is no authority of its cluster.
func (n *Node) GrantNames(ctx context.Context, name string, patterns ...string) error {
	l, err := n.ready(ctx)
	if err != nil {
		return err
	}
	_, err = backend{l}.GrantNames(ctx, api.GrantRequest{Node: name, Patterns: patterns, Force: true})
	return err
}
