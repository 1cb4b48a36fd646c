package identity

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// TokenBook is the authority's list of tokens. It is a value: Mint and Redeem leave the receiver
// as it was and return the book that must be on disk before the token is shown, or before
// anything is issued for it. The zero TokenBook is empty.
//
//	minted ──Redeem, uses left──▶ minted
//	minted ──Redeem, last use──▶ used ──▶ forgotten a day after its expiry
//	minted ──time──▶ expired ──▶ forgotten a day later
//
// Calls for one book must be made one after the other, each on the book that the one before it
// returned.
type TokenBook struct{ records []Record }

// Record is one token as the authority remembers it: without the secret.
type Record struct {
	ID       TokenID           `json:"id"`
	Kind     TokenKind         `json:"kind"`
	Verifier []byte            `json:"verifier"`  // public half of the key that the secret makes
	Uses     int               `json:"uses"`      // that it was made with
	UsesLeft int               `json:"uses_left"` //
	Created  time.Time         `json:"created"`   //
	Expires  time.Time         `json:"expires"`   //
	Name     string            `json:"name,omitempty"`
	Nodes    []micronet.NodeID `json:"nodes,omitempty"` // that used it, the last rememberedNodes
}

// Bounds of a TokenBook.
const (
	MaxOpenTokens = 1024
	MaxTokenUses  = 100_000
	MaxTokenTTL   = 365 * 24 * time.Hour

	// rememberedNodes is how many users of a token are remembered, so that one whose answer got
	// lost can ask again without a further use.
	rememberedNodes = 16
	// forgottenAfter is how long after its expiry a token is still told from an unknown one.
	forgottenAfter = 24 * time.Hour
	// maxTokenBookFile is enough for MaxOpenTokens records.
	maxTokenBookFile = 8 << 20

	tokenBookFormat = "micro-net tokens"
)

// Invitation is what a token is to allow.
type Invitation struct {
	Kind      TokenKind
	TTL       time.Duration // more than 0, at most MaxTokenTTL
	Uses      int           // 1 to MaxTokenUses
	Name      string        // the only node name it is for; "" any
	Addresses []string      // host:port where the cluster may be reached
	TCP       uint16        // the port there for joining over TCP, where it is another one; 0: the same
	Shown     []byte        // root that who answers leads to as a member, if that may be another one than it signs under
}

// Mint makes a token of this authority's cluster. Write the returned book to disk, then show
// the token.
func (b TokenBook) Mint(entropy io.Reader, now time.Time, a *Authority, i Invitation) (Token, TokenBook, error) {
	if i.TTL <= 0 || i.TTL > MaxTokenTTL {
		return Token{}, b, invalid("invite", "a token cannot be valid for %s: want up to %s", i.TTL, MaxTokenTTL)
	}
	if i.Uses < 1 || i.Uses > MaxTokenUses {
		return Token{}, b, invalid("invite", "a token cannot have %d uses: want 1 to %d", i.Uses, MaxTokenUses)
	}
	next := b.pruned(now)
	if len(next.records) >= MaxOpenTokens {
		return Token{}, b, micronet.E("identity.invite", micronet.Overloaded, "there are %d open tokens already", MaxOpenTokens).
			WithFix("wait until some have expired, or make one token with more --uses")
	}
	id, secret, err := newSecret(entropy)
	if err != nil {
		return Token{}, b, err
	}
	cluster, name := a.Cluster()
	t := Token{
		Kind: i.Kind, Cluster: cluster, ClusterName: name, RootHash: a.pin(i.Shown), ID: id, Secret: secret,
		Expires: now.UTC().Add(i.TTL).Truncate(time.Second), Name: i.Name, Addresses: slices.Clone(i.Addresses), TCP: i.TCP,
	}
	if err := t.check(); err != nil {
		return Token{}, b, err
	}
	next.records = append(next.records, Record{
		ID: id, Kind: i.Kind, Verifier: t.proofKey().Public().(ed25519.PublicKey), Uses: i.Uses, UsesLeft: i.Uses,
		Created: now.UTC().Truncate(time.Second), Expires: t.Expires, Name: i.Name,
	})
	return t, next, nil
}

// Claim is a request to use a token.
type Claim struct {
	Kind     TokenKind
	Token    TokenID
	Node     micronet.NodeID // has proved that it holds its key
	Name     string          // the name it would like
	Explicit bool            // its user chose that name
	Message  []byte          // what Proof is over
	Proof    []byte
}

// Redemption is a token used.
type Redemption struct {
	Record   Record    // after the use
	Name     string    // what the node is to be called, for ChooseName
	Explicit bool      // that name and no other
	Repeated bool      // the same node used the token before; no further use was taken
	Book     TokenBook // to be on disk before anything is issued
}

// Redeem uses a token. The proof is checked before anything else is said. Write the returned
// Book to disk before issuing, so that no crash gives a use back.
func (b TokenBook) Redeem(now time.Time, c Claim) (Redemption, error) {
	i, key := b.find(c)
	if good := verify(key, c.Message, c.Proof); !good || i < 0 {
		return Redemption{}, refused(redeemOp, "the token is not one of this cluster, or has expired").WithFix("make a new one with `%s`", c.Kind.madeBy())
	}
	r := b.records[i]
	repeated := slices.Contains(r.Nodes, c.Node)
	switch {
	case now.After(r.Expires):
		return Redemption{}, refused(redeemOp, "the token has expired on %s", stamp(r.Expires)).WithFix("make a new one with `%s`", c.Kind.madeBy())
	case r.UsesLeft < 1 && !repeated:
		return Redemption{}, refused(redeemOp, "the token has been used").WithFix("make a new one with `%s`; --uses allows several", c.Kind.madeBy())
	case r.Name != "" && c.Explicit && c.Name != r.Name:
		return Redemption{}, refused(redeemOp, "the token is for a node named %q, not %q", r.Name, c.Name)
	}
	if !repeated {
		r.UsesLeft--
		r.Nodes = append(slices.Clone(r.Nodes), c.Node)
		r.Nodes = r.Nodes[max(0, len(r.Nodes)-rememberedNodes):]
	}
	out := Redemption{Record: r, Name: c.Name, Explicit: c.Explicit, Repeated: repeated, Book: TokenBook{slices.Clone(b.records)}}
	if r.Name != "" {
		out.Name, out.Explicit = r.Name, true
	}
	out.Book.records[i] = r
	return out, nil
}

const redeemOp = "redeem"

// IsBadToken reports whether a guest was refused for its token: one of another cluster, unknown, without a good
// proof, expired or used up.
func IsBadToken(err error) bool {
	e, ok := errors.AsType[*micronet.Error](err)
	return ok && e.Kind == micronet.Refused && (e.Op == "identity."+redeemOp || e.Op == "identity.join")
}

// find returns the record's place and key. For an unknown token the place is -1 and the key one
// that costs as much to check, so that the answer takes as long as that to a wrong proof.
func (b TokenBook) find(c Claim) (int, ed25519.PublicKey) {
	for i, r := range b.records {
		if r.ID == c.Token && r.Kind == c.Kind {
			return i, r.Verifier
		}
	}
	return -1, c.Node[:]
}

// IDs lists all tokens that the book knows of.
func (b TokenBook) IDs() []TokenID {
	out := make([]TokenID, len(b.records))
	for i, r := range b.records {
		out[i] = r.ID
	}
	return out
}

// Used takes what a log says of the uses of a token: the nodes that it let in, oldest first, each once. It
// reports whether that is news to the book, as to one that was put back to an earlier state. Who is
// remembered may ask again without a further use, and so counts as well: of those whom the log does not
// know only as many as there were uses for.
func (b TokenBook) Used(id TokenID, nodes []micronet.NodeID) (TokenBook, bool) {
	i := slices.IndexFunc(b.records, func(r Record) bool { return r.ID == id })
	if i < 0 {
		return b, false
	}
	r := b.records[i]
	all, dropped := slices.Clone(nodes), false
	for _, n := range r.Nodes {
		switch known := slices.Contains(nodes, n); {
		case !known && len(all) < r.Uses:
			all = append(all, n)
		case !known:
			dropped = true
		}
	}
	missed := len(r.Nodes) < rememberedNodes && slices.ContainsFunc(nodes, func(n micronet.NodeID) bool { return !slices.Contains(r.Nodes, n) })
	if !dropped && !missed && r.Uses-r.UsesLeft >= len(all) {
		return b, false
	}
	next := TokenBook{slices.Clone(b.records)}
	next.records[i].UsesLeft = max(0, min(r.UsesLeft, r.Uses-len(all)))
	next.records[i].Nodes = all[max(0, len(all)-rememberedNodes):]
	return next, true
}

// Open returns the tokens that may still be used, oldest first.
func (b TokenBook) Open(now time.Time) []Record {
	var out []Record
	for _, r := range b.records {
		if r.UsesLeft > 0 && !now.After(r.Expires) {
			out = append(out, r)
		}
	}
	return out
}

// pruned leaves out what is long expired; when the book is full, everything that is of no use.
func (b TokenBook) pruned(now time.Time) TokenBook {
	keep := make([]Record, 0, len(b.records)+1)
	for _, r := range b.records {
		if !now.After(r.Expires.Add(forgottenAfter)) {
			keep = append(keep, r)
		}
	}
	if len(keep) >= MaxOpenTokens {
		keep = TokenBook{keep}.Open(now)
	}
	return TokenBook{keep}
}

// Marshal writes the book for disk.
func (b TokenBook) Marshal() ([]byte, error) {
	return encodeDocument("tokens", tokenBookFormat, b.records)
}

// UnmarshalTokenBook reads what Marshal wrote.
func UnmarshalTokenBook(data []byte) (TokenBook, error) {
	var records []Record
	if err := decodeDocument("tokens", tokenBookFormat, data, maxTokenBookFile, &records); err != nil {
		return TokenBook{}, err
	}
	if len(records) > MaxOpenTokens {
		return TokenBook{}, invalid("tokens", "the file has %d tokens, at most %d are kept", len(records), MaxOpenTokens)
	}
	for _, r := range records {
		if len(r.Verifier) != ed25519.PublicKeySize || len(r.Nodes) > rememberedNodes || r.UsesLeft < 0 || r.UsesLeft > r.Uses || r.Uses > MaxTokenUses {
			return TokenBook{}, invalid("tokens", "the record of token %s is damaged", r.ID)
		}
	}
	return TokenBook{records}, nil
}

// MarshalText writes hexadecimal.
func (id TokenID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *TokenID) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(id)) {
		return fmt.Errorf("%.40q is no token id", text)
	}
	_, err := hex.Decode(id[:], text)
	return err
}
