package light

import (
	"bytes"
	"testing"
	"testing/iotest"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// FuzzGreeting: no input panics, what was decoded is encoded to the same bytes, and reading a reply in
// one go and byte by byte gives the same.
func FuzzGreeting(f *testing.F) {
	good := appendGreeting(nil, greeting{from: micronet.NodeID{1}, to: micronet.NodeID{2}})
	for _, seed := range [][]byte{
		nil, good, good[:40], append(bytes.Clone(good), 1, 0, 0), make([]byte, greetingLen),
		{greetingVersion},
		{tlsHandshake},
		tunnel.AppendAnswer(bytes.Clone(good), tunnel.Answer{Kind: micronet.NotFound, Reason: "no"}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := decodeGreeting(b)
		if err == nil && !bytes.Equal(appendGreeting(nil, g), b[:greetingLen]) {
			t.Fatalf("%x decodes to %+v, which is encoded otherwise", b, g)
		}
		if err == nil && g.from.IsZero() {
			t.Fatal("nobody speaks")
		}
		whole, slow := reply{want: micronet.NodeID{1}}, reply{want: micronet.NodeID{1}}
		r := bytes.NewReader(b)
		a1, err1 := whole.next(r)
		a2, err2 := slow.next(iotest.OneByteReader(bytes.NewReader(b)))
		if a1 != a2 || (err1 == nil) != (err2 == nil) {
			t.Fatalf("in one go %+v, %v; byte by byte %+v, %v", a1, err1, a2, err2)
		}
		if err1 != nil {
			return
		}
		if g.from != whole.want {
			t.Fatalf("a reply of %v was taken for one of %v", g.from, whole.want)
		}
		if _, rest, err := tunnel.DecodeAnswer(b[greetingLen:]); err != nil || len(rest) != r.Len() {
			t.Fatalf("the reply left %d bytes, want %d (%v)", r.Len(), len(rest), err)
		}
	})
}
