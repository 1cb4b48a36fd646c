package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	micronet "github.com/micro/micro-net"
)

var invitation = Invitation{Kind: JoinToken, TTL: 15 * time.Minute, Uses: 1, Addresses: []string{"192.0.2.1:8085", "[2001:db8::1]:8085", "a.example:1"}}

func mint(t testing.TB, w *world, b TokenBook, i Invitation) (Token, TokenBook) {
	t.Helper()
	token, next, err := b.Mint(w.entropy, epoch, w.auth, i)
	if err != nil {
		t.Fatal(err)
	}
	return token, next
}

func encode(t testing.TB, token Token) string {
	t.Helper()
	s, err := token.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokenRoundTrip(t *testing.T) {
	w := newWorld(t, 1)
	for _, kind := range []TokenKind{JoinToken, LinkToken} {
		i := invitation
		i.Kind, i.Name = kind, "worker-7"
		token, _ := mint(t, w, TokenBook{}, i)
		text := encode(t, token)
		if want := fmt.Sprintf("mn%c1_", kind); !strings.HasPrefix(text, want) || len(text) > 260 {
			t.Fatalf("%d characters, %q…, want %s", len(text), text[:8], want)
		}
		for _, form := range []string{text, " " + text + "\r\n", text[:40] + "\n" + text[40:80] + "\n  " + text[80:]} {
			got, err := ParseToken(form, kind)
			if err != nil || !reflect.DeepEqual(got, token) {
				t.Fatalf("got %#v, %v", got, err)
			}
		}
	}
}

func TestH18_TokenCutShort(t *testing.T) {
	w := newWorld(t, 1)
	token, _ := mint(t, w, TokenBook{}, invitation)
	text := encode(t, token)
	for n := 1; n < len(text); n++ {
		_, err := ParseToken(text[:n], JoinToken)
		wantError(t, err, micronet.Invalid, "cut short or was changed", "copy it again")
	}
	for n := 5; n < len(text); n++ {
		b := []byte(text)
		b[n] ^= 1
		_, err := ParseToken(string(b), JoinToken)
		wantError(t, err, micronet.Invalid, "cut short or was changed")
		_, err = ParseToken(text[:n]+text[n+1:], JoinToken)
		wantError(t, err, micronet.Invalid, "cut short or was changed")
	}
	_, err := ParseToken(text+text, JoinToken)
	wantError(t, err, micronet.Invalid, "cut short or was changed")
}

func TestH18_OtherTexts(t *testing.T) {
	w := newWorld(t, 1)
	i := invitation
	i.Kind = LinkToken
	link, _ := mint(t, w, TokenBook{}, i)
	join, _ := mint(t, w, TokenBook{}, invitation)
	for name, c := range map[string]struct {
		text string
		want TokenKind
		word string
	}{
		"link for join":   {encode(t, link), JoinToken, "this is a link token, made by `micro-net link invite`; a join token is needed"},
		"join for link":   {encode(t, join), LinkToken, "this is a join token, made by `micro-net invite`; a link token is needed"},
		"newer version":   {"mnj2_" + encode(t, join)[5:], JoinToken, "another version"},
		"relabelled":      {"mnj1_" + encode(t, link)[5:], JoinToken, "cut short or was changed"},
		"empty":           {"", JoinToken, "cut short"},
		"something else":  {"K10abc::server:x", JoinToken, "one begins with mnj1_"},
		"a megabyte":      {"mnj1_" + strings.Repeat("A", 1<<20), JoinToken, "at most 4096"},
		"unicode":         {"mnj1_ｍｎｊ", JoinToken, "cut short or was changed"},
		"padding":         {encode(t, join) + "=", JoinToken, "cut short or was changed"},
		"nothing at all":  {"mnj1_", JoinToken, "cut short or was changed"},
		"upper case":      {strings.ToUpper(encode(t, join)), JoinToken, "one begins with mnj1_"},
		"checksum, empty": {payloadToken(JoinToken, nil), JoinToken, "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseToken(c.text, c.want)
			wantError(t, err, micronet.Invalid, c.word)
		})
	}
}

// payloadToken is a token with a right checksum over any bytes.
func payloadToken(k TokenKind, payload []byte) string {
	return k.prefix() + base64.RawURLEncoding.EncodeToString(append(payload, k.checksum(payload)...))
}

// A newer program may have put more behind the addresses.
func TestTokenWithMore(t *testing.T) {
	w := newWorld(t, 1)
	i := invitation
	i.TCP = 443
	token, _ := mint(t, w, TokenBook{}, i)
	raw, err := base64.RawURLEncoding.DecodeString(encode(t, token)[5:])
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseToken(payloadToken(JoinToken, append(raw[:len(raw)-tokenChecksumLen], 1, 2, 3)), JoinToken)
	if err != nil || !reflect.DeepEqual(got, token) {
		t.Fatal(got, err)
	}
}

// A port for TCP is behind all that an older program reads; a token without one is what it was.
func TestTokenWithAPort(t *testing.T) {
	w := newWorld(t, 1)
	token, _ := mint(t, w, TokenBook{}, invitation)
	without := encode(t, token)
	token.TCP = 443
	with := encode(t, token)
	payload := func(text string) string {
		raw, err := base64.RawURLEncoding.DecodeString(text[5:])
		if err != nil {
			t.Fatal(err)
		}
		return string(raw[:len(raw)-tokenChecksumLen])
	}
	if payload(with) != payload(without)+"\x01\xbb" {
		t.Error("more than the port was added")
	}
	for text, want := range map[string]uint16{with: 443, without: 0, payloadToken(JoinToken, []byte(payload(without)+"\x01")): 0} {
		got, err := ParseToken(text, JoinToken)
		if err != nil || got.TCP != want || !reflect.DeepEqual(got.Addresses, token.Addresses) {
			t.Errorf("port %d, %v, want %d", got.TCP, err, want)
		}
	}
}

func TestTokenRefusesToEncode(t *testing.T) {
	w := newWorld(t, 1)
	good, _ := mint(t, w, TokenBook{}, invitation)
	for name, c := range map[string]struct {
		change func(*Token)
		word   string
	}{
		"no kind":           {func(t *Token) { t.Kind = 0 }, "no kind"},
		"cluster name":      {func(t *Token) { t.ClusterName = "a b" }, "cluster name"},
		"node name":         {func(t *Token) { t.Name = "A" }, "node name"},
		"year 9999":         {func(t *Token) { t.Expires = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "9999"},
		"nine addresses":    {func(t *Token) { t.Addresses = strings.Fields(strings.Repeat("a:1 ", 9)) }, "at most 8"},
		"no port":           {func(t *Token) { t.Addresses = []string{"192.0.2.1"} }, "HOST:PORT"},
		"no host":           {func(t *Token) { t.Addresses = []string{":8085"} }, "HOST:PORT"},
		"port 0":            {func(t *Token) { t.Addresses = []string{"a:0"} }, "1 to 65535"},
		"port 65536":        {func(t *Token) { t.Addresses = []string{"a:65536"} }, "1 to 65535"},
		"escape sequence":   {func(t *Token) { t.Addresses = []string{"\x1b[2J:1"} }, "HOST:PORT"},
		"host of 300 bytes": {func(t *Token) { t.Addresses = []string{strings.Repeat("a", 300) + ":1"} }, "HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			token := good
			c.change(&token)
			_, err := token.Encode()
			wantError(t, err, micronet.Invalid, c.word)
		})
	}
	full := good
	full.ClusterName, full.Name = strings.Repeat("c", 63), strings.Repeat("n", 63)
	full.Addresses = strings.Fields(strings.Repeat(strings.Repeat("a", 250)+":8085 ", 8))
	if text := encode(t, full); len(text) > MaxTokenText {
		t.Fatalf("the longest token has %d characters", len(text))
	}
}

func claim(token Token, node micronet.NodeID, words string) Claim {
	msg := []byte(words)
	return Claim{Kind: token.Kind, Token: token.ID, Node: node, Name: "guest", Message: msg, Proof: sign(token, msg)}
}

func TestTokenBookMintRefuses(t *testing.T) {
	w := newWorld(t, 1)
	for name, c := range map[string]struct {
		change func(*Invitation)
		word   string
	}{
		"no ttl":       {func(i *Invitation) { i.TTL = 0 }, "valid for"},
		"long ttl":     {func(i *Invitation) { i.TTL = MaxTokenTTL + 1 }, "valid for"},
		"no uses":      {func(i *Invitation) { i.Uses = 0 }, "uses"},
		"many uses":    {func(i *Invitation) { i.Uses = MaxTokenUses + 1 }, "uses"},
		"bad name":     {func(i *Invitation) { i.Name = "-" }, "node name"},
		"bad address":  {func(i *Invitation) { i.Addresses = []string{"x"} }, "HOST:PORT"},
		"unknown kind": {func(i *Invitation) { i.Kind = 'x' }, "no kind"},
	} {
		t.Run(name, func(t *testing.T) {
			i := invitation
			c.change(&i)
			_, b, err := TokenBook{}.Mint(w.entropy, epoch, w.auth, i)
			wantError(t, err, micronet.Invalid, c.word)
			if len(b.records) != 0 {
				t.Fatal("a token that was refused is in the book")
			}
		})
	}
	_, _, err := TokenBook{}.Mint(iotest.ErrReader(errors.New("dry")), epoch, w.auth, invitation)
	wantError(t, err, micronet.Internal, "dry")
}

func TestQ5_Redeem(t *testing.T) {
	w := newWorld(t, 1)
	alice, bob := w.keys(t).ID(), w.keys(t).ID()
	token, book := mint(t, w, TokenBook{}, invitation)
	before, err := book.Marshal()
	if err != nil {
		t.Fatal(err)
	}

	r, err := book.Redeem(epoch.Add(time.Minute), claim(token, alice, "x"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Record.UsesLeft != 0 || r.Repeated || r.Name != "guest" || r.Explicit || !reflect.DeepEqual(r.Record.Nodes, []micronet.NodeID{alice}) {
		t.Fatalf("redeemed %+v", r)
	}
	if after, _ := book.Marshal(); string(after) != string(before) {
		t.Fatal("Redeem changed the book that it was called on")
	}
	if len(book.Open(epoch)) != 1 || len(r.Book.Open(epoch)) != 0 {
		t.Fatal("the token is open after its use, or was not before")
	}

	_, err = r.Book.Redeem(epoch.Add(time.Minute), claim(token, bob, "x"))
	wantError(t, err, micronet.Refused, "has been used", "micro-net invite")
	again, err := r.Book.Redeem(epoch.Add(time.Minute), claim(token, alice, "other words"))
	if err != nil || !again.Repeated || again.Record.UsesLeft != 0 {
		t.Fatalf("the same node cannot ask again: %+v, %v", again, err)
	}
	_, err = r.Book.Redeem(token.Expires.Add(1), claim(token, alice, "x"))
	wantError(t, err, micronet.Refused, "has expired on")
	if _, err = book.Redeem(token.Expires, claim(token, bob, "x")); err != nil {
		t.Fatalf("at its last moment: %v", err)
	}
}

func TestH18_RedeemRefuses(t *testing.T) {
	w := newWorld(t, 1)
	node := w.keys(t).ID()
	token, book := mint(t, w, TokenBook{}, invitation)
	other, _ := mint(t, w, TokenBook{}, invitation)
	const generic = "not one of this cluster, or has expired"
	flip := func(b []byte) []byte { c := append([]byte(nil), b...); c[0] ^= 1; return c }
	for name, c := range map[string]Claim{
		"unknown":          claim(other, node, "x"),
		"no proof":         {Kind: JoinToken, Token: token.ID, Node: node},
		"zero proof":       {Kind: JoinToken, Token: token.ID, Node: node, Message: []byte("x"), Proof: make([]byte, 64)},
		"changed proof":    {Kind: JoinToken, Token: token.ID, Node: node, Message: []byte("x"), Proof: flip(sign(token, []byte("x")))},
		"other words":      {Kind: JoinToken, Token: token.ID, Node: node, Message: []byte("y"), Proof: sign(token, []byte("x"))},
		"other's secret":   {Kind: JoinToken, Token: token.ID, Node: node, Message: []byte("x"), Proof: sign(other, []byte("x"))},
		"as another kind":  {Kind: LinkToken, Token: token.ID, Node: node, Message: []byte("x"), Proof: sign(token, []byte("x"))},
		"unknown, own key": ownKey(w, t),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := book.Redeem(epoch, c)
			wantError(t, err, micronet.Refused, generic)
		})
	}
	// A wrong proof for a used or expired token says no more.
	r, err := book.Redeem(epoch, claim(token, node, "x"))
	if err != nil {
		t.Fatal(err)
	}
	bad := claim(token, w.keys(t).ID(), "x")
	bad.Proof = flip(bad.Proof)
	for _, at := range []time.Time{epoch, token.Expires.Add(time.Hour)} {
		_, err = r.Book.Redeem(at, bad)
		wantError(t, err, micronet.Refused, generic)
	}
}

// ownKey is a claim of an unknown token whose proof is made with the node's key, which Redeem
// checks in place of the key that it does not have.
func ownKey(w *world, t testing.TB) Claim {
	k := w.keys(t)
	return Claim{Kind: JoinToken, Token: TokenID{1}, Node: k.ID(), Message: []byte("x"), Proof: signWith(k, []byte("x"))}
}

func TestQ5_NameOfAToken(t *testing.T) {
	w := newWorld(t, 1)
	i := invitation
	i.Name = "db-1"
	token, book := mint(t, w, TokenBook{}, i)
	c := claim(token, w.keys(t).ID(), "x")
	r, err := book.Redeem(epoch, c)
	if err != nil || r.Name != "db-1" || !r.Explicit {
		t.Fatalf("%+v, %v", r, err)
	}
	c.Explicit = true
	_, err = book.Redeem(epoch, c)
	wantError(t, err, micronet.Refused, `for a node named "db-1", not "guest"`)
	c.Name = "db-1"
	if _, err = book.Redeem(epoch, c); err != nil {
		t.Fatal(err)
	}
}

func TestQ5_ManyUses(t *testing.T) {
	w := newWorld(t, 1)
	i := invitation
	i.Uses = 40
	token, book := mint(t, w, TokenBook{}, i)
	var first micronet.NodeID
	for n := range i.Uses {
		node := w.keys(t).ID()
		if n == 0 {
			first = node
		}
		r, err := book.Redeem(epoch, claim(token, node, "x"))
		if err != nil || r.Record.UsesLeft != i.Uses-n-1 || len(r.Record.Nodes) > rememberedNodes {
			t.Fatalf("use %d: %+v, %v", n, r.Record, err)
		}
		book = r.Book
	}
	_, err := book.Redeem(epoch, claim(token, first, "x"))
	wantError(t, err, micronet.Refused, "has been used")
}

func TestTokenBookBounded(t *testing.T) {
	w := newWorld(t, 1)
	var book TokenBook
	var first Token
	for n := range MaxOpenTokens {
		token, next := mint(t, w, book, invitation)
		if n == 0 {
			first = token
		}
		book = next
	}
	_, same, err := book.Mint(w.entropy, epoch, w.auth, invitation)
	wantError(t, err, micronet.Overloaded, "1024 open tokens")
	if len(same.records) != MaxOpenTokens {
		t.Fatal("a refused Mint changed the book")
	}
	b, err := book.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	read, err := UnmarshalTokenBook(b)
	if err != nil || !reflect.DeepEqual(read.Open(epoch), book.Open(epoch)) {
		t.Fatal("the book read is not the book written", err)
	}
	r, err := read.Redeem(epoch, claim(first, w.keys(t).ID(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, book = mint(t, w, r.Book, invitation); len(book.records) != MaxOpenTokens {
		t.Fatalf("the used token keeps its place: %d records", len(book.records))
	}
	late := first.Expires.Add(forgottenAfter + time.Second)
	if _, book, err = book.Mint(w.entropy, late, w.auth, invitation); err != nil || len(book.records) != 1 {
		t.Fatalf("%d records a day after they expired, %v", len(book.records), err)
	}
}

// sealed is a JSON file with a good checksum.
func sealed(t testing.TB, format string, version int, body string) string {
	t.Helper()
	d := document{Format: format, Version: version, Body: []byte(body)}
	d.Sum = d.checksum()
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestH33_TokenBookFiles(t *testing.T) {
	if b, err := UnmarshalTokenBook([]byte(sealed(t, tokenBookFormat, 1, "null"))); err != nil || len(b.records) != 0 {
		t.Fatal(err)
	}
	record := func(uses, left int) string {
		return fmt.Sprintf(`[{"id":"0011223344556677","verifier":%q,"uses":%d,"uses_left":%d}]`, base64.StdEncoding.EncodeToString(make([]byte, 32)), uses, left)
	}
	if _, err := UnmarshalTokenBook([]byte(sealed(t, tokenBookFormat, 1, record(2, 1)))); err != nil {
		t.Fatal(err)
	}
	for data, word := range map[string]string{
		"": "torn", "{": "torn", "[]": "torn",
		sealed(t, tokenBookFormat, 2, "[]"):                                                               "version 2",
		sealed(t, "micro-net membership", 1, "[]"):                                                        "micro-net membership",
		sealed(t, tokenBookFormat, 1, `[{"id":"xx"}]`):                                                    "damaged",
		sealed(t, tokenBookFormat, 1, `[{"uses_left":1}]`):                                                "damaged",
		sealed(t, tokenBookFormat, 1, record(1, 2)):                                                       "damaged",
		sealed(t, tokenBookFormat, 1, record(1, -1)):                                                      "damaged",
		sealed(t, tokenBookFormat, 1, record(MaxTokenUses+1, 1)):                                          "damaged",
		sealed(t, tokenBookFormat, 1, "["+strings.Repeat("{},", MaxOpenTokens)+"{}]"):                     "at most 1024",
		strings.Replace(sealed(t, tokenBookFormat, 1, record(1, 0)), `"uses_left":0`, `"uses_left":1`, 1): "checksum",
		`{"format":"micro-net tokens","version":1,"body":[]}`:                                             "checksum",
	} {
		_, err := UnmarshalTokenBook([]byte(data))
		wantError(t, err, micronet.Invalid, word)
	}
}

// An older book learns from the log which uses are gone.
func TestQ5_UsesThatTheLogSpeaksOf(t *testing.T) {
	w := newWorld(t, 1)
	i := invitation
	i.Uses = 3
	token, book := mint(t, w, TokenBook{}, i)
	alice, bob := w.keys(t).ID(), w.keys(t).ID()
	if _, older := book.Used(TokenID{1}, []micronet.NodeID{alice}); older {
		t.Error("a token that the book does not know is missed")
	}
	next, older := book.Used(token.ID, []micronet.NodeID{alice, bob})
	if !older || next.records[0].UsesLeft != 1 || book.records[0].UsesLeft != 3 {
		t.Fatalf("%v %+v", older, next.records[0])
	}
	if again, older := next.Used(token.ID, []micronet.NodeID{alice}); older || again.records[0].UsesLeft != 1 {
		t.Errorf("%v: a use came back, or was taken twice: %+v", older, again.records[0])
	}
	if r, err := next.Redeem(epoch, claim(token, bob, "x")); err != nil || !r.Repeated {
		t.Errorf("who is in the log cannot ask again: %+v, %v", r, err)
	}
	if ids := next.IDs(); len(ids) != 1 || ids[0] != token.ID {
		t.Errorf("the book knows of %v", ids)
	}
}

// What the authority keeps does not let anybody use a token.
func TestQ5_BookHoldsNoSecret(t *testing.T) {
	w := newWorld(t, 1)
	token, book := mint(t, w, TokenBook{}, invitation)
	b, err := book.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{token.Secret[:], token.proofKey().Seed()} {
		if strings.Contains(string(b), base64.StdEncoding.EncodeToString(secret)) || strings.Contains(string(b), fmt.Sprintf("%x", secret)) {
			t.Fatal("the book holds the secret")
		}
	}
}
