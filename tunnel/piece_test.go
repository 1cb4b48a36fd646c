package tunnel

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestHalves(t *testing.T) {
	a, b := micronet.NodeID{1}, micronet.NodeID{2}
	h := halves{of: map[halfKey]half{}}
	for i, c := range []struct {
		from   micronet.NodeID
		kind   pieceKind
		number uint32
		data   string
		want   string
	}{
		{a, pieceFirst, 1, "ab", ""},
		{a, pieceFirst, 1, "xx", ""}, // a copy
		{b, pieceSecond, 1, "BC", ""},
		{a, pieceSecond, 1, "c", "abc"},
		{a, pieceSecond, 1, "c", ""}, // of nothing
		{b, pieceFirst, 1, "A", "ABC"},
	} {
		whole, dropped := h.add(c.from, &piece{c.kind, c.number, []byte(c.data)})
		if string(whole) != c.want || dropped {
			t.Errorf("step %d: %q, dropped %v, want %q", i, whole, dropped, c.want)
		}
	}
	for n := range uint32(3 * maxHalves) {
		h.add(b, &piece{pieceFirst, 100 + n, []byte("x")})
	}
	if len(h.of) > maxHalves || len(h.order) > maxHalves {
		t.Errorf("%d halves in an order of %d are kept, at most %d may be", len(h.of), len(h.order), maxHalves)
	}
	if _, dropped := h.add(b, &piece{pieceFirst, 1 << 20, []byte("x")}); !dropped {
		t.Error("a full table gave nothing up")
	}
}

func FuzzPiece(f *testing.F) {
	f.Add(appendPiece(nil, &piece{pieceFirst, 7, []byte("half")}))
	f.Add(appendPiece(nil, &piece{pieceTest, 1, make([]byte, 100)}))
	f.Add([]byte{byte(pieceAnswer), 0, 0, 0, 1})
	f.Add([]byte{9})
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := parsePiece(in)
		if err != nil {
			return
		}
		if !bytes.Equal(appendPiece(nil, &p), in) {
			t.Fatalf("%x became %+v", in, p)
		}
		h := halves{of: map[halfKey]half{}}
		h.add(micronet.NodeID{}, &p)
	})
}

// Over a path that has become too narrow, large QUIC packets arrive in two halves and are whole again;
// over one that is wide again they go as they are.
func TestLargePacketsOverANarrowPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw := newTestNet()
		a, b := newNode(t, nw, newTestKey(1), 1, addrA), newNode(t, nw, newTestKey(2), 2, addrB)
		a.SetLocal(a.localSide(1, addrA))
		b.SetLocal(b.localSide(1, addrB))
		a.AddPeer(b.peer(1, addrB))
		b.AddPeer(a.peer(1, addrA))
		a.run()
		b.run()
		send := func(from, n int) {
			for i := range n {
				a.sendQUIC(t, b.key.id.UDPAddr(), fmt.Sprintf("%05d", from+i)+strings.Repeat("x", 1400))
				time.Sleep(50 * time.Millisecond)
			}
		}
		arrived := func(from, n int) (count int) {
			got := strings.Join(b.quic(), "\n")
			for i := range n {
				count += strings.Count(got, fmt.Sprintf(" %05d%s", from+i, strings.Repeat("x", 1400)))
			}
			return count
		}
		send(0, 100)
		if n := arrived(0, 100); n != 100 {
			t.Fatalf("%d of 100 packets arrived over a wide path", n)
		}
		nw.setDrop(func(_, _ netip.AddrPort, data []byte) bool { return len(data) > 1252 })
		send(100, 60) // three seconds
		send(200, 100)
		if n := arrived(200, 100); n != 100 {
			t.Errorf("%d of 100 packets arrived over a narrow path", n)
		}
		whole := nw.sent(func(d sentDatagram) bool { return len(d.data) > 1400 && isQUIC(d.data) })
		if len(whole) < 110 || len(whole) > 160 {
			t.Errorf("%d packets were sent whole until the path was found narrow", len(whole))
		}
		nw.setDrop(nil)
		send(300, 120) // six seconds
		before := len(nw.sent(func(d sentDatagram) bool { return len(d.data) > 1400 && isQUIC(d.data) }))
		send(500, 50)
		if n := arrived(500, 50); n != 50 {
			t.Errorf("%d of 50 packets arrived over a path that is wide again", n)
		}
		if n := len(nw.sent(func(d sentDatagram) bool { return len(d.data) > 1400 && isQUIC(d.data) })) - before; n != 50 {
			t.Errorf("%d of 50 packets were sent whole over a path that is wide again", n)
		}
		if c := b.Counters(); c["dropped_half"]+c["dropped_rejoined-full"]+c["dropped_malformed"] != 0 {
			t.Errorf("drops: %v", nonZero(c))
		}
		a.stop()
		b.stop()
	})
}
