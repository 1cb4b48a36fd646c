package node

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// asked is a stream of a peer that does not read what it is answered.
type asked struct {
	tunnel.Inbound
	peer    micronet.NodeID
	purpose tunnel.Purpose
	once    sync.Once
	aborted chan struct{}
}

func (a *asked) From() micronet.NodeID   { return a.peer }
func (a *asked) Opening() tunnel.Opening { return tunnel.Opening{Purpose: a.purpose} }
func (a *asked) Abort()                  { a.once.Do(func() { close(a.aborted) }) }
func (a *asked) Refuse(micronet.Kind, string) error {
	<-a.aborted
	return nil
}

// One peer has its share of the streams, whatever it does with them, and others have theirs.
func TestH24_StreamsOfOnePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drops := map[micronet.NodeID]int{}
		l := &life{shares: newShares(), poison: newPoison(micronet.Env{}.EnsureDefaults()), env: micronet.Env{Events: &micronet.Events{
			PacketDropped: func(d micronet.PacketDrop) { drops[d.Peer]++ },
		}}.EnsureDefaults()}
		g := newGroup(t.Context())
		serving, release := 0, make(chan struct{})
		var mu sync.Mutex
		open := func(peer byte, purpose tunnel.Purpose) *asked {
			in := &asked{peer: micronet.NodeID{peer}, purpose: purpose, aborted: make(chan struct{})}
			l.share(g, in, func(ctx context.Context) {
				mu.Lock()
				serving++
				mu.Unlock()
				<-release
			})
			return in
		}
		for range maxAskedPerPeer + maxRefusing {
			open(1, tunnel.PurposeCatalog)
		}
		last := open(1, tunnel.PurposeControl)
		select {
		case <-last.aborted:
		default:
			t.Error("a stream beyond the refusals that are on their way was not reset at once")
		}
		open(2, tunnel.PurposeCatalog)
		open(1, tunnel.PurposeService)
		synctest.Wait()
		if want := maxAskedPerPeer + 2; serving != want {
			t.Errorf("%d streams are served, want %d", serving, want)
		}
		if drops[micronet.NodeID{1}] != maxRefusing+1 || drops[micronet.NodeID{2}] != 0 {
			t.Errorf("drops by peer: %v", drops)
		}
		time.Sleep(refuseTime)
		synctest.Wait()
		if l.shares.refusing != 0 {
			t.Errorf("%d refusals are still on their way", l.shares.refusing)
		}
		close(release)
		g.stop()
		if len(l.shares.of) != 0 || l.shares.total[true] != 0 || l.shares.total[false] != 0 {
			t.Errorf("after all have ended: %+v", l.shares)
		}
	})
}

func TestH24_SharesAreBounded(t *testing.T) {
	for _, c := range []struct {
		service       bool
		perPeer, most int
	}{{true, maxServedPerPeer, maxServed}, {false, maxAskedPerPeer, maxAsked}} {
		t.Run(fmt.Sprint("service ", c.service), func(t *testing.T) {
			s := newShares()
			for peer := range c.most / c.perPeer {
				n := 0
				for s.take(shareKey{micronet.NodeID{byte(peer)}, c.service}) {
					n++
				}
				if n != c.perPeer {
					t.Fatalf("peer %d has %d streams, want %d", peer, n, c.perPeer)
				}
			}
			if s.take(shareKey{micronet.NodeID{255}, c.service}) || !s.take(shareKey{micronet.NodeID{255}, !c.service}) {
				t.Error("want the one kind full, and the other not")
			}
		})
	}
}
