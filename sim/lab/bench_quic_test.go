//go:build linux

package lab

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// A plain tunnel over quic-go with its defaults and io.Copy: one connection between two hosts, a
// stream per TCP connection, mutual TLS. It knows no services, no membership, no policy, no limits
// and no errors: it is the least that a QUIC tunnel costs.

// benchStreams is more than any load has connections at once.
const benchStreams = 1 << 16

// benchKeepAlive keeps the connection while loads wait for a quiet machine.
const benchKeepAlive = 10 * time.Second

// benchQUICServer ends the streams: ADDR:PORT DIR.
func benchQUICServer(args []string) error {
	conf, err := benchTLS(args[1], "b")
	if err != nil {
		return err
	}
	ln, err := quic.ListenAddr(args[0], conf, &quic.Config{MaxIncomingStreams: benchStreams})
	if err != nil {
		return err
	}
	for {
		conn, err := ln.Accept(context.Background())
		if err != nil {
			return err
		}
		go func() {
			for {
				s, err := conn.AcceptStream(context.Background())
				if err != nil {
					return
				}
				go benchQUICDeliver(s)
			}
		}()
	}
}

func benchQUICDeliver(s *quic.Stream) {
	var port [2]byte
	if _, err := io.ReadFull(s, port[:]); err != nil {
		return
	}
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(binary.BigEndian.Uint16(port[:])))))
	if err != nil {
		s.CancelRead(1)
		s.CancelWrite(1)
		return
	}
	benchCopy(c.(*net.TCPConn), s)
}

// benchQUICClient listens on loopback and opens the streams: SERVER DIR PORT...
func benchQUICClient(args []string) error {
	conf, err := benchTLS(args[1], "a")
	if err != nil {
		return err
	}
	conn, err := quic.DialAddr(context.Background(), args[0], conf, &quic.Config{KeepAlivePeriod: benchKeepAlive})
	if err != nil {
		return err
	}
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
				go benchQUICCarry(conn, c.(*net.TCPConn), port)
			}
		}()
	}
	<-conn.Context().Done()
	return context.Cause(conn.Context())
}

func benchQUICCarry(conn *quic.Conn, c *net.TCPConn, port []byte) {
	s, err := conn.OpenStreamSync(context.Background())
	if err != nil {
		_ = c.Close()
		return
	}
	if _, err := s.Write(port); err != nil {
		_ = c.Close()
		return
	}
	benchCopy(c, s)
}

// benchCopy carries both directions to their ends.
func benchCopy(c *net.TCPConn, s *quic.Stream) {
	var group sync.WaitGroup
	group.Go(func() {
		_, _ = io.Copy(c, s)
		_ = c.CloseWrite()
	})
	_, _ = io.Copy(s, c)
	_ = s.Close()
	group.Wait()
	s.CancelRead(0)
	_ = c.Close()
}
