package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"reflect"
	"testing"
)

// halves cuts a fuzzed input in up to three parts, so that one []byte can be a chain.
func halves(b []byte) [][]byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.SplitN(b, []byte("|next|"), 4)
}

func FuzzToken(f *testing.F) {
	w := newWorld(f, 1)
	for _, kind := range []TokenKind{JoinToken, LinkToken} {
		i := invitation
		i.Kind = kind
		token, _ := mint(f, w, TokenBook{}, i)
		f.Add(encode(f, token))
	}
	f.Add("mnj1_")
	f.Add(payloadToken(JoinToken, bytes.Repeat([]byte{1}, 90)))
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []TokenKind{JoinToken, LinkToken} {
			token, err := ParseToken(text, kind)
			if err != nil {
				continue
			}
			again, err := ParseToken(encode(t, token), kind)
			if err != nil || !reflect.DeepEqual(again, token) {
				t.Fatalf("%#v is read back as %#v, %v", token, again, err)
			}
		}
		if token, ok := readToken([]byte(text)); ok { // behind the checksum
			token.Kind = JoinToken
			if token.check() == nil {
				encode(t, token)
			}
		}
	})
}

func FuzzGrant(f *testing.F) {
	w := newWorld(f, 1)
	_, m := w.member(f, w.auth, "worker-7")
	f.Add(m.Grant)
	f.Add(w.promoted(f).grants[0])
	f.Add([]byte{grantVersion})
	f.Add(append([]byte{grantVersion}, make([]byte, ed25519.SignatureSize-1)...)) // a version and no room for it
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := ParseGrant(raw)
		if err != nil {
			return
		}
		signed, err := g.sign(w.root.key, w.root.Cluster)
		if err != nil {
			return // dates in the wrong order can be read, not signed
		}
		again, err := ParseGrant(signed)
		if err != nil || again != g {
			t.Fatalf("%+v is read back as %+v, %v", g, again, err)
		}
		if !signedBy(signed, public(w.root.key), w.root.Cluster) {
			t.Fatal("the signature is not good")
		}
	})
}

func FuzzCredential(f *testing.F) {
	w := newWorld(f, 1)
	for _, a := range []*Authority{w.auth, w.promoted(f)} {
		raw, _ := w.credential(f, a, "worker-7", fullSelf)
		f.Add(raw)
	}
	f.Add([]byte{credentialVersion, 0, 0, 0})
	keys, m := w.member(f, w.auth, "a")
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := w.trust.VerifyCredential(raw, epoch, 0)
		if again, err2 := w.trust.VerifyCredential(raw, epoch, 0); (err == nil) != (err2 == nil) || !reflect.DeepEqual(c, again) {
			t.Fatalf("first %+v, %v, then %+v, %v", c, err, again, err2)
		}
		p, err := parseCredential(raw)
		if err != nil || len(p.self.Endpoints) > MaxEndpoints {
			return
		}
		// What a member states about itself, other members read.
		mine, err := NewCredential(keys, m, p.self)
		if err != nil {
			t.Fatal(err)
		}
		got, err := w.trust.VerifyCredential(mine, epoch, 0)
		if err != nil || !reflect.DeepEqual(got.Self, p.self) {
			t.Fatalf("%+v is read back as %+v, %v", p.self, got.Self, err)
		}
	})
}

func FuzzCertChain(f *testing.F) {
	w := newWorld(f, 1)
	_, m := w.member(f, w.auth, "a")
	_, dm := w.member(f, w.promoted(f), "b")
	for _, chain := range [][][]byte{m.Chain, dm.Chain, {w.root.Certificate}} {
		f.Add(bytes.Join(chain, []byte("|next|")))
	}
	k := w.keys(f)
	for _, bad := range badChains {
		f.Add(bytes.Join(bad.make(f, w, k), []byte("|next|")))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		chain := halves(b)
		leaf, err := w.trust.VerifyChain(chain, epoch, x509.ExtKeyUsageServerAuth, 0)
		if err == nil && (leaf.ID.IsZero() || leaf.Name == "" || leaf.Cluster != w.root.Cluster || leaf.NotAfter.Before(epoch)) {
			t.Fatalf("accepted %+v", leaf)
		}
		_, _ = NewTrust(w.root.Cluster, chain...)
	})
}

func FuzzJoinRequest(f *testing.F) {
	w := newWorld(f, 1)
	token, _ := mint(f, w, TokenBook{}, invitation)
	keys := w.keys(f)
	good, err := newJoinRequest(binding, token, keys, Wish{Name: "a", Explicit: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(make([]byte, 2*ed25519.SignatureSize))
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := w.auth.openRequest(binding, frame)
		if err == nil && r.Node != keys.ID() {
			t.Fatalf("somebody forged a request of %s", r.Node)
		}
		_, _, body, err := decodeRequest(frame)
		if err != nil {
			return
		}
		raw, err := encodeRequest(body)
		if err != nil {
			t.Fatal(err)
		}
		_, _, again, err := decodeRequest(append(make([]byte, 2*ed25519.SignatureSize), raw...))
		if err != nil || again != body {
			t.Fatalf("%+v is read back as %+v, %v", body, again, err)
		}
	})
}

func FuzzJoinResponse(f *testing.F) {
	w := newWorld(f, 1)
	token, _ := mint(f, w, TokenBook{}, invitation)
	keys, m := w.member(f, w.auth, "a")
	f.Add(answerFrom(f, w.auth, w.root.key, m))
	f.Add(refusalFrom(f, w.auth, w.root.key, refused("x", "no")))
	f.Add(refusalFrom(f, w.promoted(f), keys.Sign, refused("x", "no")))
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := openAnswer(binding, token, keys, frame, epoch)
		if err == nil && r.Membership.Validate(keys, epoch) != nil {
			t.Fatalf("joined with %+v", r.Membership)
		}
		if err != nil && err.Error() == "" {
			t.Fatal("an error without words")
		}
	})
}

func FuzzDisk(f *testing.F) {
	w := newWorld(f, 1)
	keys, m := w.member(f, w.auth, "a")
	_, book := mint(f, w, TokenBook{}, invitation)
	deputy := w.keys(f)
	p, err := w.auth.Promote(epoch, deputy.ID(), "deputy")
	if err != nil {
		f.Fatal(err)
	}
	for _, write := range []func() ([]byte, error){keys.MarshalBinary, m.Marshal, book.Marshal, p.Marshal} {
		b, err := write()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(w.root.MarshalKey())
	f.Fuzz(func(t *testing.T, b []byte) {
		readFiles(t, w, keys, deputy, b)
		if again := resealed(b); again != nil {
			readFiles(t, w, keys, deputy, again)
		}
	})
}

// resealed gives a file the checksum that it needs to be looked at; nil when it has no place for one.
func resealed(b []byte) []byte {
	for _, magic := range []string{keysMagic, rootMagic} {
		if payload, ok := bytes.CutPrefix(b, []byte(magic)); ok && len(payload) >= checksumLen {
			return sealSecret(magic, payload[:len(payload)-checksumLen])
		}
	}
	var d document
	if json.Unmarshal(b, &d) != nil {
		return nil
	}
	d.Sum = d.checksum()
	out, err := json.Marshal(d)
	if err != nil {
		return nil
	}
	return out
}

func readFiles(t *testing.T, w *world, keys, deputy Keys, b []byte) {
	t.Helper()
	var k Keys
	if k.UnmarshalBinary(b) == nil {
		if again, err := k.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("keys are written back as %x, %v", again, err)
		}
	}
	if m, err := UnmarshalMembership(b); err == nil {
		_ = m.Validate(keys, epoch)
		sameAgain(t, m, m.Marshal, UnmarshalMembership)
	}
	if book, err := UnmarshalTokenBook(b); err == nil {
		sameAgain(t, book.Open(epoch), book.Marshal, func(b []byte) ([]Record, error) {
			again, err := UnmarshalTokenBook(b)
			return again.Open(epoch), err
		})
	}
	if p, err := UnmarshalPromotion(b); err == nil {
		_, _ = p.Authority(deputy, w.entropy, epoch)
	}
	_, _ = ParseRoot(b, w.root.Certificate)
	_, _ = ParseRoot(w.root.MarshalKey(), b)
}

// sameAgain writes v, reads it and writes it again: the files must be the same.
func sameAgain[T any](t *testing.T, v T, write func() ([]byte, error), read func([]byte) (T, error)) {
	t.Helper()
	b, err := write()
	if err != nil {
		return // a date that JSON cannot write
	}
	again, err := read(b)
	if err != nil {
		t.Fatalf("%+v cannot be read back: %v", v, err)
	}
	if first, second := fmtJSON(t, v), fmtJSON(t, again); first != second {
		t.Fatalf("%s is read back as %s", first, second)
	}
}
