package gossip

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"maps"

	micronet "github.com/micro/micro-net"
)

// Statement is an authority's word about the whole cluster, as whoever verified it has read it. Its
// meaning is none of the ledger's business, but for one thing: that it revokes a key.
type Statement struct {
	Kind    uint8
	Subject string
	Clock   uint64          // orders statements about one subject, see identity.Clock
	Issuer  micronet.NodeID // the key that signed
	Root    bool            // Issuer cannot be revoked
	Opens   micronet.NodeID // the root that it names, which has to be known before what that has said, zero: none
	Revokes bool            // Subject is a public key, which counts for nothing from Clock on, for good
	Given   uint64          // when Issuer got the right to sign, zero for a root
	Ends    micronet.NodeID // whose right to sign ends at Clock if it was given before, zero: nobody's
	Raw     []byte          // as received; read-only
}

// before orders statements: by clock, then by their bytes.
func (s *Statement) before(o *Statement) bool {
	return cmp.Or(cmp.Compare(s.Clock, o.Clock), bytes.Compare(s.Raw, o.Raw)) < 0
}

// rank says what is told first: whose word counts; what roots say, which may be what those have said whom they
// revoke; then whose word does not count, and then all else.
func (s *Statement) rank() int {
	switch {
	case !s.Opens.IsZero():
		return 0
	case s.Revokes:
		return 2
	case s.Root:
		return 1
	}
	return 3
}

// revokes returns the key that a revocation is about.
func (s *Statement) revokes() micronet.NodeID {
	var id micronet.NodeID
	copy(id[:], s.Subject)
	return id
}

// Ledger holds what the cluster's authorities have said about all of it. It is a pure core, as the
// catalog is, and not safe for concurrent use.
//
// Of each issuer it holds one statement of each kind about each subject: the newest, and of revocations
// the oldest, as they count from then on. So the set that is held is a maximum over all that were taken,
// whatever their order and number: ledgers that took the same hold the same. What counts follows from
// the set alone. Nothing does whose issuer a root has revoked, or that was signed by a right which a root
// has ended since, whatever its clock: who ends a right repeats what is to count on. And nothing does whose
// issuer another authority had revoked before its clock, by a revocation that counts itself. What does not count is held
// and passed on all the same.
type Ledger struct {
	read  func(raw []byte) (Statement, error)
	held  map[slot]*heldStatement
	known map[StatementHash]*heldStatement

	rooms  rooms
	counts *counted // what follows from the set, nil after a change
}

// slot is what one statement is held of.
type slot struct {
	kind    uint8
	subject string
	issuer  micronet.NodeID
}

type heldStatement struct {
	Statement
	hash StatementHash
}

// StatementHash is the hash of a statement's bytes.
type StatementHash [16]byte

func hashStatement(raw []byte) StatementHash {
	sum := sha256.Sum256(raw)
	return StatementHash(sum[:len(StatementHash{})])
}

// Taken says what became of a statement.
type Taken int

// What becomes of statements.
const (
	TakenRefused Taken = iota // it is none of this cluster, or there is no room for it
	TakenKnown                // it is held already
	TakenOlder                // another one that is held has superseded it
	TakenNew                  // it is held now
)

// NewLedger returns an empty ledger. read verifies a statement that is not held yet; it must be quick,
// and what it returns must follow from the bytes alone.
func NewLedger(read func(raw []byte) (Statement, error)) *Ledger {
	return &Ledger{
		read: read, held: map[slot]*heldStatement{}, known: map[StatementHash]*heldStatement{},
		rooms: rooms{},
	}
}

// Take takes a statement. The error says why it was refused.
func (l *Ledger) Take(raw []byte) (Taken, error) {
	hash := hashStatement(raw)
	if l.known[hash] != nil {
		return TakenKnown, nil
	}
	s, err := l.read(raw)
	if err != nil {
		return TakenRefused, err
	}
	s.Raw = bytes.Clone(raw)
	at := slot{s.Kind, s.Subject, s.Issuer}
	old := l.held[at]
	if old != nil && old.before(&s) == s.Revokes {
		return TakenOlder, nil
	}
	if err := l.rooms.check(&s, old); err != nil {
		return TakenRefused, err
	}
	l.put(at, old, &heldStatement{s, hash})
	return TakenNew, nil
}

// Lookup returns a statement if it is held.
func (l *Ledger) Lookup(raw []byte) (Statement, bool) {
	if h := l.known[hashStatement(raw)]; h != nil {
		return h.Statement, true
	}
	return Statement{}, false
}

// Clone returns a ledger that holds the same and goes its own way from here.
func (l *Ledger) Clone() *Ledger {
	c := *l
	c.held, c.known, c.rooms = maps.Clone(l.held), maps.Clone(l.known), maps.Clone(l.rooms)
	return &c
}

// Freeze works out what follows from the set. As long as nothing more is taken, several goroutines may read
// the ledger at once from then on.
func (l *Ledger) Freeze() *Ledger {
	l.counting()
	return l
}

func (l *Ledger) put(at slot, old, now *heldStatement) {
	if old != nil {
		delete(l.known, old.hash)
		l.rooms.count(&old.Statement, -1)
	}
	l.held[at], l.known[now.hash], l.counts = now, now, nil
	l.rooms.count(&now.Statement, 1)
}
