package api

import (
	"net"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxConns bounds the connections of one listener; further ones are closed at once. Each listener
	// has its own, so that whoever fills TCP leaves the socket open.
	maxConns = 1024
	// maxConnsPerUser bounds those of one user of the socket, reservedConns are kept from all of them for
	// root and the daemon's own user: nobody can lock out who would end it.
	maxConnsPerUser = 512
	reservedConns   = 64
)

// slots counts the open connections of a listener by user. TCP, where nobody can be told apart, is one
// user.
type slots struct {
	mu     sync.Mutex // a leaf
	total  int
	common int // without those that may do all
	of     map[int]int
}

func newSlots() *slots { return &slots{of: map[int]int{}} }

// take counts a connection, or refuses it.
func (s *slots) take(a access) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxConns {
		return false
	}
	if a.isBounded() {
		if s.common >= maxConns-reservedConns || s.of[a.cred.UID] >= maxConnsPerUser {
			return false
		}
		s.common++
		s.of[a.cred.UID]++
	}
	s.total++
	return true
}

func (s *slots) give(a access) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if !a.isBounded() {
		return
	}
	s.common--
	if s.of[a.cred.UID]--; s.of[a.cred.UID] == 0 {
		delete(s.of, a.cred.UID)
	}
}

// isBounded reports whether the caller is one of many users of the socket.
func (a access) isBounded() bool { return a.socket && a.right != mayAll }

// bounded is a listener with a limit on open connections. Who calls is found out once, at Accept.
type bounded struct {
	net.Listener
	admit  func(net.Conn) (access, bool) // false: it may not even ask
	slots  *slots
	events *micronet.Events
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		a, welcome := b.admit(c)
		switch {
		case !welcome:
			b.refuse(c, "source")
		case !b.slots.take(a):
			// Overloaded: refusing at once beats a hanging client.
			b.refuse(c, "too-many-connections")
		default:
			return &slotConn{Conn: c, access: a, slots: b.slots}, nil
		}
	}
}

func (b *bounded) refuse(c net.Conn, why string) {
	b.events.PacketDropped(micronet.PacketDrop{Where: "api", Why: why})
	_ = c.Close()
}

// slotConn gives its slot back once, and is ended by a client that takes nothing.
type slotConn struct {
	net.Conn
	access access
	slots  *slots
	once   sync.Once
}

// Write bounds each write by itself: an answer that is held for days may be long.
func (c *slotConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(takeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *slotConn) Close() error {
	c.once.Do(func() { c.slots.give(c.access) })
	return c.Conn.Close()
}

// unwrap finds the connection below the slot: credentials and half-close are powers of that one.
func unwrap(c net.Conn) net.Conn {
	if s, ok := c.(*slotConn); ok {
		return s.Conn
	}
	return c
}

// accessOfConn is what was found out when the connection was accepted.
func accessOfConn(c net.Conn) access {
	if s, ok := c.(*slotConn); ok {
		return s.access
	}
	return access{}
}
