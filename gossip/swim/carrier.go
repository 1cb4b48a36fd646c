package swim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	micronet "github.com/micro/micro-net"
)

const (
	// packetQueue bounds the packets that wait for memberlist; newer ones are dropped.
	packetQueue = 256
	// streamQueue bounds the streams that wait for memberlist; newer ones are closed.
	streamQueue = 64
	// maxStreams bounds the open streams, of both directions; further ones are closed.
	maxStreams = 256
	// maxStreamsPerPeer bounds those of one peer, which lasts for one exchange each.
	maxStreamsPerPeer = 16
)

// carrier is memberlist's transport over a Transport of ours: names become identities, and
// everything that comes in is checked first.
type carrier struct {
	// constant
	swim    *Swim
	packets chan *memberlist.Packet
	streams chan net.Conn

	// set when Run starts
	ctx    context.Context // ends when the carrier closes
	cancel context.CancelFunc

	mu      sync.Mutex
	open    map[*stream]struct{}
	perPeer map[micronet.NodeID]int
	closed  bool
}

var _ memberlist.NodeAwareTransport = (*carrier)(nil)

var errNameless = errors.New("an address without a member name leads nowhere")

func newCarrier(s *Swim) *carrier {
	return &carrier{
		swim:    s,
		packets: make(chan *memberlist.Packet, packetQueue),
		streams: make(chan net.Conn, streamQueue),
		open:    make(map[*stream]struct{}),
		perPeer: make(map[micronet.NodeID]int),
	}
}

// HandlePacket takes a packet that a peer's Transport sent. from is authenticated by the
// caller. It copies payload and never blocks; it may be called from several goroutines.
func (s *Swim) HandlePacket(from micronet.NodeID, payload []byte, at time.Time) {
	if s.phase.Load() != running || from == s.self.id {
		s.dropped("not-running", from)
		return
	}
	if len(payload) > MaxPacket {
		s.dropped("too-large", from)
		return
	}
	if !s.heard(at, from) {
		s.dropped("sender-rate", from)
		return
	}
	if err := s.inspect(at, from, payload); err != nil {
		s.dropped(dropReason(err), from)
		return
	}
	p := &memberlist.Packet{Buf: bytes.Clone(payload), From: from.UDPAddr(), Timestamp: at}
	select {
	case s.carrier.packets <- p:
	default:
		s.dropped("queue-full", from)
	}
}

// heard remembers who is not a member yet, so that it gets answers. It reports whether the sender is
// within its budget.
func (s *Swim) heard(at time.Time, from micronet.NodeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.senders.spend(at, from) {
		return false
	}
	if s.table.entries[from] == nil {
		s.contacts.add(at, from)
	}
	return true
}

func dropReason(err error) string {
	switch {
	case errors.Is(err, errIncarnation):
		return "incarnation"
	case errors.Is(err, errKind):
		return "unexpected-kind"
	}
	return "malformed"
}

// HandleStream takes a stream that a peer opened with its Transport. from is authenticated by
// the caller. The stream belongs to the Swim from now on. It never blocks.
func (s *Swim) HandleStream(conn net.Conn, from micronet.NodeID) {
	if s.phase.Load() != running || from == s.self.id {
		s.refuseStream(conn, from, "not-running")
		return
	}
	st, err := s.carrier.adopt(conn, from)
	if err != nil {
		s.refuseStream(conn, from, "streams-full")
		return
	}
	select {
	case s.carrier.streams <- st:
	default:
		s.refuseStream(st, from, "streams-full")
	}
}

func (s *Swim) refuseStream(conn net.Conn, from micronet.NodeID, why string) {
	s.dropped(why, from)
	if err := conn.Close(); err != nil {
		s.reporter.report("swim.stream", err)
	}
}

// FinalAdvertiseAddr returns the identity address, whatever was configured.
func (c *carrier) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	addr := c.swim.self.id.Addr()
	return addr.Addr().AsSlice(), int(addr.Port()), nil
}

// WriteToAddress sends one packet. A Transport that fails is a network that loses packets:
// memberlist would otherwise not count the probe as failed.
func (c *carrier) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	id, err := c.target(addr)
	if err != nil {
		return time.Time{}, err
	}
	now := time.Now()
	if c.swim.phase.Load() != running {
		return now, nil
	}
	c.swim.observe(b)
	if len(b) > MaxPacket {
		c.swim.dropped("too-large", id)
		return now, nil
	}
	if err := c.swim.config.Transport.Send(id, b); err != nil {
		c.swim.dropped("send", id)
	}
	return now, nil
}

// DialAddressTimeout opens a stream.
func (c *carrier) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	id, err := c.target(addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, timeout)
	defer cancel()
	conn, err := c.swim.config.Transport.OpenStream(ctx, id)
	if err != nil {
		return nil, err
	}
	st, err := c.adopt(conn, id)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return st, nil
}

func (c *carrier) target(addr memberlist.Address) (micronet.NodeID, error) {
	id, err := parseTarget(addr.Name, addr.Addr)
	switch {
	case err != nil:
		return micronet.NodeID{}, err
	case id == c.swim.self.id || !c.swim.knows(id):
		return micronet.NodeID{}, micronet.E("swim.send", micronet.Refused, "not a member").WithPeer(id)
	}
	return id, nil
}

// WriteTo implements memberlist.Transport, which this network has no use for.
func (c *carrier) WriteTo([]byte, string) (time.Time, error) { return time.Time{}, errNameless }

// DialTimeout implements memberlist.Transport, which this network has no use for.
func (c *carrier) DialTimeout(string, time.Duration) (net.Conn, error) { return nil, errNameless }

// PacketCh implements memberlist.Transport.
func (c *carrier) PacketCh() <-chan *memberlist.Packet { return c.packets }

// StreamCh implements memberlist.Transport.
func (c *carrier) StreamCh() <-chan net.Conn { return c.streams }

// Shutdown ends all dials and streams, so that memberlist's goroutines end.
func (c *carrier) Shutdown() error {
	c.cancel()
	c.mu.Lock()
	c.closed = true
	open := make([]*stream, 0, len(c.open))
	for st := range c.open {
		open = append(open, st)
	}
	c.mu.Unlock()
	var errs error
	for _, st := range open {
		errs = errors.Join(errs, st.Close())
	}
	return errs
}

// adopt puts a stream under the carrier's control.
func (c *carrier) adopt(conn net.Conn, peer micronet.NodeID) (*stream, error) {
	st := &stream{Conn: conn, carrier: c, peer: peer, addr: net.TCPAddrFromAddrPort(peer.Addr()), left: maxStreamBytes}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	if len(c.open) >= maxStreams {
		return nil, micronet.E("swim.stream", micronet.Overloaded, "%d streams are open", maxStreams).WithPeer(peer)
	}
	if c.perPeer[peer] >= maxStreamsPerPeer {
		return nil, micronet.E("swim.stream", micronet.Overloaded, "%d streams with the peer are open", maxStreamsPerPeer).WithPeer(peer)
	}
	c.open[st] = struct{}{}
	c.perPeer[peer]++
	return st, nil
}

func (c *carrier) forget(st *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, here := c.open[st]; !here {
		return // memberlist closes twice
	}
	delete(c.open, st)
	if c.perPeer[st.peer]--; c.perPeer[st.peer] == 0 {
		delete(c.perPeer, st.peer)
	}
}
