package lane

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// peerless is a tunnel that carries nothing below, with a carrier whose other end says what it likes.
type peerless struct {
	*Tunnel
	c    *carrier
	said bytes.Buffer // what this side wrote; the carrier's slot guards it
}

type readWriter struct {
	io.Reader
	io.Writer
}

func newPeerless(t testing.TB, ours bool) *peerless {
	t.Helper()
	who, peer := tunneltest.NewIdentity(t, 1), micronet.NodeID{2}
	f := newField()
	tun, err := New(Config{Self: who.ID, Below: tunnel.NewPipe(f.wire, who.ID, nil), Paths: f, TLS: who})
	if err != nil {
		t.Fatal(err)
	}
	p := &peerless{Tunnel: tun}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	tun.running, tun.ctx = true, ctx
	p.c = newCarrier(tun, peer, readWriter{nil, &p.said}, nil, ours)
	p.c.hang, p.c.bye = func() {}, func() {}
	tun.mu.Lock()
	tun.keepLocked(p.c)
	tun.mu.Unlock()
	return p
}

// session opens one on the carrier, if it is ours, and hands over some bytes.
func (p *peerless) session(t testing.TB) *session {
	t.Helper()
	s := newSession(p.Tunnel, key{peer: p.c.peer, ours: true, id: sessionID{1}})
	s.due.open = true
	s.out.add([]byte("opening"))
	p.mu.Lock()
	p.addLocked(s)
	p.joinLocked(s, p.c, 1)
	p.mu.Unlock()
	s.push()
	return s
}

// hear has the carrier read what the other end says, and waits for what follows.
func (p *peerless) hear(said []byte) {
	p.c.read(&reading{in: bytes.NewReader(said)})
	p.mu.Lock()
	p.running = false
	p.mu.Unlock()
	p.group.Wait()
}

func openingBytes(t testing.TB) []byte {
	t.Helper()
	b, err := tunnel.AppendOpening(nil, program)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzFrames: whatever a peer says, nothing breaks, and it cannot have more kept than a window of each session.
func FuzzFrames(f *testing.F) {
	open := append(append([]byte{}, make([]byte, 16)...), openingBytes(f)...)
	f.Add(true, shortFrame(kindData, 1, 23, 'x', 'y'))
	f.Add(true, append(shortFrame(kindData, 1, 23, 'x'), shortFrame(kindReset, 1, 0, 1)...))
	f.Add(true, append(shortFrame(kindFin, 1, 7), shortFrame(kindStop, 1, 7, 0)...))
	f.Add(false, shortFrame(kindOpen, 1, 0, open...))
	f.Add(false, append(shortFrame(kindOpen, 1, 0, open...), shortFrame(kindFin, 1, 0, 'x')...))
	f.Add(false, resumption{move: 1}.frame(1, 0))
	f.Add(false, append(shortFrame(kindOpen, 1, 0, open...), resumption{move: 1}.frame(2, 0)...))
	f.Add(false, append(numberFrame(kindHello, 0, 7, 0), shortFrame(kindPing, 0, 0)...))
	f.Add(true, goneFrame(1, endedWell, 3))
	f.Fuzz(func(t *testing.T, ours bool, said []byte) {
		p := newPeerless(t, ours)
		var s *session
		if ours {
			s = p.session(t)
		}
		p.hear(said)
		if s != nil && s.in.waits() > Window+1 {
			t.Errorf("%d bytes wait of a window of %d", s.in.waits(), Window)
		}
		if n := len(p.sessions); n > 1+len(said)/headerSize {
			t.Errorf("%d sessions out of %d bytes", n, len(said))
		}
	})
}

func TestH8_BadFramesEndTheCarrier(t *testing.T) {
	open := append(append([]byte{}, make([]byte, 16)...), openingBytes(t)...)
	flood := bytes.Repeat(append(shortFrame(kindData, 1, 0), bytes.Repeat([]byte("x"), 60_000)...), Window/60_000+2)
	for i := 0; i < len(flood); i += headerSize + 60_000 {
		header{kindData, 1, 60_000, 0}.put(flood[i:])
	}
	for name, c := range map[string]struct {
		ours bool
		said []byte
	}{
		"unknown kind":          {true, shortFrame(99, 1, 0)},
		"acknowledges too much": {true, shortFrame(kindAck, 1, 1000)},
		"more than the window":  {true, flood},
		"bytes after the end":   {true, append(shortFrame(kindFin, 1, 0), shortFrame(kindData, 1, 0, 'x')...)},
		"opens from our side":   {true, shortFrame(kindOpen, 2, 0, open...)},
		"resumes from our side": {true, resumption{id: sessionID{1}, move: 1}.frame(2, 0)},
		"opens twice":           {false, append(shortFrame(kindOpen, 1, 0, open...), shortFrame(kindOpen, 2, 0, open...)...)},
		"no opening":            {false, shortFrame(kindOpen, 1, 0, make([]byte, 20)...)},
		"short opening":         {false, shortFrame(kindOpen, 1, 0, make([]byte, 3)...)},
		"long reset":            {true, shortFrame(kindReset, 1, 0, 1, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeerless(t, c.ours)
			bad := 0
			p.env.Events.PacketDropped = func(d micronet.PacketDrop) {
				if d.Where == "lane" {
					bad++
				}
			}
			if c.ours {
				p.session(t)
			}
			p.hear(append(c.said, shortFrame(kindPing, 0, 0)...))
			if bad != 1 || bytes.Contains(p.said.Bytes(), shortFrame(kindPong, 0, 0)) {
				t.Errorf("%d bad frames counted, and read on: %v", bad, bytes.Contains(p.said.Bytes(), shortFrame(kindPong, 0, 0)))
			}
		})
	}
}

// TestSessionsBelongToPeers: nobody goes on with the session of another peer.
func TestSessionsBelongToPeers(t *testing.T) {
	p := newPeerless(t, false)
	open := append(append([]byte{}, make([]byte, 16)...), openingBytes(t)...)
	var group sync.WaitGroup
	group.Go(func() { _, _ = p.Accept(context.Background()) })
	p.c.read(&reading{in: bytes.NewReader(shortFrame(kindOpen, 1, 0, open...))})
	group.Wait()
	var said bytes.Buffer
	other := newCarrier(p.Tunnel, micronet.NodeID{3}, readWriter{nil, &said}, nil, false)
	other.hang = func() {}
	other.read(&reading{in: bytes.NewReader(resumption{move: 1}.frame(1, 0))})
	p.mu.Lock()
	p.running = false
	p.mu.Unlock()
	p.group.Wait()
	if want := goneFrame(1, neverWas, p.life); !bytes.Equal(said.Bytes(), want) {
		t.Errorf("the stranger was told %x, want %x", said.Bytes(), want)
	}
}

func TestWiden(t *testing.T) {
	for _, c := range []struct {
		near uint64
		low  uint32
		want uint64
	}{
		{0, 5, 5},
		{5, 5, 5},
		{1<<32 - 1, 3, 1<<32 + 3},
		{1<<32 + 3, 1<<32 - 1, 1<<32 - 1},
		{7 << 32, 1 << 20, 7<<32 + 1<<20},
	} {
		if got := widen(c.near, c.low); got != c.want {
			t.Errorf("widen(%d, %d) = %d, want %d", c.near, c.low, got, c.want)
		}
	}
}
