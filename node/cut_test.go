package node

import (
	"context"
	"io"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// whyCut waits until a connection has been cut, and asks why.
func (b *bubble) whyCut(n *simNode, service string, cut func()) error {
	b.t.Helper()
	var c io.ReadCloser
	b.await(10*time.Second, service+" is reached", func() (err error) {
		c, err = n.backend().Dial(context.Background(), service, micronet.Caller{})
		return err
	})
	defer c.Close()
	cut()
	_, err := io.Copy(io.Discard, c)
	if err == nil {
		b.t.Fatal("the connection just ended")
	}
	return c.(api.Cuttable).WhyCut(context.Background(), err)
}

// TestCutConnectionSaysWhy: a program whose connection a policy or a revocation has cut is told so.
func TestCutConnectionSaysWhy(t *testing.T) {
	inBubble(t, 85, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.source(all[1], "echo")
		b.source(all[2], "of-c")
		err := b.whyCut(all[2], "echo", func() { b.apply(all[0], noC) })
		wantError(t, "cut by a policy", err, micronet.Refused, `refused by the policy "no-c"`)
		err = b.whyCut(all[0], "of-c", func() { b.halt(all[2]) })
		wantError(t, "its node has stopped", err, micronet.Unreachable, "of-c: the connection to c was cut")
		err = b.whyCut(all[3], "echo", func() { b.revoke(all[0], api.Revocation{Node: "b", Reason: "stolen"}) })
		wantError(t, "its node was revoked", err, micronet.Refused, `b was revoked by the root key, which a has, on `)
	})
}
