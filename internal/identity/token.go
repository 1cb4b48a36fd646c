package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/cryptobyte"
)

// TokenKind is what a token is for. It is the third letter of its text.
type TokenKind byte

// The kinds of tokens.
const (
	JoinToken TokenKind = 'j' // a node joins the cluster
	LinkToken TokenKind = 'l' // another cluster links with it
)

// String names the kind as people say it.
func (k TokenKind) String() string {
	switch k {
	case JoinToken:
		return "join token"
	case LinkToken:
		return "link token"
	}
	return "token of an unknown kind"
}

// madeBy is the command that prints tokens of this kind.
func (k TokenKind) madeBy() string {
	if k == LinkToken {
		return "micro-net link invite"
	}
	return "micro-net invite"
}

func (k TokenKind) prefix() string { return "mn" + string(rune(k)) + "1_" }

// TokenID names a token. It is no secret.
type TokenID [8]byte

// String returns hexadecimal.
func (id TokenID) String() string { return fmt.Sprintf("%x", id[:]) }

// Secret is what makes a token worth something. It prints as nothing.
type Secret [20]byte

// String hides the secret.
func (s Secret) String() string { return "(redacted)" }

// Format prints String whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { redact(f, s.String()) }

// Token is an invitation. Its text is the prefix that names the kind and version, and in
// base64url (RFC 4648 section 5):
//
//	cluster 16 │ root hash 32 │ id 8 │ secret 20 │ expires 4 │ cluster name 1+n │ node name 1+n │
//	addresses 1 + (1+n each) │ TCP port 2, if there is one │ fields of newer versions │ checksum 4
type Token struct {
	Kind        TokenKind
	Cluster     ClusterID
	ClusterName string
	RootHash    RootHash // the root that the answering node must lead to
	ID          TokenID
	Secret      Secret
	Expires     time.Time // by the authority's clock, whole seconds
	Name        string    // the only node name it is for; "" any
	Addresses   []string  // host:port where the cluster may be reached
	TCP         uint16    // the port there for joining over TCP, where it is another one; 0: the same
}

// Bounds of tokens.
const (
	MaxTokenText      = 4096 // characters, before white space is removed
	MaxTokenAddresses = 8
	maxTokenAddress   = 255 // characters; the length has one byte
	tokenChecksumLen  = 4
)

const tokenCut = "the token is cut short or was changed while copying"

// Encode returns the text of the token, which holds the secret.
func (t Token) Encode() (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	b := cryptobyte.NewBuilder(nil)
	b.AddBytes(t.Cluster[:])
	b.AddBytes(t.RootHash[:])
	b.AddBytes(t.ID[:])
	b.AddBytes(t.Secret[:])
	b.AddUint32(uint32(t.Expires.Unix()))
	addString(b, t.ClusterName)
	addString(b, t.Name)
	b.AddUint8(uint8(len(t.Addresses)))
	for _, a := range t.Addresses {
		addString(b, a)
	}
	if t.TCP != 0 {
		b.AddUint16(t.TCP)
	}
	payload, err := b.Bytes()
	if err != nil {
		return "", invalid("token", "the token cannot be written: %w", err)
	}
	payload = append(payload, t.Kind.checksum(payload)...)
	return t.Kind.prefix() + base64.RawURLEncoding.EncodeToString(payload), nil
}

func addString(b *cryptobyte.Builder, s string) {
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

func (k TokenKind) checksum(payload []byte) []byte {
	h := sha256.New()
	h.Write([]byte(k.prefix()))
	h.Write(payload)
	return h.Sum(nil)[:tokenChecksumLen]
}

// ParseToken reads the text of a token of the wanted kind. White space, also that of a wrapped
// line, is removed.
func ParseToken(text string, want TokenKind) (Token, error) {
	if len(text) > MaxTokenText {
		return Token{}, invalid("token", "the text has %d characters, a token has at most %d", len(text), MaxTokenText)
	}
	body, err := cutPrefix(strings.Join(strings.Fields(text), ""), want)
	if err != nil {
		return Token{}, err
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(raw) < tokenChecksumLen {
		return Token{}, invalid("token", tokenCut).WithFix("copy it again, whole")
	}
	payload := raw[:len(raw)-tokenChecksumLen]
	if !bytes.Equal(want.checksum(payload), raw[len(payload):]) {
		return Token{}, invalid("token", tokenCut).WithFix("copy it again, whole")
	}
	t, ok := readToken(payload)
	if !ok {
		return Token{}, invalid("token", "the token is malformed although its checksum is right")
	}
	t.Kind = want
	return t, t.check()
}

// cutPrefix removes the prefix and names what was given in place of a token of that kind.
func cutPrefix(text string, want TokenKind) (string, error) {
	if body, ok := strings.CutPrefix(text, want.prefix()); ok {
		return body, nil
	}
	for _, other := range []TokenKind{JoinToken, LinkToken} {
		if other != want && strings.HasPrefix(text, other.prefix()) {
			return "", invalid("token", "this is a %s, made by `%s`; a %s is needed here", other, other.madeBy(), want).
				WithFix("make one with `%s`", want.madeBy())
		}
	}
	if len(text) < len(want.prefix()) && strings.HasPrefix(want.prefix(), text) {
		return "", invalid("token", tokenCut).WithFix("copy it again, whole")
	}
	if strings.HasPrefix(text, want.prefix()[:3]) {
		return "", invalid("token", "the token was made by another version of micro-net, or was changed while copying")
	}
	return "", invalid("token", "this is no %s: one begins with %s", want, want.prefix()).WithFix("make one with `%s`", want.madeBy())
}

func readToken(payload []byte) (Token, bool) {
	var t Token
	var expires uint32
	var addresses uint8
	s := cryptobyte.String(payload)
	if !s.CopyBytes(t.Cluster[:]) || !s.CopyBytes(t.RootHash[:]) || !s.CopyBytes(t.ID[:]) || !s.CopyBytes(t.Secret[:]) ||
		!s.ReadUint32(&expires) || !readString(&s, &t.ClusterName) || !readString(&s, &t.Name) || !s.ReadUint8(&addresses) ||
		addresses > MaxTokenAddresses {
		return Token{}, false
	}
	t.Expires = time.Unix(int64(expires), 0).UTC()
	for range addresses {
		var a string
		if !readString(&s, &a) {
			return Token{}, false
		}
		t.Addresses = append(t.Addresses, a)
	}
	_ = s.ReadUint16(&t.TCP) // older versions end here
	return t, true
}

func readString(s *cryptobyte.String, out *string) bool {
	var raw cryptobyte.String
	if !s.ReadUint8LengthPrefixed(&raw) {
		return false
	}
	*out = string(raw)
	return true
}

// check is applied on both ways, so that nobody gets a token that others refuse.
func (t Token) check() error {
	if t.Kind != JoinToken && t.Kind != LinkToken {
		return invalid("token", "the token has no kind")
	}
	if err := micronet.CheckName(t.ClusterName); err != nil {
		return invalid("token", "cluster name: %w", err)
	}
	if t.Name != "" {
		if err := micronet.CheckLabel(t.Name); err != nil {
			return invalid("token", "node name: %w", err)
		}
	}
	if s := t.Expires.Unix(); s < 0 || s > math.MaxUint32 {
		return invalid("token", "the token expires in the year %d", t.Expires.Year())
	}
	if len(t.Addresses) > MaxTokenAddresses {
		return invalid("token", "the token has %d addresses, at most %d fit", len(t.Addresses), MaxTokenAddresses)
	}
	for _, a := range t.Addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	return nil
}

// checkAddress accepts HOST:PORT, [IPV6]:PORT; the host is not looked up here.
func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil || host == "" || len(a) > maxTokenAddress || strings.ContainsFunc(host, notInHost) {
		return invalid("token", "%.80q is no address: want HOST:PORT", a)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return invalid("token", "%.80q is no address: the port is not one of 1 to 65535", a)
	}
	return nil
}

func notInHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_:%", r)
}

// proofKey is the key pair that only holders of the secret can make. The authority keeps its
// public half: who reads the authority's disk can check proofs, but not make them.
func (t Token) proofKey() ed25519.PrivateKey {
	seed, err := hkdf.Key(sha256.New, t.Secret[:], t.ID[:], "micro-net token proof v1 "+t.Kind.prefix(), ed25519.SeedSize)
	if err != nil {
		panic("identity: HKDF of 32 bytes: " + err.Error())
	}
	return ed25519.NewKeyFromSeed(seed)
}

// String names the token without its secret; Encode returns the text.
func (t Token) String() string {
	return fmt.Sprintf("%s %s of cluster %s (redacted)", t.Kind, t.ID, t.ClusterName)
}

// Format prints String whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { redact(f, t.String()) }

// LogValue is String.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

func newSecret(entropy io.Reader) (TokenID, Secret, error) {
	var id TokenID
	var secret Secret
	for _, b := range [][]byte{id[:], secret[:]} {
		if _, err := io.ReadFull(entropy, b); err != nil {
			return id, secret, internal("token", "draw a secret: %w", err)
		}
	}
	return id, secret, nil
}
