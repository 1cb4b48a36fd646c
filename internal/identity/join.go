package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

// The join exchange, inside a TLS connection made with JoinClient and JoinServer:
//
//	guest                                             authority
//	  │  request {token id, node id, name}               │
//	  │  + proof of the secret + proof of the key  ─────▶│ verify, Redeem, write to disk, Issue
//	  │                                                  │
//	  │◀─────  answer {membership, members' credentials, time} + the authority's signature
//	  │        or {kind, sentence, roots, issuers}       │
//	  │        + the authority's signature               │
//
// Every signature covers keying material exported from the TLS connection (RFC 9266's idea), so
// that nothing said here is of use to a third party, even one that holds a certificate and
// stands between the two.

// Exporter yields keying material of the TLS connection: ConnectionState.ExportKeyingMaterial.
type Exporter func(label string, context []byte, length int) ([]byte, error)

const (
	exporterLabel = "EXPORTER-micro-net-join"
	exporterLen   = 32

	// MaxJoinCredentials is how many members an answer introduces.
	MaxJoinCredentials = 8
)

// Wish is the name that a guest would like.
type Wish struct {
	Name     string
	Explicit bool // its user chose the name: that one or none
}

// JoinResult is what a guest got.
type JoinResult struct {
	Membership  Membership
	Credentials [][]byte  // of members to begin with; not verified yet
	Wall        time.Time // the authority's clock
}

// Join asks for a membership over a connection made with JoinClient. A refusal is returned as an
// *micronet.Error of the kind and with the words of the authority. What is returned otherwise
// was signed by an authority of the root that the token pins, and is valid now.
func Join(rw io.ReadWriter, exporter Exporter, token Token, keys Keys, wish Wish, now time.Time) (JoinResult, error) {
	if token.Kind != JoinToken {
		return JoinResult{}, invalid("join", "a %s cannot be used to join", token.Kind)
	}
	binding, err := exportBinding(exporter)
	if err != nil {
		return JoinResult{}, err
	}
	request, err := newJoinRequest(binding, token, keys, wish)
	if err != nil {
		return JoinResult{}, err
	}
	if err := writeFrame(rw, request); err != nil {
		return JoinResult{}, micronet.E("identity.join", micronet.Unreachable, "send the request: %w", err)
	}
	frame, err := readFrame(rw, maxJoinAnswer)
	if err != nil {
		return JoinResult{}, micronet.E("identity.join", micronet.Unreachable, "read the answer: %w", err)
	}
	return openAnswer(binding, token, keys, frame, now)
}

func exportBinding(exporter Exporter) ([]byte, error) {
	b, err := exporter(exporterLabel, nil, exporterLen)
	if err != nil {
		return nil, internal("join", "export keying material: %w", err)
	}
	if len(b) != exporterLen {
		return nil, internal("join", "the connection exports %d bytes instead of %d", len(b), exporterLen)
	}
	return b, nil
}

func newJoinRequest(binding []byte, token Token, keys Keys, wish Wish) ([]byte, error) {
	body, err := encodeRequest(requestBody{
		Version: joinVersion, Cluster: token.Cluster, Token: token.ID, Node: keys.ID(), Name: wish.Name, Explicit: wish.Explicit,
	})
	if err != nil {
		return nil, err
	}
	proof := ed25519.Sign(token.proofKey(), message(domainProof, token.Cluster, binding, body))
	possession := ed25519.Sign(keys.Sign, message(domainPossession, token.Cluster, binding, body))
	return append(append(proof, possession...), body...), nil
}

func openAnswer(binding []byte, token Token, keys Keys, frame []byte, now time.Time) (JoinResult, error) {
	sig, body, err := decodeAnswer(frame)
	if err != nil {
		return JoinResult{}, err
	}
	if body.Error != nil {
		return JoinResult{}, body.refusal(token, message(domainAnswer, token.Cluster, binding, frame[len(sig):]), sig)
	}
	m := body.Membership
	if err := m.check(); err != nil {
		return JoinResult{}, unauthorized("join", "the answer: %w", err)
	}
	if m.Cluster != token.Cluster || m.ClusterName != token.ClusterName {
		return JoinResult{}, unauthorized("join", "the answer is a membership of another cluster than the token's")
	}
	issuer, err := m.validatePinned(token, keys.ID(), now)
	if err != nil {
		return JoinResult{}, withClock(err, body.Wall, now)
	}
	if !verify(issuer, message(domainAnswer, token.Cluster, binding, frame[len(sig):]), sig) {
		return JoinResult{}, unauthorized("join", "the answer is not signed by the authority that issued the membership")
	}
	if _, err := m.Trust(); err != nil {
		return JoinResult{}, err
	}
	return JoinResult{Membership: *m, Credentials: body.Credentials, Wall: body.Wall}, nil
}

// validatePinned checks the membership under the pinned root alone: further roots that it brings
// are believed only once the authority's signature over the answer has been verified.
func (m Membership) validatePinned(token Token, id micronet.NodeID, now time.Time) (ed25519.PublicKey, error) {
	trust, err := token.pinned(m.Roots)
	if err != nil {
		return nil, err
	}
	return m.validate(trust, id, now)
}

// pinned returns a Trust in the pinned root and those that have taken over from it, as far as they are among
// the given ones.
func (t Token) pinned(roots [][]byte) (*Trust, error) {
	if len(roots) > MaxRoots {
		return nil, unauthorized("join", "the answer carries %d roots, at most %d are accepted", len(roots), MaxRoots)
	}
	var certs []*x509.Certificate
	for _, der := range roots {
		c, err := parseCertificate("join", der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	if trust, ok := t.trustAmong(certs); ok {
		return trust, nil
	}
	return nil, unauthorized("join", "the answer does not carry the root that the token names")
}

// refusal returns what an authority said. Every member can stand where the token points to, but
// only the word of an authority may keep a guest out: without one, the guest looks further.
func (b answerBody) refusal(token Token, signed, sig []byte) error {
	for _, key := range b.authorities(token) {
		if verify(key, signed, sig) {
			return b.Error.read()
		}
	}
	return micronet.E("identity.join", micronet.Unreachable, "who answers refuses, but is no authority of cluster %q", token.ClusterName)
}

// authorities returns the keys one of which the authority that refuses has. Dates do not matter here.
func (b answerBody) authorities(token Token) (keys []ed25519.PublicKey) {
	trust, err := token.pinned(b.Roots)
	if err != nil {
		return nil
	}
	s := trust.snapshot()
	if len(b.Issuers) > 0 {
		g, _, err := s.grant(b.Issuers[0], b.Issuers[1:])
		if err == nil && g.Roles.Has(RoleAuthority) {
			keys = append(keys, g.ID[:])
		}
		return keys
	}
	for _, c := range s.certs {
		keys = append(keys, publicKey(c))
	}
	return keys
}

// withClock says what the two clocks show when that may be why dates do not fit.
func withClock(err error, theirs, ours time.Time) error {
	d := ours.Sub(theirs).Round(time.Second)
	if dated := errors.Is(err, ErrExpired) || errors.Is(err, ErrNotYetValid); !dated || d.Abs() < time.Minute {
		return err
	}
	return unauthorized("join", "%w (the authority's clock shows %s, this host's differs by %s)", err, stamp(theirs), d).WithFix("set the clock of this host")
}

// printable makes a peer's words safe for a terminal and short.
func printable(s string) string {
	const most = 512
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// wireError is an error as one side tells the other.
type wireError struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
	Fix  string `json:"fix,omitempty"`
}

func (e *wireError) read() error {
	return &micronet.Error{
		Op: "identity.join", Kind: micronet.ParseKind(e.Kind), Err: fmt.Errorf("the authority says: %s", printable(e.Text)), Fix: printable(e.Fix),
	}
}
