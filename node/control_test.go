package node

import (
	"context"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

// slowTunnel ends its requests to daemons so late that the answer is there before.
type slowTunnel struct{ *quic.Tunnel }

func (t slowTunnel) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	s, err := t.Tunnel.Open(ctx, to, o)
	if err != nil || o.Purpose != tunnel.PurposeControl {
		return s, err
	}
	return slowStream{s}, nil
}

type slowStream struct{ tunnel.Outbound }

func (s slowStream) CloseWrite() error {
	time.Sleep(time.Second)
	return s.Outbound.CloseWrite()
}

// TestAnswerBeforeTheEnd: a peer that answers a request before it has seen its end, and reads no more, has answered.
func TestAnswerBeforeTheEnd(t *testing.T) {
	inBubble(t, 445, func(t *testing.T, b *bubble) {
		a := b.start("a", "", func(c *Config) {
			c.newTunnel = func(q quic.Config) (tunnel.Tunnel, error) {
				tun, err := quic.New(q)
				return slowTunnel{tun}, err
			}
		})
		all := []*simNode{a, b.start("b", b.invite(a)), b.start("c", b.invite(a))}
		b.await(15*time.Second, "all see all", b.alive(3, all...))
		b.promote(a, "b")
		b.promote(a, "b")
		var both sync.WaitGroup
		for _, name := range []string{"b", "c"} {
			both.Go(func() {
				if _, err := a.backend().Promote(t.Context(), api.PromoteRequest{Node: name}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		b.await(10*time.Second, "three sign", b.signing(a, "b", "c"))
		err := a.life().ask(t.Context(), all[1].node.ID(), controlRequest{Verb: "sing"}, nil)
		wantError(t, "a refusal", err, micronet.Invalid, "does not know the request")
	})
}
