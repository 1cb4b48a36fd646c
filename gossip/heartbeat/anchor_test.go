package heartbeat

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestAnchorForm(t *testing.T) {
	a := Anchor{Value: [16]byte{0xaa, 15: 0xbb}, Length: 4096, Interval: 2 * time.Second, Generation: 7}
	b, err := a.AppendBinary([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	want := "78" + "01" + "0000000000000007" + "000007d0" + "00001000" + "aa0000000000000000000000000000bb"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("AppendBinary: %s, want %s", got, want)
	}
	if got, err := ParseAnchor(b[1:]); err != nil || got != a {
		t.Errorf("ParseAnchor: %+v, %v, want %+v", got, err, a)
	}
}

func TestAnchorBounds(t *testing.T) {
	good := Anchor{Length: 1, Interval: MinInterval}
	form, err := good.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"bytes":    func(b []byte) []byte { return b[:32] },
		"has 33":   func(b []byte) []byte { return append(b, 0) },
		"format":   func(b []byte) []byte { b[0] = 2; return b },
		"0 beats":  func(b []byte) []byte { b[16] = 0; return b },
		"65537":    func(b []byte) []byte { copy(b[13:], "\x00\x01\x00\x01"); return b },
		"99ms":     func(b []byte) []byte { b[12]--; return b },
		"1m0.001s": func(b []byte) []byte { copy(b[9:], "\x00\x00\xea\x61"); return b },
	} {
		_, err := ParseAnchor(change(bytes.Clone(form)))
		if micronet.KindOf(err) != micronet.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, a := range []Anchor{{}, {Length: 1, Interval: time.Second + 1}, {Length: MaxLength + 1, Interval: time.Second}} {
		if b, err := a.AppendBinary(nil); err == nil {
			t.Errorf("AppendBinary(%+v) = %x", a, b)
		}
	}
}

// Whatever is accepted is the only spelling of an anchor within the bounds.
func FuzzParseAnchor(f *testing.F) {
	b, err := Anchor{Length: 4096, Interval: 2 * time.Second, Generation: 1 << 40}.AppendBinary(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:5])
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnchor(b)
		if err != nil {
			return
		}
		again, err := a.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x reads as %+v, which is written as %x (%v)", b, a, again, err)
		}
	})
}
