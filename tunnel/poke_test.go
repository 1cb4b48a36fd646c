package tunnel

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// doors gives each socket another port of a test network's address.
type doors struct {
	micronet.Network
	nw   *testNet
	addr string
}

func (d doors) ListenPacket(context.Context, netip.AddrPort) (net.PacketConn, error) {
	return d.nw.listen(d.addr), nil
}

// A poke arrives from a port that is none of the peer's, and changes nothing but that it was noted.
func TestPoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		const door = "10.0.0.1:40000"
		a.env.Net = doors{nw: nw, addr: door}
		a.contact(t, b)
		began := time.Now()
		if err := a.Poke(t.Context(), b.key.id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if at := b.PokedAt(a.key.id); !at.After(began) || !a.PokedAt(b.key.id).IsZero() {
			t.Errorf("b was poked at %v, a at %v", at, a.PokedAt(b.key.id))
		}
		from := netip.MustParseAddrPort(door)
		if got := nw.sent(func(d sentDatagram) bool { return d.from == from && d.to == b.conn.addr }); len(got) != pokes {
			t.Errorf("%d packets left by the door", len(got))
		}
		if got := nw.sent(func(d sentDatagram) bool { return d.to == from }); len(got) != 0 {
			t.Errorf("b answered %d times", len(got))
		}
		for _, w := range b.ways(a.key.id) {
			if w.Remote == from {
				t.Error("where the poke came from counts as a way to the peer")
			}
		}
		nw.setDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		_, _ = a.Survey(t.Context(), []micronet.NodeID{b.key.id})
		time.Sleep(time.Minute)
		if err := a.Poke(t.Context(), b.key.id); micronet.KindOf(err) != micronet.Unreachable {
			t.Errorf("a peer that does not answer: %v", err)
		}
	})
}
