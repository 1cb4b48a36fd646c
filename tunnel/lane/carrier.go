package lane

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// carrier is what frames travel on: a lane, or a stream of the tunnel below for a session that has lost its lane. It carries
// one session at a time.
//
// Its reader is one goroutine, which never waits for anything but the next frame: whoever writes can rely on being read.
type carrier struct {
	t     *Tunnel
	peer  micronet.NodeID
	ours  bool // this side opens sessions on it
	rw    io.ReadWriter
	wire  *tunnel.Gather // of a lane, nil for a stream
	hang  func()         // ends it, wakes its reader
	since time.Time
	holds func() bool // whether the peer would still be let in

	slot  chan struct{} // the one slot of the writer
	ended chan struct{}
	once  sync.Once
	heard atomic.Int64 // when something came, as a moment since since
	asked atomic.Bool  // a ping is on its way
	sent  atomic.Uint64
	got   atomic.Uint64

	// Guarded by Tunnel.mu.
	number  uint64   // in order of their making
	session *session // nil: none
	turn    byte     // of the session, or of the last one
	used    time.Time
	life    uint64 // of the peer's process, as it has said at the beginning; 0: not yet
}

func newCarrier(t *Tunnel, peer micronet.NodeID, rw io.ReadWriter, wire *tunnel.Gather, ours bool, hang func()) *carrier {
	now := time.Now()
	return &carrier{
		t: t, peer: peer, ours: ours, rw: rw, wire: wire, hang: hang, since: now, used: now,
		slot: make(chan struct{}, 1), ended: make(chan struct{}),
	}
}

// isLane reports whether it is a connection of its own, which is used again.
func (c *carrier) isLane() bool { return c.wire != nil }

// enter takes the slot of the writer; false when the carrier has ended.
func (c *carrier) enter() bool {
	select {
	case c.slot <- struct{}{}:
		return true
	case <-c.ended:
		return false
	}
}

func (c *carrier) leave() { <-c.slot }

// write sends one frame, or lets it wait for flush. The caller has the slot.
func (c *carrier) write(frame []byte) error {
	if _, err := c.rw.Write(frame); err != nil {
		return err
	}
	c.sent.Add(uint64(len(frame)))
	if c.wire != nil && c.wire.Waits() >= largeBuffer {
		return c.wire.Flush()
	}
	return nil
}

func (c *carrier) flush() error {
	if c.wire == nil {
		return nil
	}
	return c.wire.Flush()
}

// say sends one frame.
func (c *carrier) say(frame []byte) {
	if !c.enter() {
		return
	}
	defer c.leave()
	err := c.write(frame)
	if err == nil {
		err = c.flush()
	}
	if err != nil {
		c.end()
	}
}

// end ends the carrier; its reader cleans up.
func (c *carrier) end() {
	c.once.Do(func() {
		close(c.ended)
		c.hang()
	})
}

func (c *carrier) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// silence is how long nothing has come.
func (c *carrier) silence() time.Duration {
	return time.Since(c.since.Add(time.Duration(c.heard.Load())))
}

// reading is what the reader of a carrier has at hand.
type reading struct {
	in      io.Reader
	scratch [headerSize + resumeSize]byte
}

// read takes frames until the carrier ends. A frame that breaks the format ends it.
func (c *carrier) read(r *reading) {
	for {
		h, err := readHeader(r.in, r.scratch[:headerSize])
		if err == nil {
			c.heard.Store(int64(time.Since(c.since)))
			c.asked.Store(false)
			c.got.Add(uint64(headerSize + h.length))
			err = c.take(h, r)
		}
		if err != nil {
			if micronet.KindOf(err) == micronet.Invalid && !errors.Is(err, io.EOF) {
				c.t.env.Events.PacketDropped(micronet.PacketDrop{Where: "lane", Why: "bad frame", Peer: c.peer})
			}
			return
		}
	}
}

// take handles one frame, of which r has the payload.
func (c *carrier) take(h header, r *reading) error {
	switch h.kind {
	case kindPing:
		c.t.spawn(func() { c.say(shortFrame(kindPong, h.turn, 0)) })
		return nil
	case kindPong:
		return nil
	case kindHello:
		return c.greeted(r)
	case kindOpen:
		return c.t.opened(c, h, r)
	case kindResume:
		return c.t.resumed(c, h, r)
	}
	if c.ours && (h.kind == kindResumed || h.kind == kindGone) {
		return c.t.promoted(c, h, r)
	}
	s := c.t.sessionOn(c, h.turn)
	if s == nil {
		return discard(r.in, h.length) // late, of a session that is not here any more
	}
	return s.receive(c, h, r)
}

// greeted takes the number of the peer's life.
func (c *carrier) greeted(r *reading) error {
	b := r.scratch[headerSize : headerSize+8]
	if _, err := io.ReadFull(r.in, b); err != nil {
		return err
	}
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.life = number(b)
	return nil
}

func discard(r io.Reader, n int) error {
	_, err := io.CopyN(io.Discard, r, int64(n))
	return err
}
