package node

import (
	"errors"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// TestNewcomerLearnsOfTheDead: who joins after a node has died holds the same catalog as the others, and shows that node.
func TestNewcomerLearnsOfTheDead(t *testing.T) {
	inBubble(t, 84, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		b.serve(all[1], "shop", "b")
		b.await(5*time.Second, "shop", b.answers(all[2], "shop", "b"))
		b.crash(all[1])
		b.await(30*time.Second, "b is dead", b.seen("b", micronet.Dead, "a", "c"))
		time.Sleep(time.Minute) // nobody talks of it any more
		d := b.start("d", b.invite(all[0]))
		b.await(20*time.Second, "it holds what the others hold", func() error {
			if d.life().records.fingerprint() != all[0].life().records.fingerprint() {
				return errors.New("another catalog")
			}
			return nil
		})
		b.await(30*time.Second, "it shows b dead", b.seen("b", micronet.Dead, "d"))
	})
}

// TestVouchers: only certificates of the cluster count, and who asks for what is no node is refused.
func TestVouchers(t *testing.T) {
	inBubble(t, 85, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a, peer := all[0].life(), all[1].node.ID()
		var answer vouchers
		wish := controlRequest{Verb: verbVouch, Nodes: []string{all[0].node.ID().String(), id(7).String()}}
		if err := a.ask(t.Context(), peer, wish, &answer); err != nil || len(answer.Credentials) != 1 {
			t.Fatalf("%d certificates, %v; want that of a alone", len(answer.Credentials), err)
		}
		if cred, _, err := a.pass.verify(a.env, answer.Credentials[0]); err != nil || cred.ID != a.self {
			t.Errorf("it is of %v, %v", cred.ID, err)
		}
		err := a.ask(t.Context(), peer, controlRequest{Verb: verbVouch, Nodes: []string{"x"}}, &answer)
		wantError(t, "a question about nobody", err, micronet.Invalid, "names no nodes")
		many := make([]string, 10*maxVouched)
		for i := range many {
			many[i] = all[0].node.ID().String()
		}
		if err := a.ask(t.Context(), peer, controlRequest{Verb: verbVouch, Nodes: many}, &answer); err != nil || len(answer.Credentials) > maxVouched {
			t.Errorf("%d certificates at once, %v", len(answer.Credentials), err)
		}
	})
}
