package gossip_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/gossiptest"
)

func TestHubConforms(t *testing.T) {
	gossiptest.ConformMembership(t, func(*testing.T) func(gossiptest.Config) gossip.Membership {
		hub := gossip.NewHub()
		return func(c gossiptest.Config) gossip.Membership {
			return hub.Attach(gossip.HubConfig{Self: c.Self, Epoch: c.Epoch, Credential: c.Credential, Delegate: c.Delegate})
		}
	})
}

func TestHubKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := gossip.NewHub()
		ids := []micronet.NodeID{{1}, {2}}
		ended := make(chan error, len(ids))
		var members []*gossip.HubMember
		for _, id := range ids {
			m := hub.Attach(gossip.HubConfig{Self: id, Epoch: 1, Delegate: &gossiptest.Delegate{}})
			members = append(members, m)
			go func() { ended <- m.Run(t.Context()) }()
		}
		synctest.Wait()
		if _, err := members[0].Join(t.Context(), ids[1]); err != nil {
			t.Fatal(err)
		}
		if !hub.Kill(ids[1]) {
			t.Error("Kill of a running member = false")
		}
		if hub.Kill(ids[1]) {
			t.Error("Kill of a killed member = true")
		}
		if got := members[0].Members(); len(got) != 1 || got[0].Status != micronet.Dead {
			t.Errorf("Members = %v, want one, dead", got)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run of the killed member = %v, want net.ErrClosed", err)
		}
	})
}

// A delegate that is slow must not make the hub grow: what waits is bounded and drops are told.
func TestHubInboxIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := gossip.NewHub()
		drops := 0
		events := &micronet.Events{PacketDropped: func(micronet.PacketDrop) { drops++ }}
		slow := &stuck{release: make(chan struct{})}
		a := hub.Attach(gossip.HubConfig{Self: micronet.NodeID{1}, Epoch: 1, Delegate: &gossiptest.Delegate{}})
		b := hub.Attach(gossip.HubConfig{Self: micronet.NodeID{2}, Epoch: 1, Delegate: slow, Events: events})
		ctx, cancel := context.WithCancel(t.Context())
		for _, m := range []*gossip.HubMember{a, b} {
			go func() { _ = m.Run(ctx) }()
		}
		synctest.Wait()
		if _, err := a.Join(ctx, micronet.NodeID{2}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		a.Broadcast("first", []byte("blocks the loop"))
		time.Sleep(time.Second)
		for i := range 1100 {
			a.Broadcast(string(rune('A'+i)), []byte("waits"))
		}
		if drops != 1100-1024 {
			t.Errorf("%d drops, want %d", drops, 1100-1024)
		}
		close(slow.release)
		time.Sleep(time.Second)
		cancel()
	})
}

type stuck struct {
	gossiptest.Delegate
	release chan struct{}
}

func (s *stuck) Received([]byte) { <-s.release }
