package gossip

import micronet "github.com/micro/micro-net"

// Bounds of a ledger. What goes beyond them is refused: nothing that is held makes room. Revocations
// have a room of their own, and in each room a part is left to roots: no key that was stolen from anybody else
// keeps them from ending what it does.
const (
	MaxRevocations     = 4096    // of the cluster
	maxRevocationsEach = 1024    // of one issuer that is not a root
	rootRevocations    = 1024    // of MaxRevocations for roots alone
	MaxStatements      = 4096    // of each kind that is not a revocation
	MaxStatementsTotal = 8192    // of all of these
	maxStatementsEach  = 2048    // of one issuer that is not a root
	rootStatements     = 2048    // of MaxStatements and of MaxStatementsTotal for roots alone
	MaxStatementsBytes = 8 << 20 // of all of these
	maxBytesEach       = 1 << 20 // of one issuer that is not a root
	rootBytes          = 2 << 20 // of MaxStatementsBytes for roots alone
	revocationBytes    = 1 << 10 // for one revocation, none is as long
)

// tally is how many statements there are of something, and how long they are together.
type tally struct{ count, bytes int }

func (t tally) plus(o tally) tally     { return tally{t.count + o.count, t.bytes + o.bytes} }
func (t tally) minus(o tally) tally    { return tally{t.count - o.count, t.bytes - o.bytes} }
func (t tally) within(most tally) bool { return t.count <= most.count && t.bytes <= most.bytes }

// rooms are what is held of what: of one issuer, of one kind, and in all.
type rooms map[room]tally

// room is what statements share. Its zero fields stand for all.
type room struct {
	issuer  micronet.NodeID
	kind    uint16 // one above that of statements
	roots   bool   // of roots, or of all others
	revokes bool
}

// roomsOf are those that a statement takes a part of.
func roomsOf(s *Statement) (own, kind, all room) {
	all = room{roots: s.Root, revokes: s.Revokes}
	own, kind = all, all
	own.issuer, kind.kind = s.Issuer, 1+uint16(s.Kind)
	return own, kind, all
}

func (r rooms) count(s *Statement, n int) {
	own, kind, all := roomsOf(s)
	for _, at := range []room{own, kind, all} {
		r[at] = r[at].plus(tally{n, n * len(s.Raw)})
	}
}

// check reports why there is no room for s in the place of old.
func (r rooms) check(s *Statement, old *heldStatement) error {
	more := tally{1, len(s.Raw)}
	if old != nil {
		more = more.minus(tally{1, len(old.Raw)})
	}
	own, kind, all := roomsOf(s)
	each, ofKind, most, reserve := boundsOf(s.Revokes)
	switch {
	case !r.fits(all, more, most, reserve) || !r.fits(kind, more, ofKind, reserve):
		return micronet.E("ledger.take", micronet.Overloaded, "there are %d statements of its kind, and no room for more", r[kind].count)
	case !s.Root && !r[own].plus(more).within(each):
		return micronet.E("ledger.take", micronet.Overloaded, "its issuer has made %d statements of %d bytes already", r[own].count, r[own].bytes)
	}
	return nil
}

// fits reports whether more is within a bound that roots and others share, of which others leave a part.
func (r rooms) fits(at room, more, most, reserve tally) bool {
	other := at
	other.roots = !at.roots
	if !at.roots && !r[at].plus(more).within(most.minus(reserve)) {
		return false
	}
	return r[at].plus(r[other]).plus(more).within(most)
}

// boundsOf are those of one issuer, of one kind, of all, and what of the latter two is for roots.
func boundsOf(revokes bool) (each, kind, all, reserve tally) {
	if revokes {
		all = tally{MaxRevocations, MaxRevocations * revocationBytes}
		return tally{maxRevocationsEach, maxRevocationsEach * revocationBytes}, all, all, tally{rootRevocations, rootRevocations * revocationBytes}
	}
	return tally{maxStatementsEach, maxBytesEach}, tally{MaxStatements, MaxStatementsBytes}, tally{MaxStatementsTotal, MaxStatementsBytes},
		tally{rootStatements, rootBytes}
}
