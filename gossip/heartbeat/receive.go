package heartbeat

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// Receive takes a packet that is known to come from the given node. It returns the owners of
// which it brought news: a newer beat, or that the newest is much younger than it was said. The slice is valid until the next call. Entries that do not prove
// what they say change nothing, are counted, and are no error. Errors: Invalid for a packet that
// cannot be read.
func (t *Table) Receive(now time.Time, from micronet.NodeID, payload []byte) (news []micronet.NodeID, err error) {
	t.stats.Packets++
	t.packets++
	t.Direct(now, from)
	entries, err := entriesOf(payload)
	if err != nil {
		t.stats.Malformed++
		return nil, err
	}
	t.news = t.news[:0]
	in := arrival{now: now, from: from, budget: &t.strangers}
	if o := t.owners[from]; o != nil {
		in.budget = &o.budget
	}
	for ; len(entries) > 0; entries = entries[entrySize:] {
		e := parseEntry(entries)
		t.take(&in, &e)
	}
	return t.news, nil
}

// arrival is the packet that an entry came in.
type arrival struct {
	now    time.Time
	from   micronet.NodeID
	budget *budget
}

// take tries an entry on each owner it may speak of. Two owners hardly ever share a prefix.
func (t *Table) take(in *arrival, e *entry) {
	o := t.prefixes[e.prefix]
	if o == nil {
		if e.prefix != prefixOf(t.self) {
			t.stats.Unknown++
		}
		return
	}
	for ; o != nil; o = o.next {
		t.try(in, e, o)
	}
}

// try is the order of the checks: the cheap ones first.
func (t *Table) try(in *arrival, e *entry, o *owner) {
	p := &o.chain
	leap := e.beat > p.beat && p.leap(in.now, e.beat)
	switch {
	case e.mark != p.mark():
		t.stats.Otherwise++
	case e.beat <= p.beat:
		t.stats.Stale++
		t.compare(in, e, o)
		if e.beat == p.beat && e.value == p.value && e.beat > 0 {
			t.repeat(in, e, o)
		}
	case e.beat > p.anchor.Length:
		t.stats.Impossible++
	case leap && !(in.budget.mayLeap(in.now) && o.leaps.has(in.now, 1, leapRate, leapBurst)):
		t.stats.Ahead++
	case !in.budget.spend(in.now, e.beat-p.beat):
		t.stats.Unpaid++
	case !t.verify(in, e, o):
		t.stats.Forged++
	default:
		if leap {
			o.leaps.take(in.now, 1, leapRate, leapBurst)
		}
		t.accept(in, e, o)
	}
}

func (t *Table) verify(in *arrival, e *entry, o *owner) bool {
	cost := e.beat - o.chain.beat
	t.stats.Hashes += uint64(cost)
	if !o.chain.verify(e.beat, e.value) {
		in.budget.lied = in.now
		return false
	}
	in.budget.refund(cost)
	return true
}

// accept takes over a verified beat.
func (t *Table) accept(in *arrival, e *entry, o *owner) {
	t.stats.Accepted++
	p := &o.chain
	p.beat, p.value, p.checked = e.beat, e.value, in.now
	o.told, o.teller = 0, t.owners[in.from]
	o.estimate.arrived(in.now, p.elapsed())
	if at, ok := in.claimed(e); ok {
		t.date(in, o, at, o.estimate.made(at, p.elapsed()))
	}
	t.announce(o)
}

// compare notes a sender that lacks what is known here. The beat it tells of is not checked: a false one
// wins its teller one packet of a round that is sent anyhow.
func (t *Table) compare(in *arrival, e *entry, o *owner) {
	beats := time.Duration(o.chain.beat-e.beat) * o.chain.anchor.Interval
	if from := t.owners[in.from]; from != nil && beats >= lag && in.now.Sub(o.made) < fresh {
		from.behind = in.now
	}
}

// repeat takes the newest beat from a further teller. Whoever told it first may have called it too
// old: then it is news once more.
func (t *Table) repeat(in *arrival, e *entry, o *owner) {
	at, ok := in.claimed(e)
	if !ok {
		return
	}
	before := o.made
	t.date(in, o, at, o.estimate.repeated(at, o.chain.elapsed()))
	if o.made.Sub(before) > correction {
		o.told = 0
		t.announce(o)
	}
}

// date takes over when the newest beat was made: as the owner itself claims, or as the estimate
// allows. What was known is never taken back.
func (t *Table) date(in *arrival, o *owner, claimed, allowed time.Time) {
	if in.from == o.id {
		o.estimate.trust(in.now, claimed, o.chain.elapsed())
		allowed = claimed
	}
	o.made = later(o.made, allowed)
}

func (t *Table) announce(o *owner) {
	if o.news != t.packets {
		o.news = t.packets
		t.news = append(t.news, o.id)
	}
}

// claimed returns when a beat was made, as the teller says. "At least so old" is no time.
func (in *arrival) claimed(e *entry) (at time.Time, ok bool) {
	return in.now.Add(-time.Duration(e.age) * ageUnit), e.age < ageMax
}
