package lane

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// TestH8_FloodsOfQuestions: who asks and does not read is hung up on, and costs a few frames.
func TestH8_FloodsOfQuestions(t *testing.T) {
	for name, frame := range map[string][]byte{
		"pings":   shortFrame(kindPing, 0, 0),
		"resumes": resumption{id: sessionID{7}, move: 1}.frame(1, 0),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeerless(t, false)
				p.c.enter() // a writer that waits for a peer who does not read
				p.c.read(&reading{in: bytes.NewReader(bytes.Repeat(frame, 1000))})
				if !p.c.gone() || len(p.c.words) > maxWords {
					t.Errorf("%d frames wait, ended: %v", len(p.c.words), p.c.gone())
				}
				p.mu.Lock()
				p.running = false
				p.mu.Unlock()
				p.group.Wait()
			})
		})
	}
}

func frameOfData(turn byte, n int) []byte {
	b := make([]byte, headerSize+n)
	header{kindData, turn, n, 0}.put(b)
	return b
}

// TestH8_ManySessionsOnOneCarrier: of sessions that a peer leaves behind nothing is kept.
func TestH8_ManySessionsOnOneCarrier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeerless(t, false)
		for i := range 50 {
			id := append(make([]byte, 15), byte(i))
			said := shortFrame(kindOpen, byte(i), 0, append(id, openingBytes(t)...)...)
			for range 16 {
				said = append(said, frameOfData(byte(i), 65_000)...)
			}
			p.c.read(&reading{in: bytes.NewReader(said)})
		}
		if n := left(&testNode{Tunnel: p.Tunnel}); n != 1 {
			t.Errorf("%d sessions are kept, want the last", n)
		}
	})
}

// TestH8_ResumeInPlaceOfAnother: a session whose carrier its peer uses for another one ends.
func TestH8_ResumeInPlaceOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeerless(t, false)
		p.c.read(&reading{in: bytes.NewReader(shortFrame(kindOpen, 1, 0, append(make([]byte, 16), openingBytes(t)...)...))})
		first, err := p.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := newCarrier(p.Tunnel, p.c.peer, readWriter{nil, &bytes.Buffer{}}, nil, false)
		c.hang = func() {}
		id := sessionID{1}
		c.read(&reading{in: bytes.NewReader(shortFrame(kindOpen, 1, 0, append(id[:], openingBytes(t)...)...))})
		p.c.read(&reading{in: bytes.NewReader(resumption{id: id, move: 1}.frame(2, 0))})
		if _, err := first.Read(make([]byte, 1)); micronet.KindOf(err) != micronet.Closed {
			t.Errorf("Read = %v, want a reset", err)
		}
		// An older question that comes late changes nothing.
		p.c.read(&reading{in: bytes.NewReader(resumption{id: id, move: 1}.frame(3, 0))})
		if s := p.sessionOn(p.c, 2); s == nil || s.id != id {
			t.Error("the session was moved by an old question")
		}
		p.lose(p.c)
		time.Sleep(orphanTime + tick)
		p.look(time.Now())
		if n := left(&testNode{Tunnel: p.Tunnel}); n != 0 {
			t.Errorf("%d sessions are kept of a peer that has gone", n)
		}
	})
}
