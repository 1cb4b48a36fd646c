package heartbeat

import (
	"math/bits"
	"time"

	micronet "github.com/micro/micro-net"
)

// Packet returns what to tell one other node now, in at most max bytes (and MaxPacket). It is nil
// when there is nothing. doubted reports whether others believe an owner dead; nil: nobody is.
//
// The order: the own beat; the doubted of whom there is something fresh, in up to half of the room;
// beats that were told seldom as yet, of these the newest; then all others in turn. What the receiver
// has told us comes in turn only, and it is not told of itself.
func (t *Table) Packet(now time.Time, to micronet.NodeID, doubted func(micronet.NodeID) bool, max int) []byte {
	room := (min(max, MaxPacket) - headerSize) / entrySize
	if room <= 0 {
		return nil
	}
	b := append(make([]byte, 0, headerSize+room*entrySize), packetFormat)
	b = t.appendOwn(b, now)
	t.packets++
	b = t.appendNews(b, now, to, doubted)
	b = t.appendRest(b, now, to)
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

// appendNews leaves out what the receiver has told us itself. The doubted take half of the room at
// most: where one half of the mesh doubts the other, whoever stands between them needs both.
func (t *Table) appendNews(b []byte, now time.Time, to micronet.NodeID, doubted func(micronet.NodeID) bool) []byte {
	receiver := t.owners[to]
	limit := retransmitMult * bits.Len(uint(len(t.order)))
	room := (cap(b) - len(b)) / entrySize
	urgent, news := ranking{room: (room + 1) / 2}, ranking{room: room}
	for _, o := range t.order {
		if !o.tells(now) || (receiver != nil && (o == receiver || o.teller == receiver)) {
			continue
		}
		if doubted != nil && now.Sub(o.made) < fresh && doubted(o.id) {
			urgent.add(o)
		}
		if o.told < limit {
			news.add(o)
		}
	}
	for _, o := range urgent.best[:urgent.n] {
		b = t.tell(b, now, o)
	}
	for _, o := range news.best[:news.n] {
		if !full(b) && o.packet != t.packets {
			b = t.tell(b, now, o)
		}
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
	case o.told != p.told:
		return o.told < p.told
	default:
		return o.made.After(p.made)
	}
}

// appendRest goes on where it stopped last time.
func (t *Table) appendRest(b []byte, now time.Time, to micronet.NodeID) []byte {
	for range t.order {
		if full(b) {
			break
		}
		t.cursor = (t.cursor + 1) % len(t.order)
		if o := t.order[t.cursor]; o.packet != t.packets && o.id != to && o.tells(now) {
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
