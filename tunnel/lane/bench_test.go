package lane

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

// loopback is the system's network.
type loopback struct{ micronet.Network }

func (loopback) Listen(ctx context.Context, at netip.AddrPort) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", at.String())
}

func (loopback) Dial(ctx context.Context, _ netip.Addr, to netip.AddrPort) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", to.String())
}

// benchPair runs two nodes over loopback; b serves streams.
func benchPair(b *testing.B, serve func(tunnel.Inbound)) (*testNode, micronet.NodeID) {
	b.Helper()
	f := newField()
	env := micronet.Env{Net: loopback{}}
	one, two := f.newNode(b, env, tunneltest.NewIdentity(b, 1), "127.0.0.1:0"), f.newNode(b, env, tunneltest.NewIdentity(b, 2), "127.0.0.1:0")
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, n := range []*testNode{one, two} {
		group.Go(func() { _ = n.Run(ctx) })
		<-n.Ready()
	}
	group.Go(func() {
		for {
			in, err := two.Accept(ctx)
			if err != nil {
				return
			}
			group.Go(func() { serve(in) })
		}
	})
	b.Cleanup(func() { cancel(); group.Wait() })
	return one, two.self
}

func echo(in tunnel.Inbound) {
	if in.Accept() == nil {
		_, _ = io.Copy(in, in)
	}
	_ = in.Close()
}

func benchOpen(b *testing.B, from *testNode, to micronet.NodeID) tunnel.Outbound {
	b.Helper()
	out, err := from.Open(b.Context(), to, program)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func BenchmarkOpenEchoClose(b *testing.B) {
	from, to := benchPair(b, echo)
	buf := make([]byte, 64)
	for b.Loop() {
		out := benchOpen(b, from, to)
		if _, err := out.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := out.CloseWrite(); err != nil {
			b.Fatal(err)
		}
		if got, err := io.ReadAll(out); err != nil || len(got) != len(buf) {
			b.Fatalf("%d bytes and %v", len(got), err)
		}
		_ = out.Close()
	}
	b.ReportMetric(float64(from.Counters()["sessions"])/float64(b.N), "lanes/op")
}

func BenchmarkEcho(b *testing.B) {
	from, to := benchPair(b, echo)
	out := benchOpen(b, from, to)
	defer out.Abort()
	buf := make([]byte, 64)
	for b.Loop() {
		if _, err := out.Write(buf); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(out, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBulk(b *testing.B) {
	from, to := benchPair(b, func(in tunnel.Inbound) {
		if in.Accept() == nil {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{in}, make([]byte, 64<<10))
		}
		_ = in.Close()
	})
	out := benchOpen(b, from, to)
	buf := make([]byte, 64<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := out.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	if err := out.CloseWrite(); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadAll(out); err != nil {
		b.Fatal(err)
	}
}
