package gossip

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"

	micronet "github.com/micro/micro-net"
)

// Fingerprint names a set of statements: who holds the same set has the same.
type Fingerprint struct {
	Epoch uint32        // the number of revocations
	Hash  StatementHash // of all statements, zero for none
}

// Fingerprint returns that of the set held.
func (l *Ledger) Fingerprint() Fingerprint { return l.counting().fingerprint }

// Clock returns the newest clock of all statements held, zero for none.
func (l *Ledger) Clock() uint64 { return l.counting().clock }

// Revocations returns the revocations that count, oldest first. A key can be in several.
func (l *Ledger) Revocations() []Statement { return slices.Clone(l.counting().revocations) }

// Ended returns when the rights of issuers to sign have ended, by statements that count.
func (l *Ledger) Ended() map[micronet.NodeID][]uint64 {
	out := make(map[micronet.NodeID][]uint64, len(l.counting().ended))
	for id, at := range l.counting().ended {
		out[id] = slices.Clone(at)
	}
	return out
}

// Decisive returns statements that count and say whose word does, at most so many: those that name a root, oldest first,
// as whoever does not know it can verify nothing that it has said; then the newest of those by which somebody's word
// counts no more. What is longer than a packet can be is left out.
func (l *Ledger) Decisive(most, packet int) []Statement {
	var opens, ends []Statement
	for _, h := range l.counting().order {
		switch {
		case len(h.Raw) > packet || !l.counting().entitled(&h.Statement):
		case !h.Opens.IsZero():
			opens = append(opens, h.Statement)
		case h.Revokes || !h.Ends.IsZero():
			ends = append(ends, h.Statement)
		}
	}
	slices.SortFunc(ends, func(a, b Statement) int { return cmp.Or(cmp.Compare(b.Clock, a.Clock), bytes.Compare(b.Raw, a.Raw)) })
	opens = opens[max(0, len(opens)-most):]
	return append(opens, ends[:min(len(ends), most-len(opens))]...)
}

// Said returns what counts of what an authority has said, and of what those have said whom it has revoked, and
// so on: that is what a root has to repeat so that it counts on when the root casts the authority out.
func (l *Ledger) Said(by micronet.NodeID) (out []Statement) {
	seen := map[micronet.NodeID]bool{by: true}
	for queue := []micronet.NodeID{by}; len(queue) > 0; queue = queue[1:] {
		for _, h := range l.counting().order {
			if h.Issuer != queue[0] || h.Root || !l.counting().entitled(&h.Statement) {
				continue
			}
			out = append(out, h.Statement)
			if id := h.revokes(); h.Revokes && !seen[id] {
				seen[id] = true
				queue = append(queue, id)
			}
		}
	}
	return out
}

// Counts reports whether a statement that is held counts.
func (l *Ledger) Counts(s *Statement) bool { return l.counting().entitled(s) }

// Of returns of each subject the newest statement of a kind that counts, sorted by subject. It is not
// for revocations.
func (l *Ledger) Of(kind uint8) []Statement {
	newest := map[string]*Statement{}
	for at, h := range l.held {
		if at.kind != kind || !l.counting().entitled(&h.Statement) {
			continue
		}
		if n := newest[at.subject]; n == nil || n.before(&h.Statement) {
			newest[at.subject] = &h.Statement
		}
	}
	out := make([]Statement, 0, len(newest))
	for _, subject := range slices.Sorted(maps.Keys(newest)) {
		out = append(out, *newest[subject])
	}
	return out
}

// All returns all statements held, as they were received: those that name roots first, then what roots say, then
// revocations, and by clock.
func (l *Ledger) All() [][]byte {
	out := make([][]byte, 0, len(l.held))
	for _, h := range l.counting().order {
		out = append(out, h.Raw)
	}
	return out
}

// Len returns how many statements are held.
func (l *Ledger) Len() int { return len(l.held) }

// counted is what follows from a set of statements.
type counted struct {
	fingerprint Fingerprint
	clock       uint64
	order       []*heldStatement           // all, as they are told to others
	hashes      []StatementHash            // of all, sorted
	revocations []Statement                // that count
	void        map[micronet.NodeID]bool   // whom a root has revoked
	since       map[micronet.NodeID]uint64 // when keys were revoked first
	ended       map[micronet.NodeID][]uint64
}

func (l *Ledger) counting() *counted {
	if l.counts == nil {
		l.counts = l.recount()
	}
	return l.counts
}

func (l *Ledger) recount() *counted {
	c := &counted{void: map[micronet.NodeID]bool{}, since: map[micronet.NodeID]uint64{}, ended: map[micronet.NodeID][]uint64{}}
	for _, h := range l.held {
		if h.Revokes {
			c.fingerprint.Epoch++
		}
		c.order = append(c.order, h)
		c.hashes = append(c.hashes, h.hash)
		c.clock = max(c.clock, h.Clock)
	}
	slices.SortFunc(c.order, func(a, b *heldStatement) int {
		return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.Clock, b.Clock), cmp.Compare(a.Subject, b.Subject), bytes.Compare(a.Raw, b.Raw))
	})
	slices.SortFunc(c.hashes, func(a, b StatementHash) int { return bytes.Compare(a[:], b[:]) })
	c.fingerprint.Hash = hashOf(c.hashes)
	c.end()
	c.revoke()
	return c
}

func hashOf(hashes []StatementHash) (sum StatementHash) {
	if len(hashes) == 0 {
		return sum
	}
	h := sha256.New()
	for i := range hashes {
		h.Write(hashes[i][:])
	}
	return StatementHash(h.Sum(nil)[:len(sum)])
}

// end finds whose right to sign has ended. Only roots end rights, and their own end counts in the order of
// clocks like everything else.
func (c *counted) end() {
	for _, h := range c.order {
		if h.Ends.IsZero() || !h.Root || !c.entitled(&h.Statement) {
			continue
		}
		if first := len(c.ended[h.Ends]) == 0; first && !h.Opens.IsZero() {
			c.endBesides(h.Issuer, h)
		}
		c.ended[h.Ends] = append(c.ended[h.Ends], h.Clock)
	}
}

// endBesides ends the roots that one has named which ends itself, but the one that goes on, and whom those have named: two
// hosts have replaced it at once, and nobody could end the other line.
func (c *counted) endBesides(root micronet.NodeID, end *heldStatement) {
	for _, h := range c.order {
		if id := h.Opens; h.Issuer == root && !id.IsZero() && id != end.Opens && h.Clock <= end.Clock && !slices.Contains(c.ended[id], end.Clock) {
			c.ended[id] = append(c.ended[id], end.Clock)
			c.endBesides(id, end)
		}
	}
}

// revoke finds the revocations that count. Those of roots come first, as they depend on roots alone. In the
// order of their clocks each other one depends on these and on earlier ones; two authorities that revoke each
// other at the same moment are both revoked.
func (c *counted) revoke() {
	for _, h := range c.order {
		if h.Revokes && h.Root && c.entitled(&h.Statement) {
			c.void[h.revokes()] = true
		}
	}
	for _, h := range c.order {
		if !h.Revokes || !c.entitled(&h.Statement) {
			continue
		}
		c.revocations = append(c.revocations, h.Statement)
		if id := h.revokes(); c.since[id] == 0 {
			c.since[id] = h.Clock
		}
	}
}

// entitled reports whether what an issuer has said counts. A statement's clock is the issuer's own word: who
// has lost a root's trust could date it back. So the clock decides only among those who still have that, and
// over what a root has said itself.
func (c *counted) entitled(s *Statement) bool {
	if s.Root {
		return !slices.ContainsFunc(c.ended[s.Issuer], func(at uint64) bool { return s.Clock > at })
	}
	if c.void[s.Issuer] || slices.ContainsFunc(c.ended[s.Issuer], func(at uint64) bool { return s.Given <= at }) {
		return false
	}
	since, revoked := c.since[s.Issuer]
	return !revoked || s.Clock <= since
}
