package identity

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"

	micronet "github.com/micro/micro-net"
)

func TestKeysRoundTrip(t *testing.T) {
	k := newWorld(t, 1).keys(t)
	b, err := k.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var got Keys
	if err := got.UnmarshalBinary(b); err != nil {
		t.Fatal(err)
	}
	if !got.Sign.Equal(k.Sign) || got.Box != k.Box || got.ID() != k.ID() {
		t.Fatal("the keys read are not the keys written")
	}
	if k.ID() != micronet.NodeID(public(k.Sign)) {
		t.Fatal("the id is not the public key")
	}
}

func TestKeysBoxPublicAgrees(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.keys(t), w.keys(t)
	shared := func(mine, theirs [32]byte) []byte {
		private, _ := ecdh.X25519().NewPrivateKey(mine[:])
		public, _ := ecdh.X25519().NewPublicKey(theirs[:])
		s, err := private.ECDH(public)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if !bytes.Equal(shared(a.Box, b.BoxPublic()), shared(b.Box, a.BoxPublic())) {
		t.Fatal("two nodes do not agree on a key")
	}
}

func TestH33_SecretFilesDamaged(t *testing.T) {
	w := newWorld(t, 1)
	keys, err := w.keys(t).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]struct {
		good []byte
		read func([]byte) error
	}{
		"keys": {keys, func(b []byte) error { return new(Keys).UnmarshalBinary(b) }},
		"root": {w.root.MarshalKey(), func(b []byte) error { _, err := ParseRoot(b, w.root.Certificate); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			if err := f.read(f.good); err != nil {
				t.Fatal(err)
			}
			for n := range f.good {
				wantError(t, f.read(f.good[:n]), micronet.Invalid)
				flipped := bytes.Clone(f.good)
				flipped[n] ^= 1
				wantError(t, f.read(flipped), micronet.Invalid)
			}
			wantError(t, f.read(append(bytes.Clone(f.good), 0)), micronet.Invalid, "bytes instead of")
		})
	}
}

func TestKeysWithoutEntropy(t *testing.T) {
	broken := iotest.ErrReader(errors.New("dry"))
	_, err := NewKeys(broken)
	wantError(t, err, micronet.Internal, "dry")
	_, err = NewRoot(broken, "main", epoch)
	wantError(t, err, micronet.Internal, "dry")
	_, err = (Keys{}).MarshalBinary()
	wantError(t, err, micronet.Invalid)
	if !(Keys{}).ID().IsZero() {
		t.Fatal("no keys have an id")
	}
}

func TestSecretsNeverPrinted(t *testing.T) {
	w := newWorld(t, 1)
	k := w.keys(t)
	token, _, err := TokenBook{}.Mint(w.entropy, epoch, w.auth, Invitation{Kind: JoinToken, TTL: NodeTerm, Uses: 1})
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{k.Sign.Seed(), k.Box[:], w.root.key.Seed(), token.Secret[:]}
	tls := TLS{Keys: k, Trust: w.trust}
	for _, v := range []any{k, &k, w.root, &w.root, w.auth, token, &token, token.Secret, tls, []Keys{k}, map[string]Token{"a": token}} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			fmt.Fprintf(&out, verb, v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		for _, s := range secrets {
			for _, form := range []string{string(s), hex.EncodeToString(s), base64.StdEncoding.EncodeToString(s), strings.Trim(fmt.Sprint(s), "[]"), strings.Trim(fmt.Sprintf("%#v", s), "[]byte{}")} {
				if strings.Contains(out.String(), form) {
					t.Fatalf("%T prints a secret: %s", v, out.String())
				}
			}
		}
	}
}
