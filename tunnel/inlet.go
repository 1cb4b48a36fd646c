package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxInlet bounds the datagrams that wait for the read loop. Trunks wait when it is full, and TCP tells their senders.
	maxInlet = 256
	// inletTurn is how many of them are taken in a row until the UDP socket gets its turn, which waits for inletGlance
	// where nothing has come: few would make what comes over TCP slow.
	inletTurn   = maxInlet
	inletGlance = time.Millisecond
)

// inlet brings what came over trunks into the read loop, which waits at the UDP socket: a read deadline that has passed
// wakes it.
type inlet struct {
	queue chan inletItem
	conn  net.PacketConn
	taken atomic.Int32 // in this turn

	mu       sync.Mutex // a leaf
	woken    bool       // the deadline was set to wake the reader
	deadline time.Time  // that the reader's user has set
}

// inletItem is a datagram and the trunk it came over.
type inletItem struct {
	data []byte
	from netip.AddrPort
}

func newInlet(conn net.PacketConn) *inlet {
	return &inlet{queue: make(chan inletItem, maxInlet), conn: conn}
}

// put queues a datagram, waiting for room. false: ctx or the trunk ended.
func (i *inlet) put(ctx context.Context, ended <-chan struct{}, item inletItem) bool {
	select {
	case i.queue <- item:
		i.wake()
		return true
	case <-ctx.Done():
	case <-ended:
	}
	return false
}

func (i *inlet) wake() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.woken {
		i.woken = i.conn.SetReadDeadline(time.Unix(1, 0)) == nil
	}
}

// wokeUp reports whether a read failed only because the inlet has something, and lets the next read wait again.
func (i *inlet) wokeUp(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.passedLocked() {
		return false
	}
	i.woken = false
	return i.conn.SetReadDeadline(i.deadline) == nil
}

// passedLocked reports whether the reader's user wants no more reads.
func (i *inlet) passedLocked() bool { return !i.deadline.IsZero() && !time.Now().Before(i.deadline) }

// setDeadline is the SetReadDeadline of the connection that QUIC has.
func (i *inlet) setDeadline(t time.Time) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.deadline, i.woken = t, false
	err := i.conn.SetReadDeadline(t)
	if err == nil && len(i.queue) > 0 && !i.passedLocked() {
		i.woken = i.conn.SetReadDeadline(time.Unix(1, 0)) == nil
	}
	return err
}

// glance lets the next read look whether there is anything at the socket.
func (i *inlet) glance() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.taken.Store(0)
	if i.passedLocked() {
		return
	}
	i.woken = i.conn.SetReadDeadline(time.Now().Add(inletGlance)) == nil
}

// nextInlet returns the next QUIC packet that came over a trunk, nil when there is none. All others before it are handled.
func (u *Underlay) nextInlet(b []byte) (n int, identity *net.UDPAddr) {
	for {
		if u.inlet.taken.Load() >= inletTurn {
			u.inlet.glance()
			return 0, nil
		}
		select {
		case item := <-u.inlet.queue:
			u.inlet.taken.Add(1)
			if n, identity = u.takeInlet(b, item); identity != nil {
				return n, identity
			}
		default:
			u.inlet.taken.Store(0)
			return 0, nil
		}
	}
}

func (u *Underlay) takeInlet(b []byte, item inletItem) (int, *net.UDPAddr) {
	now := time.Now()
	if isQUIC(item.data) {
		if identity, _ := u.inQUIC(now, len(item.data), item.from, netip.Addr{}); identity != nil {
			return copy(b, item.data), identity
		}
		return 0, nil
	}
	u.own(now, item.data, item.from, netip.Addr{})
	if r, ok := u.pieces.take(); ok {
		return copy(b, r.data), r.identity
	}
	return 0, nil
}
