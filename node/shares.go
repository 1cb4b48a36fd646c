package node

import (
	"context"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

const (
	// maxServed bounds the connections of programs that others have open to this node, maxServedPerPeer
	// those of one peer: each takes a file descriptor and two buffers here.
	maxServed        = 65536
	maxServedPerPeer = 16384
	// maxAsked bounds the other streams that are being answered, maxAskedPerPeer those of one peer. An
	// honest peer has one or two, for a moment.
	maxAsked        = 1024
	maxAskedPerPeer = 16
	// maxRefusing bounds the refusals on their way, refuseTime how long one may take: the peer decides
	// when it reads them. Further streams are reset without a word.
	maxRefusing = 256
	refuseTime  = time.Second
)

// shares counts the streams of peers that are being served. It is safe for several goroutines.
type shares struct {
	mu       sync.Mutex // a leaf
	of       map[shareKey]int
	total    map[bool]int // by shareKey.service
	refusing int
}

// shareKey is what is counted of one peer apart.
type shareKey struct {
	peer    micronet.NodeID
	service bool
}

func newShares() *shares { return &shares{of: map[shareKey]int{}, total: map[bool]int{}} }

func shareOf(in tunnel.Inbound) shareKey {
	return shareKey{in.From(), in.Opening().Purpose == tunnel.PurposeService}
}

// take counts a stream, or refuses it.
func (s *shares) take(k shareKey) bool {
	most, perPeer := maxAsked, maxAskedPerPeer
	if k.service {
		most, perPeer = maxServed, maxServedPerPeer
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total[k.service] >= most || s.of[k] >= perPeer {
		return false
	}
	s.total[k.service]++
	s.of[k]++
	return true
}

func (s *shares) give(k shareKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total[k.service]--
	if s.of[k]--; s.of[k] == 0 {
		delete(s.of, k)
	}
}

// turnAway counts a refusal, or says that there are too many.
func (s *shares) turnAway() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusing >= maxRefusing {
		return false
	}
	s.refusing++
	return true
}

func (s *shares) turnedAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing--
}

// share serves a stream within its peer's share, or refuses it. An instance that cannot be had here is
// looked for elsewhere by the caller.
func (l *life) share(streams *group, in tunnel.Inbound, serve func(context.Context)) {
	k, part := shareOf(in), partOf(in.Opening().Purpose)
	why := "this node has as many streams of yours as it takes"
	switch {
	case l.poison.shuns(k.peer, part):
		why = "this node does not listen to yours for a while: it has failed on what came over one"
	case l.shares.take(k):
		streams.run(func(ctx context.Context) error {
			defer l.shares.give(k)
			err := l.poison.guard(k.peer, part, func() error { serve(ctx); return nil })
			if err != nil {
				in.Abort()
			}
			return nil
		})
		return
	default:
		l.env.Events.PacketDropped(micronet.PacketDrop{Where: "node", Why: "too-many-streams", Peer: k.peer})
	}
	if !l.shares.turnAway() {
		in.Abort()
		return
	}
	streams.run(func(ctx context.Context) error {
		defer l.shares.turnedAway()
		refuse(ctx, in, micronet.NotFound, why)
		return nil
	})
}
