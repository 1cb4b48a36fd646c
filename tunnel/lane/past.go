package lane

// past remembers how sessions ended, for a peer that has lost the carrier before it heard of that. The oldest are forgotten.
type past struct {
	of   map[key]byte
	ring [maxEnded]key
	next int
}

// How a session ended, as kindGone says it. Numbers are wire values and are never reused.
const (
	neverWas   byte = 0 // or it is forgotten
	endedBadly byte = 1
	endedWell  byte = 2
)

func (p *past) note(k key, well bool) {
	if k.ours {
		return // nobody asks for them
	}
	how := endedBadly
	if well {
		how = endedWell
	}
	delete(p.of, p.ring[p.next])
	p.ring[p.next], p.of[k] = k, how
	p.next = (p.next + 1) % maxEnded
}
