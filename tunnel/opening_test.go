package tunnel

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	micronet "github.com/micro/micro-net"
)

func TestOpeningOnTheWire(t *testing.T) {
	o := Opening{Purpose: PurposeService, Service: "web", Instance: "w1", Caller: "shop", Trace: "00-a-b-01"}
	fields := "\x01\x01\x01" + "\x02\x03web" + "\x03\x02w1" + "\x04\x04shop" + "\x05\x0900-a-b-01"
	want := "\x01" + string(rune(len(fields))) + fields
	got, err := AppendOpening([]byte("x"), o)
	if err != nil || string(got) != "x"+want {
		t.Fatalf("AppendOpening = %q, %v, want %q", got, err, "x"+want)
	}
	back, rest, err := DecodeOpening(append(got[1:], "payload"...))
	if err != nil || back != o || string(rest) != "payload" {
		t.Errorf("DecodeOpening = %+v, %q, %v", back, rest, err)
	}
}

func TestReadOpeningTakesNoByteTooMany(t *testing.T) {
	for _, size := range []int{0, 100, 127, 128, 900} {
		o := Opening{Purpose: PurposeCatalog, Service: strings.Repeat("s", size)}
		frame, err := AppendOpening(nil, o)
		if err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(append(frame, "payload"...))
		got, err := ReadOpening(iotest.OneByteReader(r))
		if err != nil || got != o {
			t.Errorf("size %d: ReadOpening = %+v, %v", size, got, err)
		}
		if rest, _ := io.ReadAll(r); string(rest) != "payload" {
			t.Errorf("size %d: left %q", size, rest)
		}
		for cut := range frame {
			want := io.ErrUnexpectedEOF
			if cut == 0 {
				want = io.EOF
			}
			if _, err := ReadOpening(bytes.NewReader(frame[:cut])); err != want {
				t.Fatalf("cut at %d: %v, want %v", cut, err, want)
			}
		}
	}
}

func TestH23_OpeningBounds(t *testing.T) {
	fits := Opening{Purpose: PurposeControl, Service: strings.Repeat("s", MaxOpening-3-3-3)}
	frame, err := AppendOpening(nil, fits)
	if err != nil || len(frame) != MaxOpening {
		t.Fatalf("AppendOpening = %d bytes, %v, want %d", len(frame), err, MaxOpening)
	}
	if got, _, err := DecodeOpening(frame); err != nil || got != fits {
		t.Errorf("DecodeOpening of the largest = %v", err)
	}
	fits.Service += "s"
	if _, err := AppendOpening(nil, fits); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("AppendOpening of one more byte = %v, want Invalid", err)
	}
}

func TestH23_DecodeOpeningRefuses(t *testing.T) {
	for _, c := range []struct{ name, frame string }{
		{"another version", "\x02\x03\x01\x01\x01"},
		{"no purpose", "\x01\x00"},
		{"purpose 0", "\x01\x03\x01\x01\x00"},
		{"a purpose of two bytes", "\x01\x04\x01\x02\x01\x01"},
		{"a field twice", "\x01\x06\x01\x01\x01\x01\x01\x01"},
		{"a field past the end", "\x01\x05\x01\x01\x01\x02\x01"},
		{"a field without length", "\x01\x04\x01\x01\x01\x02"},
		{"no UTF-8", "\x01\x06\x01\x01\x01\x02\x01\xff"},
		{"a length not in its shortest form", "\x01\x83\x00\x01\x01\x01"},
		{"a length of three bytes", "\x01\x83\x80\x01\x01\x01\x01"},
		{"a length above the bound", "\x01\x80\x08"},
	} {
		if _, _, err := DecodeOpening([]byte(c.frame)); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%s: %v, want Invalid", c.name, err)
		}
	}
	if _, _, err := DecodeOpening([]byte("\x01\x03\x01\x01")); err != io.ErrUnexpectedEOF {
		t.Errorf("a frame cut short: %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestOpeningSkipsFieldsOfNewerPeers(t *testing.T) {
	frame := "\x01\x0b" + "\x63\x02??" + "\x01\x01\x07" + "\xff\x00" + "\x00\x00"
	got, rest, err := DecodeOpening([]byte(frame))
	if err != nil || got != (Opening{Purpose: 7}) || len(rest) != 0 {
		t.Errorf("DecodeOpening = %+v, %q, %v, want purpose 7 alone", got, rest, err)
	}
}

func TestAnswerOnTheWire(t *testing.T) {
	for _, c := range []struct {
		a    Answer
		want string
	}{
		{Answer{Accepted: true}, "\x01\x00\x00"},
		{Answer{Kind: micronet.NotFound, Reason: "gone"}, "\x01\x03\x04gone"},
		{Answer{Kind: micronet.Internal}, "\x01\x01\x00"},
	} {
		got := AppendAnswer(nil, c.a)
		if string(got) != c.want {
			t.Errorf("AppendAnswer(%+v) = %q, want %q", c.a, got, c.want)
		}
		back, rest, err := DecodeAnswer(append(got, "rest"...))
		if err != nil || back != c.a || string(rest) != "rest" {
			t.Errorf("DecodeAnswer = %+v, %q, %v", back, rest, err)
		}
	}
}

func TestAnswerCutsWords(t *testing.T) {
	a := Answer{Kind: micronet.Refused, Reason: strings.Repeat("ä", MaxReason) + "\xff"}
	got, _, err := DecodeAnswer(AppendAnswer(nil, a))
	if err != nil || got.Reason != strings.Repeat("ä", MaxReason/2) {
		t.Errorf("DecodeAnswer = %d bytes, %v, want %d", len(got.Reason), err, MaxReason)
	}
	if got, _, err = DecodeAnswer([]byte("\x01\xf0\x00")); err != nil || got.Kind != micronet.Internal || got.Accepted {
		t.Errorf("an unknown kind: %+v, %v, want Internal", got, err)
	}
	if _, _, err = DecodeAnswer([]byte("\x01\x02\x81\x04")); micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("words above the bound: %v, want Invalid", err)
	}
}

// stutter gives one byte per call, with a timeout before each.
type stutter struct {
	data []byte
	turn bool
}

func (s *stutter) Read(p []byte) (int, error) {
	s.turn = !s.turn
	if s.turn {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p[:1], s.data)
	s.data = s.data[n:]
	return n, nil
}

func TestAnswerReaderGoesOnAfterInterruption(t *testing.T) {
	want := Answer{Kind: micronet.Refused, Reason: strings.Repeat("no", 100)}
	s := &stutter{data: append(AppendAnswer(nil, want), "payload"...)}
	var r AnswerReader
	for range 1000 {
		got, err := r.Next(s)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if err != nil || got != want || string(s.data) != "payload" {
			t.Fatalf("Next = %+v, %v with %q left", got, err, s.data)
		}
		return
	}
	t.Fatal("the answer was never read")
}

func TestIsReset(t *testing.T) {
	err := ResetError("tunnel.read", micronet.NodeID{1}, "the peer has restarted")
	if !IsReset(err) || micronet.KindOf(err) != micronet.Closed {
		t.Errorf("%v: IsReset, kind = %v, %v", err, IsReset(err), micronet.KindOf(err))
	}
	if IsReset(io.EOF) || IsReset(nil) {
		t.Error("the end of a stream is a reset")
	}
}

func BenchmarkOpening(b *testing.B) {
	b.ReportAllocs()
	o := Opening{Purpose: PurposeService, Service: "web", Instance: "web-1", Caller: "shop", Trace: strings.Repeat("0", 55)}
	var buf []byte
	for b.Loop() {
		var err error
		if buf, err = AppendOpening(buf[:0], o); err != nil {
			b.Fatal(err)
		}
		if _, _, err = DecodeOpening(buf); err != nil {
			b.Fatal(err)
		}
	}
}
