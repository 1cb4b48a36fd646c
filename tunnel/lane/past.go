package lane

import "time"

// past remembers how sessions of peers ended, for a peer that has lost the carrier before it heard of that.
type past struct {
	of   map[key]byte
	ring [maxEnded]ending // the oldest is forgotten
	next int
	gap  time.Time // until when one may have been forgotten that is still asked for
}

type ending struct {
	key
	at time.Time
}

// How a session ended, as kindGone says it. Numbers are wire values and are never reused.
const (
	neverWas   byte = 0
	endedBadly byte = 1 // or nobody knows
	endedWell  byte = 2
)

func (p *past) note(k key, well bool, now time.Time) {
	if k.ours {
		return // nobody asks for them
	}
	how := endedBadly
	if well {
		how = endedWell
	}
	old := &p.ring[p.next]
	if !old.at.IsZero() {
		delete(p.of, old.key)
		if until := old.at.Add(askedFor); until.After(p.gap) && until.After(now) {
			p.gap = until
		}
	}
	*old, p.of[k] = ending{k, now}, how
	p.next = (p.next + 1) % maxEnded
}

// was tells how a session ended that is not there.
func (p *past) was(k key, now time.Time) byte {
	how, known := p.of[k]
	if !known && now.Before(p.gap) {
		return endedBadly
	}
	return how
}
