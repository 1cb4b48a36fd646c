package heartbeat

import (
	"math/bits"
	"time"

	micronet "github.com/micro/micro-net"
)

// Packet returns what to tell one other node now, in at most max bytes (and MaxPacket). It is nil
// when there is nothing. doubted reports whether others believe an owner dead; nil: nobody is.
//
// The order: the own beat; the doubted of whom there is something fresh; beats that were told
// seldom as yet, of these the newest; then all others in turn.
func (t *Table) Packet(now time.Time, doubted func(micronet.NodeID) bool, max int) []byte {
	room := (min(max, MaxPacket) - headerSize) / entrySize
	if room <= 0 {
		return nil
	}
	b := append(make([]byte, 0, headerSize+room*entrySize), packetFormat)
	b = t.appendOwn(b, now)
	t.packets++
	b = t.appendNews(b, now, doubted)
	b = t.appendRest(b, now)
	if len(b) == headerSize {
		return nil
	}
	return b
}

// full reports whether no further entry fits into the capacity of b.
func full(b []byte) bool { return cap(b)-len(b) < entrySize }

func (t *Table) appendOwn(b []byte, now time.Time) []byte {
	if t.former != nil && now.Sub(t.replaced) > overlap {
		t.former = nil
	}
	for _, c := range [...]*Chain{t.own, t.former} {
		if c == nil || full(b) {
			continue
		}
		if k, v, age, ok := c.Beat(now); ok {
			e := entry{prefix: prefixOf(t.self), mark: c.anchor.Value[0], beat: k, value: v, age: ageOf(age)}
			b = e.append(b)
		}
	}
	return b
}

func (t *Table) appendNews(b []byte, now time.Time, doubted func(micronet.NodeID) bool) []byte {
	r := ranking{room: (cap(b) - len(b)) / entrySize}
	limit := retransmitMult * bits.Len(uint(len(t.order)))
	for _, o := range t.order {
		if !o.tells(now) {
			continue
		}
		o.urgent = doubted != nil && now.Sub(o.made) < fresh && doubted(o.id)
		if o.urgent || o.told < limit {
			r.add(o)
		}
	}
	for _, o := range r.best[:r.n] {
		b = t.tell(b, now, o)
	}
	return b
}

// ranking is the best owners so far, the very best first.
type ranking struct {
	best    [MaxEntries]*owner
	n, room int
}

func (r *ranking) add(o *owner) {
	switch {
	case r.n < r.room:
		r.n++
	case r.n == 0 || !o.before(r.best[r.n-1]):
		return
	}
	i := r.n - 1
	for ; i > 0 && o.before(r.best[i-1]); i-- {
		r.best[i] = r.best[i-1]
	}
	r.best[i] = o
}

// before reports whether o is to be told rather than p.
func (o *owner) before(p *owner) bool {
	switch {
	case o.urgent != p.urgent:
		return o.urgent
	case o.told != p.told:
		return o.told < p.told
	default:
		return o.made.After(p.made)
	}
}

// appendRest goes on where it stopped last time.
func (t *Table) appendRest(b []byte, now time.Time) []byte {
	for range t.order {
		if full(b) {
			break
		}
		t.cursor = (t.cursor + 1) % len(t.order)
		if o := t.order[t.cursor]; o.packet != t.packets && o.tells(now) {
			b = t.tell(b, now, o)
		}
	}
	return b
}

func (t *Table) tell(b []byte, now time.Time, o *owner) []byte {
	o.packet = t.packets
	o.told++
	e := o.entry(now)
	return e.append(b)
}
