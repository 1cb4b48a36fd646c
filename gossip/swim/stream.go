package swim

import (
	"errors"
	"fmt"
	"io"
	"net"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

const (
	// maxSyncNodes bounds the members one synchronisation may list; dead lives count.
	maxSyncNodes = 2 * maxMembers
	// maxStreamBytes bounds what is read from one stream: the state and the members with their
	// credentials.
	maxStreamBytes = gossip.MaxState + maxSyncNodes*1024
	// syncHead is enough for the header of a synchronisation, and less than the shortest one,
	// which lists at least its sender.
	syncHead = 64
)

var (
	errStreamKind = errors.New("unexpected message on a stream")
	errStreamLong = errors.New("the peer sends more than a synchronisation may hold")
)

// stream is a connection to a peer with a bound on what it may bring. memberlist allocates what
// the first message announces: that is read ahead and checked. Read is used by one goroutine.
type stream struct {
	net.Conn
	carrier *carrier
	peer    micronet.NodeID
	addr    net.Addr
	checked bool
	head    []byte // read ahead, not yet handed out
	left    int    // bytes that may still be read
}

// RemoteAddr returns the peer's identity address.
func (s *stream) RemoteAddr() net.Addr { return s.addr }

// Close closes the connection; memberlist may do so after the carrier did.
func (s *stream) Close() error {
	s.carrier.forget(s)
	if err := s.Conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Read hands out what came, once the beginning was found harmless.
func (s *stream) Read(p []byte) (int, error) {
	if !s.checked {
		if err := s.check(); err != nil {
			return 0, err
		}
		s.checked = true
	}
	if len(s.head) > 0 {
		n := copy(p, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	if s.left <= 0 {
		return 0, errStreamLong
	}
	n, err := s.Conn.Read(p[:min(len(p), s.left)])
	s.left -= n
	return n, err
}

// check reads the first message's type, and the whole header when it is a synchronisation.
func (s *stream) check() error {
	buf := make([]byte, syncHead)
	n, err := io.ReadAtLeast(s.Conn, buf, 1)
	if err != nil {
		return err
	}
	switch buf[0] {
	case kindPing, kindAck, kindError:
	case kindPushPull:
		m, err := io.ReadFull(s.Conn, buf[n:])
		if err != nil {
			return err
		}
		n += m
		if err := checkSync(buf[1:n]); err != nil {
			return err
		}
	default:
		return fmt.Errorf("%w: type %d", errStreamKind, buf[0])
	}
	s.head = buf[:n]
	s.left -= n
	return nil
}

// checkSync reads the header of a synchronisation and refuses one that announces too much.
func checkSync(b []byte) error {
	r := mapReader{rest: b}
	fields, err := r.header()
	if err != nil {
		return err
	}
	for range fields {
		key, v, err := r.field()
		if err != nil {
			return err
		}
		limit := uint64(0)
		switch string(key) {
		case "Nodes":
			limit = maxSyncNodes
		case "UserStateLen":
			limit = gossip.MaxState
		default:
			continue
		}
		if !v.isNumber || v.number > limit {
			return errStreamLong
		}
	}
	return nil
}
