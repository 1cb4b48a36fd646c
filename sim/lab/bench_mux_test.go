//go:build linux

package lab

import (
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
)

// Many connections over one of TLS on TCP, as multiplexers do it: a frame is a stream (4 bytes), a length (2 bytes) and
// bytes; a stream begins with its port. It has no windows and no ends, for echoes of small messages it needs none: what
// it shows is what one lost packet does to all streams.

// mux is one end.
type mux struct {
	conn    *tls.Conn
	mu      sync.Mutex // held while a frame is written
	streams sync.Map   // of uint32 to net.Conn
}

func (m *mux) send(stream uint32, b []byte) error {
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 6+len(b)), stream)
	frame = append(binary.BigEndian.AppendUint16(frame, uint16(len(b))), b...)
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.conn.Write(frame)
	return err
}

// carry sends what comes from a connection.
func (m *mux) carry(stream uint32, c net.Conn) {
	b := make([]byte, 4<<10)
	for {
		n, err := c.Read(b)
		if err != nil || m.send(stream, b[:n]) != nil {
			return
		}
	}
}

// deliver hands what comes to the streams; opened makes the one of a new number.
func (m *mux) deliver(opened func(stream uint32, first []byte) error) error {
	head := make([]byte, 6)
	for {
		if _, err := io.ReadFull(m.conn, head); err != nil {
			return err
		}
		b := make([]byte, binary.BigEndian.Uint16(head[4:]))
		if _, err := io.ReadFull(m.conn, b); err != nil {
			return err
		}
		stream := binary.BigEndian.Uint32(head)
		if c, known := m.streams.Load(stream); known {
			_, _ = c.(net.Conn).Write(b) // whoever reads no more has gone
		} else if err := opened(stream, b); err != nil {
			return err
		}
	}
}

// benchMuxServer ends the streams of one client after the other: ADDR:PORT DIR.
func benchMuxServer(args []string) error {
	conf, err := benchTLS(args[1], "b")
	if err != nil {
		return err
	}
	ln, err := tls.Listen("tcp", args[0], conf)
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		m := &mux{conn: conn.(*tls.Conn)}
		_ = m.deliver(func(stream uint32, first []byte) error {
			c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(binary.BigEndian.Uint16(first)))))
			if err == nil {
				m.streams.Store(stream, c)
				go m.carry(stream, c)
			}
			return err
		})
	}
}

// benchMuxClient listens on loopback and opens the streams: SERVER DIR PORT...
func benchMuxClient(args []string) error {
	conf, err := benchTLS(args[1], "a")
	if err != nil {
		return err
	}
	conn, err := tls.Dial("tcp", args[0], conf)
	if err != nil {
		return err
	}
	m := &mux{conn: conn}
	last := uint32(0)
	var mu sync.Mutex
	for _, arg := range args[2:] {
		ln, err := net.Listen("tcp", "127.0.0.1:"+arg)
		if err != nil {
			return err
		}
		port := binary.BigEndian.AppendUint16(nil, uint16(benchNumber(arg)))
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				last++
				stream := last
				mu.Unlock()
				m.streams.Store(stream, c)
				if m.send(stream, port) == nil {
					go m.carry(stream, c)
				}
			}
		}()
	}
	return m.deliver(func(uint32, []byte) error { return nil })
}
