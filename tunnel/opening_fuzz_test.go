package tunnel

import (
	"bytes"
	"testing"
)

// FuzzDecodeOpening: no input panics, a reader agrees with the decoder and takes not a byte too
// many, and what was decoded survives another round.
func FuzzDecodeOpening(f *testing.F) {
	for _, seed := range []string{
		"", "\x01\x03\x01\x01\x01", "\x01\x0b\x63\x02??\x01\x01\x07\xff\x00\x00\x00",
		"\x01\x08\x01\x01\x01\x02\x03web", "\x01\x80\x08", "\x02",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, rest, err := DecodeOpening(b)
		r := bytes.NewReader(b)
		read, readErr := ReadOpening(r)
		if (err == nil) != (readErr == nil) || read != o {
			t.Fatalf("DecodeOpening = %+v, %v; ReadOpening = %+v, %v", o, err, read, readErr)
		}
		if err != nil {
			return
		}
		if r.Len() != len(rest) {
			t.Fatalf("ReadOpening left %d bytes, want %d", r.Len(), len(rest))
		}
		frame, err := AppendOpening(nil, o)
		if err != nil {
			t.Fatalf("AppendOpening(%+v) = %v", o, err)
		}
		if back, _, err := DecodeOpening(frame); err != nil || back != o {
			t.Fatalf("round trip of %+v = %+v, %v", o, back, err)
		}
	})
}

// FuzzDecodeAnswer: as FuzzDecodeOpening.
func FuzzDecodeAnswer(f *testing.F) {
	for _, seed := range []string{"", "\x01\x00\x00", "\x01\x03\x04gone", "\x01\xff\x81\x04", "\x01\x02\x01\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, rest, err := DecodeAnswer(b)
		r := bytes.NewReader(b)
		var reader AnswerReader
		read, readErr := reader.Next(r)
		if (err == nil) != (readErr == nil) || read != a {
			t.Fatalf("DecodeAnswer = %+v, %v; AnswerReader = %+v, %v", a, err, read, readErr)
		}
		if err != nil {
			return
		}
		if r.Len() != len(rest) {
			t.Fatalf("AnswerReader left %d bytes, want %d", r.Len(), len(rest))
		}
		if back, _, err := DecodeAnswer(AppendAnswer(nil, a)); err != nil || back != a {
			t.Fatalf("round trip of %+v = %+v, %v", a, back, err)
		}
	})
}
