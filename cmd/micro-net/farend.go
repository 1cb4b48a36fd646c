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
	stream  string // the daemon's name of the connection, "" when it gave none
}

func (f *farEnd) dial(ctx context.Context) (net.Conn, error) {
	c, err := f.client.Dial(ctx, f.service)
	if err != nil {
		return nil, err
	}
	if n, ok := c.(interface{ Node() string }); ok {
		f.node = n.Node()
	}
	if n, ok := c.(interface{ ID() string }); ok {
		f.stream = n.ID()
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

// end asks the daemon why the connection has ended: nil when the service had said its last.
func (f *farEnd) end(ctx context.Context) error {
	if f.stream == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := f.client.End(ctx, f.stream)
	if micronet.KindOf(err) == micronet.NoDaemon {
		return micronet.E("dial", micronet.Unreachable, "%s: the daemon of this host has ended, and the connection with it", f.service).
			WithFix("start it again: `micro-net up`")
	}
	return err
}

// lost is the error of a connection that ended before it should, or nil for one whose reading ended without
// an error and that had none. What the daemon said is kept. A stream that just ends does not tell why: the
// daemon knows whether it was cut, and whether the node is still there.
func (f *farEnd) lost(ctx context.Context, verb string, err error) error {
	if e, ok := asOurs(err); ok {
		return e
	}
	why := f.end(ctx)
	switch {
	case why != nil && micronet.KindOf(why) == micronet.Refused:
		return why
	case err == nil && why == nil && f.stream != "":
		return nil // it had said its last, whatever became of its node since
	case f.silent(ctx):
		return micronet.E(verb, micronet.Unreachable, "%s: %s fell silent", f.service, f.node).WithFix("try again; `micro-net nodes` shows who answers")
	case why != nil:
		return why
	case err == nil:
		return nil
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
