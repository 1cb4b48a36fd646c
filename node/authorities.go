package node

import (
	"context"

	"github.com/micro/micro-net/node/api"
)

// Promote lets another node sign for the cluster, as `micro-net node promote` does. node is its name or the
// beginning of its id. The error is Refused when the root key is not at this node.
func (n *Node) Promote(ctx context.Context, node string) error {
	l, err := n.ready(ctx)
	if err == nil {
		_, err = backend{l}.Promote(ctx, api.PromoteRequest{Node: node})
	}
	return err
}

// Demote ends another node's right to sign for the cluster, as `micro-net node demote` does.
func (n *Node) Demote(ctx context.Context, node string) error {
	l, err := n.ready(ctx)
	if err == nil {
		_, err = backend{l}.Demote(ctx, api.DemoteRequest{Node: node})
	}
	return err
}

// RotateRoot begins to replace the cluster's root key, as `micro-net node root rotate` does.
func (n *Node) RotateRoot(ctx context.Context) error {
	l, err := n.ready(ctx)
	if err == nil {
		_, err = backend{l}.RotateRoot(ctx, api.RotateRequest{Force: true})
	}
	return err
}
