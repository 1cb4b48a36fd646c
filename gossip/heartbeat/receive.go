package heartbeat

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// Receive takes a packet that is known to come from the given node. It returns the owners of
// which it brought a newer beat; the slice is valid until the next call. Entries that do not prove
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
		if e.beat == p.beat && e.value == p.value && e.beat > 0 && in.from == o.id {
			o.believe(in.now, e)
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
	o.told = 0
	if in.from == o.id {
		o.believe(in.now, e)
	} else {
		o.hear(in.now, e)
	}
	if o.news != t.packets {
		o.news = t.packets
		t.news = append(t.news, o.id)
	}
}

// hear takes the age of a verified beat from a teller. What was known is never taken back.
func (o *owner) hear(now time.Time, e *entry) {
	if e.age == ageMax {
		return // "at least" is no estimate
	}
	o.made = later(o.made, o.estimate.made(now, e.beat, o.chain.anchor.Interval, time.Duration(e.age)*ageUnit))
}

// believe takes it from the owner itself.
func (o *owner) believe(now time.Time, e *entry) {
	o.made = later(o.made, o.estimate.trust(now, e.beat, o.chain.anchor.Interval, time.Duration(e.age)*ageUnit))
}
