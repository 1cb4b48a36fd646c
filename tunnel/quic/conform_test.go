package quic

import (
	"testing"
	"time"

	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

func TestConforms(t *testing.T) {
	tunneltest.Conform(t, func(t *testing.T) tunneltest.Pair {
		t.Helper()
		m := newMemNet(10 * time.Millisecond)
		return makePair(t, func(who *tunneltest.Identity, real string) Socket { return m.socket(who.ID, real, false) })
	})
}

func TestConformsOverLoopback(t *testing.T) {
	tunneltest.ConformReal(t, func(t *testing.T) tunneltest.Pair {
		t.Helper()
		hub := newLoopback()
		return makePair(t, func(who *tunneltest.Identity, _ string) Socket { return hub.socket(t, who.ID) })
	})
}

func makePair(t *testing.T, socket func(*tunneltest.Identity, string) Socket) tunneltest.Pair {
	t.Helper()
	a, b := tunneltest.NewIdentity(t, 1), tunneltest.NewIdentity(t, 2)
	p := tunneltest.Pair{IDA: a.ID, IDB: b.ID, Buffered: streamWindow + 1500}
	for _, side := range []struct {
		who  *tunneltest.Identity
		real string
		tun  *tunnel.Tunnel
	}{{a, "10.0.0.1:8085", &p.A}, {b, "10.0.0.2:8085", &p.B}} {
		tun, err := New(Config{Self: side.who.ID, Socket: socket(side.who, side.real), TLS: side.who})
		if err != nil {
			t.Fatal(err)
		}
		*side.tun = tun
	}
	return p
}
