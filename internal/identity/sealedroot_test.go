package identity

import (
	"bytes"
	"testing"

	micronet "github.com/micro/micro-net"
)

// TestQ7_SealedRoot: the passphrase opens what it sealed, nothing else does, and each kind of bad file has
// its own sentence.
func TestQ7_SealedRoot(t *testing.T) {
	w := newWorld(t, 81)
	pass := []byte("correct horse battery")
	sealed, err := w.root.Seal(w.entropy, pass)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, w.root.key.Seed()) || bytes.Contains(sealed, w.root.Certificate) {
		t.Fatal("the root can be read without a passphrase")
	}
	got, err := OpenRoot(sealed, pass)
	if err != nil || !got.key.Equal(w.root.key) || !bytes.Equal(got.Certificate, w.root.Certificate) || got.Cluster != w.root.Cluster || got.ClusterName != "main" {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = OpenRoot(sealed, []byte("correct horse batteri"))
	wantError(t, err, micronet.Unauthorized, "the passphrase does not open this file")
	_, err = w.root.Seal(w.entropy, []byte("short"))
	wantError(t, err, micronet.Invalid, "the passphrase has 5 characters, at least 12")
	for _, foreign := range [][]byte{nil, []byte("-----BEGIN"), w.root.MarshalKey()} {
		_, err = OpenRoot(foreign, pass)
		wantError(t, err, micronet.Invalid, "this is no exported root key")
	}
	for cut := len(sealedRootMagic); cut < len(sealed); cut += 7 {
		_, err = OpenRoot(sealed[:cut], pass)
		wantError(t, err, micronet.Invalid, "root")
	}
	for at := len(sealedRootMagic); at < len(sealed); at += 11 {
		flipped := bytes.Clone(sealed)
		flipped[at] ^= 4
		_, err = OpenRoot(flipped, pass)
		wantError(t, err, micronet.Invalid, "damaged")
	}
	greedy := bytes.Clone(sealed[:len(sealed)-checksumLen])
	greedy[len(sealedRootMagic)+4] = 0xff
	_, err = OpenRoot(append(greedy, checksum(greedy)...), pass)
	wantError(t, err, micronet.Invalid, "asks for more work")
	_, err = OpenRoot(append(bytes.Clone(sealed), make([]byte, maxSealedRoot)...), pass)
	wantError(t, err, micronet.Invalid, "cut short or added to")
}

func FuzzSealedRoot(f *testing.F) {
	w := newWorld(f, 82)
	sealed, err := w.root.Seal(w.entropy, []byte("correct horse battery"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:60])
	f.Add([]byte(sealedRootMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		// The passphrase costs too much to try, here and for an attacker.
		s, head, text, err := parseSealed(raw)
		if err != nil {
			return
		}
		again, err := s.head()
		if err != nil || !bytes.Equal(head, again) || len(head)+len(text)+checksumLen != len(raw) {
			t.Fatalf("the head %x is written back as %x, %v", head, again, err)
		}
	})
}
