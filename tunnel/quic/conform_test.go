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
		return makePair(t, func(who *identity, real string) Socket { return m.socket(who.id, real, false) })
	})
}

func TestConformsOverLoopback(t *testing.T) {
	tunneltest.ConformReal(t, func(t *testing.T) tunneltest.Pair {
		t.Helper()
		hub := newLoopback()
		return makePair(t, func(who *identity, _ string) Socket { return hub.socket(t, who.id) })
	})
}

func makePair(t *testing.T, socket func(*identity, string) Socket) tunneltest.Pair {
	t.Helper()
	a, b := newIdentity(t, 1), newIdentity(t, 2)
	p := tunneltest.Pair{IDA: a.id, IDB: b.id, Buffered: streamWindow + 1500}
	for _, side := range []struct {
		who  *identity
		real string
		tun  *tunnel.Tunnel
	}{{a, "10.0.0.1:8085", &p.A}, {b, "10.0.0.2:8085", &p.B}} {
		tun, err := New(Config{Self: side.who.id, Socket: socket(side.who, side.real), TLS: side.who})
		if err != nil {
			t.Fatal(err)
		}
		*side.tun = tun
	}
	return p
}
