package lane

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// key names a session on this node: ids are drawn by others.
type key struct {
	peer micronet.NodeID
	ours bool // opened by this node
	id   sessionID
}

// session is one stream, on either side. It outlives its carrier: what was not acknowledged is kept and sent again over the
// next one.
type session struct {
	t *Tunnel
	key
	peerAddr *net.UDPAddr // identity address of the peer
	number   uint64       // in order of their making

	writing chan struct{} // the one slot of a user's writer
	pushes  atomic.Uint32 // how often somebody has asked for what is due to be sent, since it was

	mu                 sync.Mutex // a leaf; not held while anything is sent or received
	readable, writable *sync.Cond
	in                 incoming
	out                outgoing
	readErr, writeErr  error // what reads and writes end with
	readBy, writeBy    tunnel.Deadline
	finishing          bool // the user writes no more
	stopping           bool // the peer reads no more
	closed             bool // the user has closed or aborted

	carrier *carrier // nil while there is none
	turn    byte
	lost    time.Time // since when it has looked for one, and no byte got on
	again   bool      // it has found one since, and lost it
	moves   uint32    // how often it has moved, as its opener counts
	heard   bool      // something came from the peer
	life    uint64    // of the peer's process that it began with; 0: not known
	over    bool      // nothing is carried any more
	asking  bool      // the peer was asked to go on over carrier, and has not answered

	due due

	// Guarded by Tunnel.mu.
	waits bool   // for a lane
	below *lanes // that count it among those that began on a stream
}

// due are frames of a session that are to be sent before its bytes.
type due struct {
	open    bool // the session begins here
	resumed bool // it goes on here
	stop    bool // nothing more is read
	reset   bool // it has ended
	said    bool // reset is on its way
	why     code // of stop or reset
}

// any reports whether there is such a frame.
func (d due) any() bool { return d.open || d.resumed || d.stop || d.reset }

// code says why something was cut short. Numbers are wire values and are never reused.
type code byte

const (
	codeDone    code = 0 // nothing more is read, politely
	codeAborted code = 1
	codeRefused code = 2 // the answer says why
	codeStopped code = 3 // the node stops
	codeParted  code = 4 // by Disconnect
)

func newSession(t *Tunnel, k key) *session {
	s := &session{t: t, key: k, peerAddr: k.peer.UDPAddr(), writing: make(chan struct{}, 1)}
	s.out.store = &t.store
	s.readable, s.writable = sync.NewCond(&s.mu), sync.NewCond(&s.mu)
	return s
}

// read waits for bytes.
func (s *session) read(p []byte) (int, error) {
	n, owes, err := s.takeBytes(p)
	if owes {
		s.t.spawn(s.push) // who sends may be kept busy by others
	}
	return n, err
}

func (s *session) takeBytes(p []byte) (n int, owes bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readErr != nil:
			return 0, false, s.readErr
		case s.readBy.Passed():
			return 0, false, os.ErrDeadlineExceeded
		case len(s.in.chunks) > 0:
			n = s.in.take(p)
			return n, s.in.owes(s.out.fin) && !s.over, nil
		case s.in.fin:
			return 0, false, io.EOF
		case len(p) == 0:
			return 0, false, nil
		}
		s.readable.Wait()
	}
}

// write hands over bytes, as the window has room.
func (s *session) write(p []byte) (int, error) {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	sent := 0
	for {
		n, err := s.keep(p[sent:])
		sent += n
		if n > 0 {
			s.push()
		}
		if err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// keep waits for room in the window and takes as many bytes as fit.
func (s *session) keep(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writeErr != nil:
			return 0, s.writeErr
		case s.finishing:
			return 0, s.closedHere("tunnel.write")
		case s.writeBy.Passed():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		if n := min(s.out.room(Window), len(p)); n > 0 {
			s.out.add(p[:n])
			return n, nil
		}
		s.writable.Wait()
	}
}

func (s *session) closedHere(op string) error {
	return micronet.E(op, micronet.Closed, "the stream was closed here").WithPeer(s.peer)
}

// closeWrite ends this direction after what was written.
func (s *session) closeWrite() error {
	if !s.finish() {
		return nil
	}
	s.writing <- struct{}{}
	err := s.endOut()
	<-s.writing
	s.push()
	return err
}

// finish wakes a writer for the last time; false when that was done before.
func (s *session) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finishing {
		return false
	}
	s.finishing = true
	s.writable.Broadcast()
	return true
}

func (s *session) endOut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return micronet.E("tunnel.close", micronet.Closed, "the peer reads no more").WithPeer(s.peer)
	}
	s.out.finish()
	return nil
}

// close ends both directions; false when that was done before.
func (s *session) close(why code) bool {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return false
	}
	// A peer that reads no more is no error here.
	_ = s.closeWrite()
	s.turnAway(why)
	s.push()
	return true
}

// turnAway has the peer stop to send.
func (s *session) turnAway(why code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail(&s.readErr, s.closedHere("tunnel.read"))
	if !s.over && !s.in.ended() {
		if !s.in.fin {
			s.due.stop, s.due.why = true, why
		}
		s.in.turn()
	}
	s.readBy.Stop()
	s.writeBy.Stop()
}

// abort ends both directions at once, on both sides.
func (s *session) abort(why code, err error) {
	s.mu.Lock()
	s.closed, s.finishing = true, true
	s.fail(&s.readErr, err)
	s.fail(&s.writeErr, err)
	again := s.over || s.due.reset
	if !again {
		s.due.reset, s.due.why = true, why
		s.forget()
	}
	s.mu.Unlock()
	if !again {
		s.t.spawn(s.push)
	}
}

// forget frees what is kept. The caller holds mu.
func (s *session) forget() {
	s.in.turn()
	s.out.drop()
	s.readBy.Stop()
	s.writeBy.Stop()
}

// fail keeps the first error of a side, and wakes all. The caller holds mu.
func (s *session) fail(side *error, err error) {
	if *side == nil {
		*side = err
	}
	s.wakeLocked()
}

// breakWith ends the session for good with an error, without a word to the peer.
func (s *session) breakWith(read, write error) {
	s.mu.Lock()
	if !s.in.fin {
		s.fail(&s.readErr, read) // else all is here
	}
	s.fail(&s.writeErr, write)
	s.over = true
	if s.readErr != nil {
		s.in.turn()
	}
	s.out.drop()
	s.mu.Unlock()
	s.t.forgetBadly(s)
}

func (s *session) setDeadline(d *tunnel.Deadline, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over && !at.IsZero() && s.closed {
		return
	}
	d.Set(at, &s.mu, s.wakeLocked)
	s.wakeLocked()
}

func (s *session) wakeLocked() {
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// receive handles a frame of this session. Where the session has meanwhile left the carrier, it is too late for it.
func (s *session) receive(c *carrier, h header, r *reading) error {
	switch h.kind {
	case kindData, kindFin:
		p, err := r.payload(&s.t.store, h)
		if err != nil {
			return err
		}
		return s.under(c, h, func() error { return s.takeData(p) }, p.release)
	case kindAck:
		return s.under(c, h, func() error { return nil }, nil)
	case kindReset, kindStop:
		if _, err := io.ReadFull(r.in, r.scratch[:1]); err != nil {
			return err
		}
		why := code(r.scratch[0])
		if h.kind == kindStop {
			return s.under(c, h, func() error { s.stopped(why); return nil }, nil)
		}
		s.wasReset(c, h, why)
		return nil
	}
	return badFrame("a frame of kind %d within a session", h.kind)
}

// under runs f with the lock, if the session is on that carrier, and sees to what follows; else late.
func (s *session) under(c *carrier, h header, f func() error, late func()) error {
	s.mu.Lock()
	if s.carrier != c || s.turn != h.turn || s.over {
		s.mu.Unlock()
		if late != nil {
			late()
		}
		return nil
	}
	s.heard, s.again, s.lost = true, false, time.Time{}
	err := f()
	if err == nil && !s.out.acknowledge(widen(s.out.base, h.ack)) {
		err = badFrame("bytes were acknowledged that were not sent")
	}
	s.writable.Broadcast()
	push := s.in.owes(s.out.fin) || s.due.stop || h.kind == kindStop
	whole := s.completeLocked()
	s.mu.Unlock()
	switch {
	case whole:
		s.t.complete(s, c, true)
	case push:
		s.t.spawn(s.push)
	}
	return err
}

// takeData adds bytes that have come.
func (s *session) takeData(p piece) error {
	if s.in.fin || (!s.in.turned && s.in.waits()+p.n > Window) {
		p.release()
		return badFrame("more bytes than were to come")
	}
	s.in.put(p)
	s.readable.Broadcast()
	return nil
}

func (p piece) release() {
	if p.buf != nil {
		p.buf.free()
	}
}

// payload reads the bytes of a frame.
func (r *reading) payload(st *store, h header) (piece, error) {
	p := piece{n: h.length, fin: h.kind == kindFin}
	if p.n == 0 {
		return p, nil
	}
	p.buf = st.take(p.n)
	if _, err := io.ReadFull(r.in, p.buf.b[:p.n]); err != nil {
		p.buf.free()
		return piece{}, err
	}
	return p, nil
}

// stopped: the peer reads no more. The caller holds mu.
func (s *session) stopped(why code) {
	words := "the peer reads no more"
	if why == codeRefused {
		words = "the peer refused the stream"
	}
	s.fail(&s.writeErr, micronet.E("tunnel.write", micronet.Closed, "%s", words).WithPeer(s.peer))
	s.stopping = true
	s.out.truncate()
}

// wasReset: the peer has ended the session.
func (s *session) wasReset(c *carrier, h header, why code) {
	s.mu.Lock()
	if s.carrier != c || s.turn != h.turn || s.over {
		s.mu.Unlock()
		return
	}
	words := ""
	switch why {
	case codeStopped:
		words = "the peer closed the connection: the node stops"
	case codeParted:
		words = "the peer closed the connection"
	}
	if !s.in.fin {
		s.fail(&s.readErr, tunnel.ResetError("tunnel.read", s.peer, words))
		s.in.turn()
	} // else all is here
	s.fail(&s.writeErr, tunnel.ResetError("tunnel.write", s.peer, words))
	s.over = true
	s.out.drop()
	s.mu.Unlock()
	s.t.complete(s, c, false)
}

// completeLocked ends the session once both sides have everything, and reports whether that is now.
func (s *session) completeLocked() bool {
	if s.over || s.asking || s.due.any() || !s.out.done() || !s.in.ended() || s.in.told != s.in.received {
		return false
	}
	s.over = true
	s.out.drop()
	return true
}
