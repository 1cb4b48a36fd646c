package gossip

import "time"

// settle is how long a version of ours must be out before deltas are made from it. Changes that
// come faster than broadcasts travel then share one base, which everybody has: a broadcast that
// was replaced by the next one, or lost, leaves no gap.
const settle = 2 * time.Second

// history holds the versions of our own document that a delta may be made from. base is at least
// settle old unless there is nothing older, next becomes base when it is old enough.
type history struct {
	base, next, latest snapshot
}

type snapshot struct {
	version Version
	items   []Item
	at      time.Time
}

// publish adds a version and returns the message for it: the whole document if that is small
// enough to be broadcast, else a delta, else the header alone.
func (h *history) publish(now time.Time, s *signedHeader, items []Item, body []byte) []byte {
	h.advance(now)
	base := h.base
	h.latest = snapshot{version: s.version, items: items, at: now}
	first := base.version == (Version{})
	if first {
		h.base, h.next = h.latest, h.latest
	}
	if fullOverhead+len(body) <= MaxBroadcast {
		return encodeFull(0, s, body)
	}
	if !first {
		d := diff(base.version, base.items, items)
		if msg := encodeDelta(s, &d); len(msg) <= MaxBroadcast {
			return msg
		}
	}
	return encodeAnnounce(s)
}

// advance moves the base to the newest version known to be old enough.
func (h *history) advance(now time.Time) {
	switch {
	case now.Sub(h.latest.at) >= settle:
		h.base, h.next = h.latest, h.latest
	case now.Sub(h.next.at) >= settle:
		h.base, h.next = h.next, h.latest
	}
}
