package lane

import (
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// Connections lists the open connections, sorted by peer: those of the tunnel below, and the lanes to and from each peer as
// one.
func (t *Tunnel) Connections() []tunnel.ConnectionInfo {
	infos := t.below.Connections()
	t.mu.Lock()
	carriers, _ := t.allLocked((*carrier).isLane, func(*session) bool { return false })
	var lanes []tunnel.ConnectionInfo
	for _, c := range carriers {
		i := slices.IndexFunc(lanes, func(x tunnel.ConnectionInfo) bool { return x.Peer == c.peer })
		if i < 0 {
			i = len(lanes)
			lanes = append(lanes, tunnel.ConnectionInfo{
				Peer: c.peer, Path: micronet.PathDirect, Transport: micronet.TransportTCP,
				Remote: micronet.AddrPortOf(c.wire.RemoteAddr()), Since: c.since,
			})
		}
		c.addTo(&lanes[i])
	}
	t.mu.Unlock()
	for i := range lanes {
		if way, ok := t.paths.Path(lanes[i].Peer); ok {
			lanes[i].RTT = way.RTT
		}
	}
	infos = append(infos, lanes...)
	slices.SortStableFunc(infos, func(a, b tunnel.ConnectionInfo) int { return a.Peer.Compare(b.Peer) })
	return infos
}

func (c *carrier) addTo(i *tunnel.ConnectionInfo) {
	i.Lanes++
	if c.session != nil {
		i.Streams++
	}
	i.SentBytes += c.sent.Load()
	i.ReceivedBytes += c.got.Load()
	if c.since.Before(i.Since) {
		i.Since = c.since
	}
}

// Lanes is how many this node has dialled to a peer.
func (t *Tunnel) Lanes(peer micronet.NodeID) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.peers[peer]; l != nil {
		return len(l.idle) + l.busy
	}
	return 0
}

// Counters returns what was done since the start, by name, and what there is now.
func (t *Tunnel) Counters() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	open := 0
	for c := range t.carriers {
		if c.isLane() {
			open++
		}
	}
	return map[string]uint64{
		"open": uint64(open), "sessions": t.counts.sessions.Load(), "moved": t.counts.moved.Load(),
		"dialled": t.counts.dialled.Load(), "failed": t.counts.failed.Load(),
	}
}
