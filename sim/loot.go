package sim

import (
	"bytes"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// maxLoot bounds what is kept of each kind; the first are kept, as the oldest hurt most.
const maxLoot = 256

// loot is what an insider has heard from others, to say it again some day.
type loot struct {
	mu       sync.Mutex
	on       bool     // an insider of the scenario needs it
	claims   [][]byte // memberlist's messages of who is alive, suspect or dead, the goodbyes among them
	records  [][]byte // messages of the catalog
	lastBeat map[micronet.NodeID][]byte
}

// packet keeps what a packet of membership brought.
func (l *loot) packet(payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.on {
		return
	}
	for _, m := range messagesOf(payload) {
		switch m[0] {
		case kindSuspect, kindAlive, kindDead:
			l.claims = keep(l.claims, m)
		case kindUser:
			l.records = keep(l.records, m[1:])
		}
	}
}

func keep(list [][]byte, m []byte) [][]byte {
	if len(list) >= maxLoot || slices.ContainsFunc(list, func(k []byte) bool { return bytes.Equal(k, m) }) {
		return list
	}
	return append(list, bytes.Clone(m))
}

// beats puts the loot in front of who takes signs of life.
func (l *loot) beats(u *tunnel.Underlay) {
	if !l.wanted() {
		return
	}
	next := u.Handler(tunnel.ChannelHeartbeat)
	u.Handle(tunnel.ChannelHeartbeat, func(from micronet.NodeID, payload []byte, at time.Time) {
		l.mu.Lock()
		l.lastBeat[from] = bytes.Clone(payload)
		l.mu.Unlock()
		next(from, payload, at)
	})
}

func (l *loot) wanted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.on
}

// want begins to keep.
func (l *loot) want() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on, l.lastBeat = true, map[micronet.NodeID][]byte{}
}

// share returns up to n things of a list, from a place on that moves with the round.
func share(list [][]byte, round, n int) (out [][]byte) {
	for k := range min(n, len(list)) {
		out = append(out, list[(round*n+k)%len(list)])
	}
	return out
}

// taken returns what was kept, a part of it per round.
func (l *loot) taken(round, n int) (claims, records, beats [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []micronet.NodeID
	for id := range l.lastBeat {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, micronet.NodeID.Compare)
	for _, id := range ids {
		beats = append(beats, l.lastBeat[id])
	}
	return share(l.claims, round, n), share(l.records, round, n), share(beats, round, n)
}
