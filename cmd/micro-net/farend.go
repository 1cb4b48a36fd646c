package main

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// farEnd is a service that a verb talks to. It is used for one connection.
type farEnd struct {
	client  *api.Client
	service string
	node    string // that runs the instance, "" before it is known
}

func (f *farEnd) dial(ctx context.Context) (net.Conn, error) {
	c, err := f.client.Dial(ctx, f.service)
	if err != nil {
		return nil, err
	}
	if n, ok := c.(interface{ Node() string }); ok {
		f.node = n.Node()
	}
	return c, nil
}

// String names the service and, if it is known, the node.
func (f *farEnd) String() string {
	if f.node == "" {
		return f.service
	}
	return f.service + " on " + f.node
}

// lost is the error of a connection that ended before it should. What the daemon said is kept. A
// stream that just ends does not tell why: the daemon knows whether the node is still there.
func (f *farEnd) lost(ctx context.Context, verb string, err error) error {
	if e, ok := asOurs(err); ok {
		return e
	}
	switch {
	case f.silent(ctx):
		return micronet.E(verb, micronet.Unreachable, "%s: %s fell silent", f.service, f.node).WithFix("try again; `micro-net nodes` shows who answers")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return micronet.E(verb, micronet.Unreachable, "%s: the connection was closed before the answer was complete", f).
			WithFix("try again, or see the service's log")
	}
	return micronet.E(verb, micronet.Unreachable, "%s: %w", f, err)
}

// silentFor is how long a node may not have been heard for a lost connection to be its silence.
const silentFor = 3 * time.Second

// silent asks the daemon whether the node still answers.
func (f *farEnd) silent(ctx context.Context) bool {
	if f.node == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	nodes, err := f.client.Nodes(ctx)
	if err != nil {
		return false
	}
	for i := range nodes {
		n := &nodes[i]
		if n.Name != f.node || n.Self {
			continue
		}
		switch n.Status {
		case micronet.Suspect, micronet.Dead:
			return true
		case micronet.Alive:
			return n.AgeMs > silentFor.Milliseconds()
		}
	}
	return false
}
