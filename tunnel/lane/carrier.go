package lane

import (
	"io"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// carrier is what frames travel on: a lane, or a stream of the tunnel below for a session that has no lane. It carries
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
	bye   func()         // the same, and what was written is still delivered
	holds func() bool    // of a lane: whether the peer would still be let in
	since time.Time

	slot     chan struct{} // the one slot of the writer
	ended    chan struct{}
	once     sync.Once
	heard    atomic.Int64 // when something came, as a moment since since
	writing  atomic.Int64 // since when the writer waits, likewise; 0: it does not
	asked    atomic.Bool  // a ping is on its way
	words    chan []byte  // what the reader wants said
	speaking atomic.Bool  // somebody says it
	sent     atomic.Uint64
	got      atomic.Uint64

	// Guarded by Tunnel.mu.
	of      *lanes   // that count it, nil for those of others and streams
	number  uint64   // in order of their making
	session *session // nil: none
	turn    byte     // of the session, or of the last one
	used    time.Time
	life    uint64 // of the peer's process, as it has said at the beginning; 0: not yet
}

func newCarrier(t *Tunnel, peer micronet.NodeID, rw io.ReadWriter, wire *tunnel.Gather, ours bool) *carrier {
	now := time.Now()
	return &carrier{
		t: t, peer: peer, ours: ours, rw: rw, wire: wire, since: now, used: now,
		slot: make(chan struct{}, 1), ended: make(chan struct{}), words: make(chan []byte, maxWords),
	}
}

// newStream makes a carrier of a stream.
func newStream(t *Tunnel, peer micronet.NodeID, s tunnel.Stream, ours bool) *carrier {
	c := newCarrier(t, peer, s, nil, ours)
	c.hang, c.bye = s.Abort, func() { _ = s.Close() }
	return c
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
	c.begins()
	defer c.writing.Store(0)
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
	c.begins()
	defer c.writing.Store(0)
	return c.wire.Flush()
}

func (c *carrier) begins() { c.writing.Store(max(1, int64(time.Since(c.since)))) }

// stuck is how long the writer has waited for the peer to take something.
func (c *carrier) stuck() time.Duration {
	if at := c.writing.Load(); at != 0 {
		return time.Since(c.since.Add(time.Duration(at)))
	}
	return 0
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

// utter has a frame said without waiting for it.
func (c *carrier) utter(frame []byte) {
	select {
	case c.words <- frame:
	default:
		c.end()
		return
	}
	if c.speaking.CompareAndSwap(false, true) {
		c.t.spawn(c.speak)
	}
}

func (c *carrier) speak() {
	for {
		select {
		case f := <-c.words:
			c.say(f)
			continue
		default:
		}
		c.speaking.Store(false)
		if len(c.words) == 0 || !c.speaking.CompareAndSwap(false, true) {
			return
		}
	}
}

// end ends the carrier at once; its reader cleans up.
func (c *carrier) end() { c.endBy(c.hang) }

// finish ends it when what was written is delivered.
func (c *carrier) finish() { c.endBy(c.bye) }

func (c *carrier) endBy(how func()) {
	c.once.Do(func() {
		close(c.ended)
		how()
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

// hears notes that something came, or that from now on something has to.
func (c *carrier) hears() {
	c.heard.Store(int64(time.Since(c.since)))
	c.asked.Store(false)
}

// reading is what the reader of a carrier has at hand.
type reading struct {
	in      io.Reader
	scratch [headerSize + resumeSize]byte
}

// payload reads the n bytes of a frame that has few.
func (r *reading) few(n int) ([]byte, error) {
	b := r.scratch[headerSize : headerSize+n]
	_, err := io.ReadFull(r.in, b)
	return b, err
}

// read takes frames until the carrier ends. A frame that breaks the format ends it.
func (c *carrier) read(r *reading) {
	for {
		h, err := readHeader(r.in, r.scratch[:headerSize])
		if err == nil {
			c.hears()
			c.got.Add(uint64(headerSize + h.length))
			err = c.take(h, r)
		}
		if micronet.KindOf(err) == micronet.Invalid {
			c.t.env.Events.PacketDropped(micronet.PacketDrop{Where: "lane", Why: "bad frame", Peer: c.peer})
		}
		if err != nil {
			return
		}
	}
}

// take handles one frame, of which r has the payload.
func (c *carrier) take(h header, r *reading) error {
	switch h.kind {
	case kindPing:
		c.utter(shortFrame(kindPong, h.turn, 0))
		return nil
	case kindPong:
		return nil
	case kindHello:
		return c.greeted(r)
	case kindOpen:
		return c.t.opened(c, h, r)
	case kindResume:
		return c.t.resumed(c, h, r)
	case kindResumed, kindGone:
		return c.t.answered(c, h, r)
	}
	s := c.t.sessionOn(c, h.turn)
	if s == nil {
		return discard(r.in, h.length) // late, of a session that is not here any more
	}
	return s.receive(c, h, r)
}

func discard(r io.Reader, n int) error {
	_, err := io.CopyN(io.Discard, r, int64(n))
	return err
}
