package quic

import (
	"context"
	"io"
	"sync"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// benchPair is two tunnels over real loopback sockets, the second of which echoes or swallows.
func benchPair(b *testing.B, serve func(tunnel.Inbound)) (*Tunnel, micronet.NodeID) {
	b.Helper()
	hub := newLoopback()
	var tunnels [2]*Tunnel
	ids := [2]*tunneltest.Identity{tunneltest.NewIdentity(b, 1), tunneltest.NewIdentity(b, 2)}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for i, who := range ids {
		tun, err := New(Config{Self: who.ID, Socket: hub.socket(b, who.ID), TLS: who})
		if err != nil {
			b.Fatal(err)
		}
		tunnels[i] = tun
		group.Go(func() { _ = tun.Run(ctx) })
		<-tun.Ready()
	}
	b.Cleanup(func() { cancel(); group.Wait() })
	group.Go(func() {
		for {
			in, err := tunnels[1].Accept(ctx)
			if err != nil {
				return
			}
			go serve(in)
		}
	})
	return tunnels[0], ids[1].ID
}

func benchCall(b *testing.B, from *Tunnel, to micronet.NodeID, o tunnel.Opening, buf []byte) {
	b.Helper()
	s, err := from.Open(b.Context(), to, o)
	if err != nil {
		b.Error(err)
		return
	}
	if _, err = s.Write(buf); err == nil {
		_, err = io.ReadFull(s, buf)
	}
	if err != nil {
		b.Error(err)
	}
	_ = s.Close()
}

var benchOpening = tunnel.Opening{Purpose: tunnel.PurposeService, Service: "web", Instance: "web-1"}

func BenchmarkOpenEchoClose(b *testing.B) {
	from, to := benchPair(b, echoStream)
	benchCall(b, from, to, benchOpening, make([]byte, 100))
	b.ReportAllocs()
	buf := make([]byte, 100)
	for b.Loop() {
		benchCall(b, from, to, benchOpening, buf)
	}
}

func BenchmarkOpenEchoCloseParallel(b *testing.B) {
	from, to := benchPair(b, echoStream)
	benchCall(b, from, to, benchOpening, make([]byte, 100))
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 100)
		for pb.Next() {
			benchCall(b, from, to, benchOpening, buf)
		}
	})
}

func BenchmarkBulk(b *testing.B) {
	done := make(chan int64)
	from, to := benchPair(b, func(in tunnel.Inbound) {
		_ = in.Accept()
		n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{in}, make([]byte, 128<<10))
		done <- n
		_ = in.Close()
	})
	s, err := from.Open(b.Context(), to, benchOpening)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	_ = s.CloseWrite()
	<-done
	b.StopTimer()
	b.Logf("MTU %d, GSO %v", from.Connections()[0].MTU, from.linksLocked()[0].conn.ConnectionState().GSO)
	_ = s.Close()
}
