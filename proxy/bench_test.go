package proxy

import (
	"context"
	"io"
	"net/netip"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// BenchmarkPumpTCP is bulk through Pump over loopback, which the kernel splices; BenchmarkPumpCopy
// the same with a connection that it cannot.
func BenchmarkPumpTCP(b *testing.B)  { benchPump(b, func(s Stream) Stream { return s }) }
func BenchmarkPumpCopy(b *testing.B) { benchPump(b, func(s Stream) Stream { return opaque{s} }) }

// opaque hides what a stream is.
type opaque struct{ Stream }

func benchPump(b *testing.B, wrap func(Stream) Stream) {
	client, x := tcpPair(b)
	backend, y := tcpPair(b)
	done := make(chan Carried, 1)
	go func() { done <- Pump(local{x}, wrap(local{y})) }()
	read := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, backend)
		backend.Close()
		read <- n
	}()
	chunk := make([]byte, 256<<10)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := client.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	client.CloseWrite()
	if n := <-read; n != int64(b.N)*int64(len(chunk)) {
		b.Fatalf("%d bytes arrived", n)
	}
	<-done
}

// BenchmarkDial is what Dial adds to opening a stream: the pick, the account, the wait.
func BenchmarkDial(b *testing.B) {
	for _, fresh := range []bool{false, true} {
		name := "answered"
		if fresh {
			name = "fresh"
		}
		b.Run(name, func(b *testing.B) {
			d := NewDialer(DialerConfig{Routes: oneRoute{}, Opener: ready(fresh), Self: nodeID(255)})
			b.ReportAllocs()
			for b.Loop() {
				c, err := d.Dial(context.Background(), micronet.Destination{Service: "web"}, micronet.Caller{})
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Answered(context.Background()); err != nil {
					b.Fatal(err)
				}
				c.Close()
			}
		})
	}
}

type oneRoute struct{}

func (oneRoute) Pick(time.Time, micronet.Destination, []micronet.InstanceKey) (Ticket, error) {
	return Ticket{Route: micronet.Route{Node: nodeID(1)}, Done: func(time.Time, Outcome) {}}, nil
}

// ready opens streams that are accepted already.
type ready bool

func (r ready) Fresh(micronet.NodeID) bool { return bool(r) }
func (ready) OpenService(context.Context, micronet.Route, micronet.Caller) (Opened, error) {
	a, _ := memPair(netip.AddrPort{}, netip.AddrPort{})
	return local{a}, nil
}

func BenchmarkVIPs(b *testing.B) {
	v := mustVIPs(b, "127.80.0.0/12")
	d := micronet.Destination{Service: "web"}
	mustOf(b, v, d)
	b.ReportAllocs()
	for b.Loop() {
		mustOf(b, v, d)
	}
}
