package identity

import (
	"crypto/ed25519"
	"errors"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/cryptobyte"
)

// ErrRevoked is what errors.Is finds where a key was refused because it was revoked, or because who
// vouches for it was.
var ErrRevoked = errors.New("revoked")

// Revocation is the body of a statement that ends a key's part in the cluster for good. It refers to the
// key, which is the statement's subject, and to nothing else; this is for people to read:
//
//	when 8 (milliseconds since 1970) │ name 1+n │ reason 1+n │ fields of newer versions
type Revocation struct {
	Name   string    // what the node was called, "" when nobody knows
	Reason string    // in the words of whoever revoked it, at most MaxReason bytes of UTF-8
	When   time.Time //
}

// MaxReason bounds the reason of a revocation in bytes.
const MaxReason = 255

// Body writes the revocation as the body of a statement.
func (r Revocation) Body() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddUint64(uint64(max(0, r.When.UnixMilli())))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.Name)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(r.Reason)) })
	body, err := b.Bytes()
	if err != nil {
		return nil, internal("revoke", "write the revocation: %w", err)
	}
	return body, nil
}

// ParseRevocation reads the body of a revocation.
func ParseRevocation(body []byte) (Revocation, error) {
	var when uint64
	var name, reason cryptobyte.String
	s := cryptobyte.String(body)
	if !s.ReadUint64(&when) || !s.ReadUint8LengthPrefixed(&name) || !s.ReadUint8LengthPrefixed(&reason) || len(s) > maxRevocationRest {
		return Revocation{}, invalid("revoke", "the revocation is cut short or too long")
	}
	r := Revocation{Name: string(name), Reason: string(reason), When: time.UnixMilli(int64(when & (1<<48 - 1))).UTC()}
	return r, r.check()
}

// maxRevocationRest is the room for fields of newer versions: a revocation must stay small enough to
// travel in one packet.
const maxRevocationRest = 64

func (r Revocation) check() error {
	if r.Name != "" {
		if err := micronet.CheckLabel(r.Name); err != nil {
			return invalid("revoke", "node name: %w", err)
		}
	}
	if len(r.Reason) > MaxReason || !utf8.ValidString(r.Reason) || strings.ContainsFunc(r.Reason, isControl) {
		return invalid("revoke", "the reason has %d bytes of one line of text, at most %d are accepted", len(r.Reason), MaxReason)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) }

// checkRevocation reports why a statement revokes nothing that can be revoked. That the key is not a root
// is for the Trust to know.
func (s Statement) checkRevocation() error {
	switch {
	case len(s.Subject) != ed25519.PublicKeySize || micronet.NodeID(s.Subject).IsZero():
		return invalid("revoke", "the revocation does not name a public key")
	case micronet.NodeID(s.Subject) == s.Issuer:
		return refused("revoke", "a key cannot revoke itself").WithFix("ask another authority")
	}
	_, err := ParseRevocation(s.Body)
	return err
}

// Revoke signs that a node's key is revoked. With disavow, what it has issued as an authority is
// refused as well. clock is one above all that are known, see Clock.Next.
func (a *Authority) Revoke(now time.Time, clock Clock, id micronet.NodeID, r Revocation, disavow bool) ([]byte, error) {
	if id == micronet.NodeID(publicKey(a.root)) {
		return nil, refused("revoke", "the root key cannot be revoked")
	}
	body, err := r.Body()
	if err != nil {
		return nil, err
	}
	kind := StatementRevocation
	if disavow {
		kind = StatementDisavowal
	}
	return a.State(now, Statement{Kind: kind, Subject: id[:], Clock: clock, Body: body})
}

// Revoked says since when a key counts as revoked.
type Revoked struct {
	Since     Clock // what it signed as an authority after that does not count
	Disavowed bool  // nothing that it issued counts
}

// revocations are the keys that are refused. It is never changed.
type revocations map[micronet.NodeID]Revoked

// SetRevoked replaces the keys that are refused from now on, which the Trust keeps as its own. They stay
// when roots change, and go with the cluster.
func (t *Trust) SetRevoked(keys map[micronet.NodeID]Revoked) {
	if !maps.Equal(t.snapshot().revoked, keys) {
		t.change(func(s *rootSet) { s.revoked = keys })
	}
}

// Revoked reports whether a key is refused.
func (t *Trust) Revoked(id micronet.NodeID) bool {
	_, revoked := t.snapshot().revoked[id]
	return revoked
}

// holder refuses a revoked key, whatever vouches for it.
func (r revocations) holder(op string, id micronet.NodeID) error {
	if _, revoked := r[id]; revoked {
		return unauthorized(op, "node %s has been %w", id.Short(), ErrRevoked).WithPeer(id)
	}
	return nil
}

// issued refuses what an authority issued for w after it was revoked, or at all when that was taken back. As
// dates are its own, what holds longer than anything from before can, which is most, was made after it.
func (r revocations) issued(op string, issuer micronet.NodeID, w window, most time.Duration) error {
	it, revoked := r[issuer]
	since := it.Since.Time()
	if revoked && (it.Disavowed || w.issued().After(since) || w.to.After(since.Add(most))) {
		return unauthorized(op, "authority %s, which issued it, has been %w", issuer.Short(), ErrRevoked)
	}
	return nil
}
