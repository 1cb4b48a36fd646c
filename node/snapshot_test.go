package node

import (
	"context"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// Two nodes of a program that know no daemon meet, and hold the same.
func TestInviteAndSnapshot(t *testing.T) {
	inBubble(t, 141, func(t *testing.T, b *bubble) {
		embedded := func(c *Config) { c.Daemon = nil }
		a := b.launch("a", "", embedded)
		if _, ok := a.node.Snapshot(); ok {
			t.Error("a node that has not started believes something")
		}
		token, err := a.node.Invite(context.Background(), 2, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		c := b.start("c", token, embedded)
		b.await(10*time.Second, "both hold the same", func() error {
			sa, _ := a.node.Snapshot()
			sc, _ := c.node.Snapshot()
			if sa.Catalog != sc.Catalog || len(sa.Documents) != 2 || len(sc.Nodes) != 2 {
				return micronet.E("test", micronet.Internal, "%d and %d documents", len(sa.Documents), len(sc.Documents))
			}
			return nil
		})
		s, ok := c.node.Snapshot()
		if !ok || !s.Ready || s.Self != c.node.ID() || s.Nodes[0].Status != micronet.Alive {
			t.Errorf("c believes %+v", s)
		}
		_, err = c.node.Invite(context.Background(), 1, 0)
		wantError(t, "a node that is no authority", err, micronet.Refused, "run it on a")
		b.serve(c, "late", "here")
		changed, _ := c.node.Snapshot()
		if changed.Catalog == s.Catalog {
			t.Error("another document has the same fingerprint")
		}
	})
}
