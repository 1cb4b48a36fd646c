package swim

import (
	"context"
	"hash/maphash"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// fabric connects the Swims of one bubble: packets take 5 to 15 ms and may be lost, streams are
// reliable and pay for losses with time. What happens to a packet is a hash of who sends it to
// whom and of its number, so that no packet shares its fate with another's.
type fabric struct {
	seed maphash.Seed

	mu    sync.Mutex
	nodes map[micronet.NodeID]*Swim
	count map[[2]micronet.NodeID]uint64
	loss  float64                         // of packets, 0 to 1
	cut   func(a, b micronet.NodeID) bool // nil: everybody reaches everybody
	sent  map[micronet.NodeID]int         // packets by receiver
}

func newFabric() *fabric {
	return &fabric{
		seed:  maphash.MakeSeed(),
		nodes: make(map[micronet.NodeID]*Swim),
		count: make(map[[2]micronet.NodeID]uint64),
		sent:  make(map[micronet.NodeID]int),
	}
}

// port is a node's Transport.
type port struct {
	fabric *fabric
	self   micronet.NodeID
}

// add makes a Swim of the fabric; the newest one of an id gets its packets.
func (f *fabric) add(c Config) *Swim {
	c.Transport = port{f, c.Self}
	s := New(c)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes[c.Self] = s
	return s
}

func (f *fabric) setCut(cut func(a, b micronet.NodeID) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = cut
}

// sentTo returns how many packets were sent to a node.
func (f *fabric) sentTo(id micronet.NodeID) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent[id]
}

func (f *fabric) setLoss(loss float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loss = loss
}

// isolate cuts nodes off from everybody.
func (f *fabric) isolate(ids ...micronet.NodeID) {
	f.setCut(func(a, b micronet.NodeID) bool {
		for _, id := range ids {
			if a == id || b == id {
				return true
			}
		}
		return false
	})
}

func (f *fabric) reaches(a, b micronet.NodeID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[b] != nil && (f.cut == nil || !f.cut(a, b))
}

func (f *fabric) node(id micronet.NodeID) *Swim {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.nodes[id]
}

// fate decides about the next packet from a to b.
func (f *fabric) fate(a, b micronet.NodeID) (latency time.Duration, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	pair := [2]micronet.NodeID{a, b}
	f.count[pair]++
	h := maphash.Comparable(f.seed, struct {
		pair [2]micronet.NodeID
		n    uint64
	}{pair, f.count[pair]})
	latency = 5*time.Millisecond + time.Duration(h>>32)%(10*time.Millisecond)
	return latency, float64(h&0xffffff)/(1<<24) < f.loss
}

// delay is what one segment of a stream takes: lost ones are sent again after 200, 400… ms.
func (f *fabric) delay(a, b micronet.NodeID) time.Duration {
	var total time.Duration
	for again := 200 * time.Millisecond; ; again *= 2 {
		latency, lost := f.fate(a, b)
		if !lost {
			return total + latency
		}
		total += again
	}
}

func (p port) Send(to micronet.NodeID, payload []byte) error {
	f := p.fabric
	if len(payload) > MaxPacket {
		panic("a packet is too large")
	}
	f.mu.Lock()
	f.sent[to]++
	f.mu.Unlock()
	latency, lost := f.fate(p.self, to)
	if lost || !f.reaches(p.self, to) {
		return nil
	}
	packet := append([]byte(nil), payload...)
	time.AfterFunc(latency, func() {
		if f.reaches(p.self, to) {
			f.node(to).HandlePacket(p.self, packet, time.Now())
			clear(packet) // the receiver must have copied it
		}
	})
	return nil
}

func (p port) OpenStream(ctx context.Context, to micronet.NodeID) (net.Conn, error) {
	f := p.fabric
	timer := time.NewTimer(f.delay(p.self, to) + f.delay(to, p.self) + f.delay(p.self, to))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	}
	if !f.reaches(p.self, to) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	here, there := newPipe(f, p.self, to)
	f.node(to).HandleStream(there, p.self)
	return here, nil
}

// pipe is one end of a stream. Writes never block; what was written arrives in order, later,
// and not at all while the two nodes are cut from each other.
type pipe struct {
	fabric     *fabric
	self, peer micronet.NodeID
	other      *pipe

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something below changes
	flight   []segment     // on the way to other
	in       []byte
	eof      bool
	closed   bool
	deadline time.Time
}

// segment is data on its way; nil data is the end.
type segment struct {
	at   time.Time
	data []byte
}

func newPipe(f *fabric, a, b micronet.NodeID) (here, there *pipe) {
	here = &pipe{fabric: f, self: a, peer: b, changed: make(chan struct{})}
	there = &pipe{fabric: f, self: b, peer: a, changed: make(chan struct{}), other: here}
	here.other = there
	return here, there
}

func (p *pipe) changedLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pipe) send(data []byte) {
	delay := p.fabric.delay(p.self, p.peer)
	p.mu.Lock()
	at := time.Now().Add(delay)
	if n := len(p.flight); n > 0 && p.flight[n-1].at.After(at) {
		at = p.flight[n-1].at
	}
	p.flight = append(p.flight, segment{at, data})
	p.mu.Unlock()
	time.AfterFunc(time.Until(at), p.pump)
}

// pump delivers what has arrived; across a cut it tries again until it heals.
func (p *pipe) pump() {
	if !p.fabric.reaches(p.self, p.peer) {
		time.AfterFunc(300*time.Millisecond, p.pump)
		return
	}
	p.mu.Lock()
	var due []segment
	for len(p.flight) > 0 && !p.flight[0].at.After(time.Now()) {
		due = append(due, p.flight[0])
		p.flight = p.flight[1:]
	}
	p.mu.Unlock()
	o := p.other
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range due {
		o.in = append(o.in, s.data...)
		o.eof = o.eof || s.data == nil
	}
	o.changedLocked()
}

func (p *pipe) Read(b []byte) (int, error) {
	for {
		p.mu.Lock()
		n := copy(b, p.in)
		p.in = p.in[n:]
		eof, closed, deadline, changed := p.eof, p.closed, p.deadline, p.changed
		p.mu.Unlock()
		switch {
		case closed:
			return 0, net.ErrClosed
		case n > 0:
			return n, nil
		case eof:
			return 0, io.EOF
		case !deadline.IsZero() && !time.Now().Before(deadline):
			return 0, os.ErrDeadlineExceeded
		}
		await(changed, deadline)
	}
}

func await(changed <-chan struct{}, deadline time.Time) {
	if deadline.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return 0, net.ErrClosed
	}
	p.send(append([]byte{}, b...))
	return len(b), nil
}

func (p *pipe) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return net.ErrClosed
	}
	p.closed = true
	p.changedLocked()
	p.mu.Unlock()
	p.send(nil)
	return nil
}

func (p *pipe) SetDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = t
	p.changedLocked()
	return nil
}
func (p *pipe) SetReadDeadline(t time.Time) error { return p.SetDeadline(t) }
func (p *pipe) SetWriteDeadline(time.Time) error  { return nil }
func (p *pipe) LocalAddr() net.Addr               { return p.self.UDPAddr() }
func (p *pipe) RemoteAddr() net.Addr              { return p.peer.UDPAddr() }

// The fabric's streams must behave, or the tests on top mean little.
func TestPipeOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFabric()
		f.loss = 0.5
		f.nodes[micronet.NodeID{1}], f.nodes[micronet.NodeID{2}] = &Swim{}, &Swim{}
		a, b := newPipe(f, micronet.NodeID{1}, micronet.NodeID{2})
		for i := range 100 {
			if _, err := a.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(b)
		if err != nil || len(got) != 100 {
			t.Fatalf("ReadAll = %d bytes, %v, want 100, nil", len(got), err)
		}
		for i, v := range got {
			if int(v) != i {
				t.Fatalf("byte %d = %d", i, v)
			}
		}
	})
}
