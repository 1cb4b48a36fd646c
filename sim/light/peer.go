package light

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// peer is what is known of one other node: in place of a connection, its streams. It is forgotten
// when it has had none for a while.
type peer struct {
	id   micronet.NodeID
	addr *net.UDPAddr // identity address
	life context.Context
	end  context.CancelCauseFunc // gives up the dials to it

	sent, received atomic.Uint64 // bytes

	// Guarded by Tunnel.mu.
	dials   int
	opened  uint64               // numbers the streams
	streams map[*stream]struct{} // open ones, and closed ones that wait for the peer's end
	open    int                  // of streams
	up      bool                 // it counts as connected
	asked   bool                 // for a sign of life
	since   time.Time            // when up became true
	used    time.Time            // when open last changed
}

func (t *Tunnel) peerLocked(id micronet.NodeID) *peer {
	p := t.peers[id]
	if p == nil {
		p = &peer{id: id, addr: id.UDPAddr(), streams: make(map[*stream]struct{})}
		p.life, p.end = context.WithCancelCause(t.life)
		t.peers[id] = p
	}
	return p
}

// forgetLocked forgets a peer of whom nothing is left.
func (t *Tunnel) forgetLocked(p *peer) {
	if p.dials == 0 && len(p.streams) == 0 && !p.up && t.peers[p.id] == p {
		delete(t.peers, p.id)
		p.end(nil)
	}
}

// enter counts a dial, leave discounts it.
func (t *Tunnel) enter(id micronet.NodeID) (*peer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.running {
		return nil, tunnel.NotRunning("tunnel.open")
	}
	p := t.peerLocked(id)
	p.dials++
	return p, nil
}

func (t *Tunnel) leave(p *peer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.dials--
	t.forgetLocked(p)
}

// adopt counts a stream among its peer's. The error says why the peer, or the tunnel, has ended
// meanwhile.
func (t *Tunnel) adopt(s *stream, origin string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := s.peer
	if cause := context.Cause(p.life); cause != nil {
		return explain("tunnel.open", p.id, cause)
	}
	now := time.Now()
	p.opened++
	s.number = p.opened
	p.streams[s] = struct{}{}
	p.open++
	p.used = now
	if !p.up {
		p.up, p.since = true, now
		// Events neither block nor call back; the lock keeps up and down in order.
		t.env.Events.TunnelChanged(micronet.TunnelChange{Peer: p.id, Up: true, Reason: origin})
	}
	return nil
}

// release discounts an open stream, discard forgets it altogether.
func (t *Tunnel) release(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.peer.open--
	s.peer.used = time.Now()
}

func (t *Tunnel) discard(s *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(s.peer.streams, s)
	t.forgetLocked(s.peer)
}

// downLocked marks a peer as no longer connected and returns its streams, oldest first, which have to
// be cut.
func (t *Tunnel) downLocked(p *peer, why string) []*stream {
	if p.up {
		p.up = false
		t.env.Events.TunnelChanged(micronet.TunnelChange{Peer: p.id, Reason: why})
	}
	return slices.SortedFunc(maps.Keys(p.streams), func(a, b *stream) int { return cmp.Compare(a.number, b.number) })
}

// Disconnect resets the streams with a peer; dials to it are given up.
func (t *Tunnel) Disconnect(id micronet.NodeID, reason string) {
	t.mu.Lock()
	p := t.peers[id]
	if p == nil {
		t.mu.Unlock()
		return
	}
	delete(t.peers, id)
	streams := t.downLocked(p, reason)
	t.mu.Unlock()
	p.end(micronet.E("tunnel.dial", micronet.Closed, "disconnected: %s", reason).WithPeer(id))
	for _, s := range streams {
		s.cut(micronet.E("tunnel.stream", micronet.Closed, "the connection was closed here: %s", reason).WithPeer(id))
	}
}

// known lists the peers, sorted.
func (t *Tunnel) known() []micronet.NodeID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Keys(t.peers), micronet.NodeID.Compare)
}

// Connections lists the peers with whom streams are open, or were within Config.Idle, sorted.
func (t *Tunnel) Connections() []tunnel.ConnectionInfo {
	var infos []tunnel.ConnectionInfo
	for _, id := range t.known() {
		if info, up := t.info(id); up {
			infos = append(infos, info)
		}
	}
	return infos
}

func (t *Tunnel) info(id micronet.NodeID) (info tunnel.ConnectionInfo, up bool) {
	path, _ := t.socket.Path(id)
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	if p == nil || !p.up {
		return tunnel.ConnectionInfo{}, false
	}
	return tunnel.ConnectionInfo{
		Peer: id, Path: micronet.PathDirect, Transport: micronet.TransportTCP, Remote: path.Remote, RTT: path.RTT,
		Streams: p.open, SentBytes: p.sent.Load(), ReceivedBytes: p.received.Load(), Since: p.since,
	}, true
}
