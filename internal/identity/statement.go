package identity

import (
	"bytes"
	"crypto/ed25519"
	"math"
	"time"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/cryptobyte"
)

// Statement is an authority's word about the whole cluster, which every node holds and passes on:
//
//	version 1 │ kind 1 │ subject 1+n │ clock 8 │ body 2+n │ grants 1 │ issuer's grant 2+n, when grants is 1 │
//	issuer 8 │ signature 64
//
// Numbers are big-endian. The grant is there when a promoted node signed, and not when the root did.
// The signature is the issuer's over the domain, the cluster id and all bytes before it. There is one
// way to write a statement: what follows the last field, or is not needed, makes it another one. It is
// verified over the bytes that were received, and passed on as received.
type Statement struct {
	Kind    StatementKind
	Subject []byte // what it is about, 1 to 255 bytes; of two about one subject the newer counts
	Clock   Clock
	Body    []byte // at most MaxStatementBody bytes; its form follows from Kind

	Issuer micronet.NodeID // the key that signed; VerifyStatement sets it
	Root   bool            // Issuer is a root key; VerifyStatement sets it
	Given  Clock           // when Issuer got the right to sign, zero for a root; VerifyStatement sets it
}

// StatementKind says what a statement is about. Numbers are wire values and are never used again for
// something else. Statements of unknown kinds are verified, kept and passed on like all others.
type StatementKind uint8

// The kinds of statements.
const (
	StatementRevocation StatementKind = 1 // Subject is a public key, Body a Revocation
	// StatementDisavowal is a revocation of an authority that takes back, too, the certificates it has issued.
	StatementDisavowal StatementKind = 2
	StatementDemotion  StatementKind = 6 // Subject names an authority whose right to issue ends
	StatementRoot      StatementKind = 7 // Subject names a root, which Body holds
	StatementPolicy    StatementKind = 3 // Subject is a policy's name, Body the policy; empty: there is none
	// StatementForgotten is about a dead node's id, whose name is free until it comes back.
	StatementForgotten StatementKind = 8
	// StatementGrant names what services a node may offer: Subject is a node id, Body policy.EncodeNames.
	StatementGrant StatementKind = 4
	// StatementSetting sets a value for the whole mesh: Subject is its name, Body the value.
	StatementSetting StatementKind = 5
)

// Permanent reports whether nothing supersedes a statement of this kind.
func (k StatementKind) Permanent() bool { return k == StatementRevocation || k == StatementDisavowal }

// Bounds of statements.
const (
	MaxStatementBody = 8 << 10
	MaxStatement     = 1 + 1 + (1 + maxSubject) + 8 + (2 + MaxStatementBody) + 1 + (2 + MaxGrant) + 8 + ed25519.SignatureSize
	maxSubject       = 255
	// MaxClockAhead is how far ahead of this host's clock a statement may be. It may be as old as it likes.
	MaxClockAhead = 5 * time.Minute
)

const statementVersion = 1

// Clock orders statements of one subject: a hybrid logical clock, milliseconds since 1970 in the upper
// 48 bits, a counter below.
type Clock uint64

const clockCounterBits = 16

// ClockAt is the first clock of a moment; zero for one before 1970.
func ClockAt(wall time.Time) Clock { return Clock(max(0, wall.UnixMilli())) << clockCounterBits }

// Time is the moment of a clock.
func (c Clock) Time() time.Time { return time.UnixMilli(int64(c >> clockCounterBits)).UTC() }

// Next is the clock of something new at a moment, where c is the newest that is known.
func (c Clock) Next(wall time.Time) Clock { return max(c+1, ClockAt(wall)) }

// State signs a statement as this authority. Issuer and Root are ignored.
func (a *Authority) State(now time.Time, s Statement) ([]byte, error) {
	if err := a.check("statement", now); err != nil {
		return nil, err
	}
	s.Issuer, s.Root = micronet.NodeID(publicKey(a.cert)), a.IsRoot()
	if err := s.check(a.cluster); err != nil {
		return nil, err
	}
	return s.sign(a.key, a.cluster, a.grants)
}

// sign writes the statement. Whether it says anything sensible is not looked at.
func (s Statement) sign(key ed25519.PrivateKey, cluster ClusterID, grants [][]byte) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 512))
	b.AddUint8(statementVersion)
	b.AddUint8(uint8(s.Kind))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.Subject) })
	b.AddUint64(uint64(s.Clock))
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.Body) })
	b.AddUint8(uint8(len(grants)))
	for _, g := range grants {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(g) })
	}
	id := keyID(key.Public().(ed25519.PublicKey))
	b.AddBytes(id[:])
	body, err := b.Bytes()
	if err != nil {
		return nil, internal("statement", "write the statement: %w", err)
	}
	return append(body, ed25519.Sign(key, message(domainStatement, cluster, body))...), nil
}

// check reports why no authority may say this.
func (s Statement) check(cluster ClusterID) error {
	switch {
	case len(s.Subject) == 0 || len(s.Subject) > maxSubject:
		return invalid("statement", "its subject has %d bytes, want 1 to %d", len(s.Subject), maxSubject)
	case len(s.Body) > MaxStatementBody:
		return invalid("statement", "its body has %d bytes, at most %d are accepted", len(s.Body), MaxStatementBody)
	case s.Clock == 0 || s.Clock == math.MaxUint64:
		return invalid("statement", "its clock is out of range")
	}
	switch {
	case s.Kind.Permanent():
		return s.checkRevocation()
	case s.Kind == StatementDemotion || s.Kind == StatementRoot:
		return s.checkEnding(cluster)
	}
	return nil
}

// parsedStatement is a statement whose signature nobody has checked. Its slices point into the bytes
// it was read from.
type parsedStatement struct {
	Statement
	grants [][]byte
	issuer KeyID
	signed []byte // all that the signature covers
	sig    []byte
}

func parseStatement(raw []byte) (parsedStatement, error) {
	if len(raw) > MaxStatement {
		return parsedStatement{}, invalid("statement", "it has %d bytes, at most %d are accepted", len(raw), MaxStatement)
	}
	if len(raw) <= ed25519.SignatureSize || raw[0] != statementVersion {
		return parsedStatement{}, invalid("statement", "it is cut short or of an unknown version")
	}
	cut := len(raw) - ed25519.SignatureSize
	p := parsedStatement{signed: raw[:cut], sig: raw[cut:]}
	s := cryptobyte.String(raw[1:cut])
	var subject, body cryptobyte.String
	var grants uint8
	if !s.ReadUint8((*uint8)(&p.Kind)) || !s.ReadUint8LengthPrefixed(&subject) || !s.ReadUint64((*uint64)(&p.Clock)) ||
		!s.ReadUint16LengthPrefixed(&body) || !s.ReadUint8(&grants) || grants > maxIssuers {
		return parsedStatement{}, invalid("statement", "it is cut short or malformed")
	}
	p.Subject, p.Body = subject, body
	for range grants {
		var g cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&g) {
			return parsedStatement{}, invalid("statement", "it is cut short or malformed")
		}
		p.grants = append(p.grants, g)
	}
	if !s.CopyBytes(p.issuer[:]) || !s.Empty() {
		return parsedStatement{}, invalid("statement", "it is cut short, or there is something behind its end")
	}
	return p, nil
}

// VerifyStatement reads a statement and checks that an authority of this cluster signed it, and what is
// known of its kind. Whether that authority was revoked before is for whoever holds all statements.
// No date makes it too old: what was said before the authority's right ended counts on. wall is this host's clock,
// ahead of which it may be by MaxClockAhead, and zero where that was checked before. What is returned is the
// caller's to keep.
func (t *Trust) VerifyStatement(raw []byte, wall time.Time) (Statement, error) {
	p, err := parseStatement(raw)
	if err != nil {
		return Statement{}, err
	}
	if ahead := p.Clock.Time().Sub(wall); !wall.IsZero() && ahead > MaxClockAhead {
		return Statement{}, refused("statement", "it is %s ahead of this host's clock", ahead.Round(time.Second)).WithFix(clockFix)
	}
	set := t.snapshot()
	key, given, err := set.statementKey(&p)
	if err != nil {
		return Statement{}, err
	}
	if !verify(key, message(domainStatement, set.cluster, p.signed), p.sig) {
		return Statement{}, unauthorized("statement", "its signature is wrong")
	}
	s := p.Statement
	s.Issuer, s.Root, s.Given = micronet.NodeID(key), len(p.grants) == 0, given
	s.Subject, s.Body = bytes.Clone(s.Subject), bytes.Clone(s.Body)
	if err := s.check(set.cluster); err != nil {
		return Statement{}, err
	}
	if s.Kind.Permanent() && set.root(keyID(s.Subject)) != nil {
		return Statement{}, refused("statement", "it revokes a root key of the cluster")
	}
	return s, nil
}

// ParseStatement reads a statement without checking anything but its form: only VerifyStatement says
// whether it is true, and who signed it. What is returned is the caller's to keep.
func ParseStatement(raw []byte) (Statement, error) {
	p, err := parseStatement(raw)
	if err != nil {
		return Statement{}, err
	}
	s := p.Statement
	s.Subject, s.Body = bytes.Clone(s.Subject), bytes.Clone(s.Body)
	return s, nil
}

// statementKey returns the key that is said to have signed, if it may, and when it was allowed to.
func (s *rootSet) statementKey(p *parsedStatement) (ed25519.PublicKey, Clock, error) {
	key, given := s.root(p.issuer), Clock(0)
	if len(p.grants) == 1 {
		g, _, err := s.signedGrant(p.grants[0], nil)
		if err != nil {
			return nil, 0, err
		}
		if !g.Roles.Has(RoleAuthority) {
			return nil, 0, unauthorized("statement", "who signed it is no authority")
		}
		if err := g.window().states(p.Clock); err != nil {
			return nil, 0, err
		}
		key, given = g.ID[:], ClockAt(g.window().issued())
	}
	if key == nil || keyID(key) != p.issuer {
		return nil, 0, unauthorized("statement", "it was signed by a key that this cluster does not know")
	}
	return key, given, nil
}

// states refuses what was said after the end of a right, by the clock of who says it. No grace follows on that end: who
// had the right gives it up then. Its clock may be ahead of its host's, where others' are.
func (w window) states(c Clock) error {
	if at := c.Time(); at.After(w.to.Add(MaxClockAhead)) {
		return unauthorized("statement", "it is of %s, and the right of who signed it has %w on %s", stamp(at), ErrExpired, stamp(w.to))
	}
	return nil
}
