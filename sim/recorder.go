package sim

import (
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/report"
)

// keptEvents bounds the events that are kept; the oldest go first.
const keptEvents = 5000

// recorder keeps the last events. Daemons tell it from goroutines of their own.
type recorder struct {
	began time.Time
	names func(micronet.NodeID) string

	mu    sync.Mutex
	ring  []report.Event
	first int
	count uint64
	drops map[drop]uint64
}

// drop is a reason for which a node dropped packets. Both words are from a fixed set.
type drop struct{ node, where, why string }

func newRecorder(names func(micronet.NodeID) string) *recorder {
	return &recorder{began: time.Now(), names: names, drops: map[drop]uint64{}}
}

// add notes that something happened now.
func (r *recorder) add(node, kind, peer, detail string) {
	e := report.Event{At: time.Since(r.began), Node: node, Kind: kind, Peer: peer, Detail: detail}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if len(r.ring) < keptEvents {
		r.ring = append(r.ring, e)
		return
	}
	r.ring[r.first] = e
	r.first = (r.first + 1) % keptEvents
}

// dropped counts a packet that a node dropped.
func (r *recorder) dropped(node string, p micronet.PacketDrop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drops[drop{node, p.Where, p.Why}]++
}

// dropsOf tells how many packets a node dropped, by "where: why".
func (r *recorder) dropsOf(node string) map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]uint64{}
	for d, n := range r.drops {
		if d.node == node {
			out[d.where+": "+d.why] = n
		}
	}
	return out
}

// last returns the events that are kept, oldest first.
func (r *recorder) last() []report.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append([]report.Event{}, r.ring[r.first:]...), r.ring[:r.first]...)
}

// events is what a daemon tells.
func (r *recorder) events(node string) *micronet.Events {
	peer := func(id micronet.NodeID) string {
		if id.IsZero() {
			return ""
		}
		return r.names(id)
	}
	return &micronet.Events{
		NodeChanged: func(c micronet.NodeChange) {
			r.add(node, string(c.To), c.Name, "was "+string(c.From))
		},
		PathChanged: func(c micronet.PathChange) {
			to := c.To.String()
			if !c.Relay.IsZero() {
				to = "the relay " + peer(c.Relay)
			}
			if c.TCP {
				to += " over TCP"
			}
			r.add(node, "path", peer(c.Peer), c.From.String()+" to "+to+": "+c.Reason)
		},
		TunnelChanged: func(c micronet.TunnelChange) {
			kind := "tunnel-down"
			if c.Up {
				kind = "tunnel-up"
			}
			r.add(node, kind, peer(c.Peer), c.Reason)
		},
		PacketDropped:   func(p micronet.PacketDrop) { r.dropped(node, p) },
		RecordRefused:   func(c micronet.RecordRefusal) { r.add(node, "refused", peer(c.Owner), c.Reason) },
		InstanceEjected: func(c micronet.Ejection) { r.add(node, "ejected", peer(c.Key.Node), c.Service+": "+c.Reason) },
		HealthChanged: func(c micronet.HealthChange) {
			r.add(node, "health", "", c.Service+" "+string(c.From)+" to "+string(c.To))
		},
		BackgroundError: func(op string, err error) { r.add(node, "error", "", op+": "+err.Error()) },
	}
}
