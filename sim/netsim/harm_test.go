package netsim

import (
	"bytes"
	"math/bits"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCorruptionFlipsOneBit(t *testing.T) {
	inWorld(t, 1, Options{Link: Link{Latency: testLatency, Corrupt: 0.3, Duplicate: 1}}, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		sent := []byte("0123456789abcdef")
		flipped, spots := 0, map[string]bool{}
		for range 1000 {
			if _, err := a.WriteTo(sent, net.UDPAddrFromAddrPort(at(addrB, 1))); err != nil {
				t.Fatal(err)
			}
			if string(sent) != "0123456789abcdef" {
				t.Fatal("the sender's buffer has changed")
			}
			first, _ := hear(t, b, time.Second)
			second, _ := hear(t, b, time.Second)
			n := 0
			for i := range sent {
				n += bits.OnesCount8(first[i] ^ sent[i])
			}
			if n > 1 || second != string(sent) {
				t.Fatalf("heard %q and %q, want one bit of the first changed at most", first, second)
			}
			flipped += n
			if n == 1 {
				spots[first] = true
			}
		}
		near(t, "corrupted", float64(flipped)/1000, 0.3)
		if len(spots) < 100 || w.Stats().Corrupted != uint64(flipped) {
			t.Errorf("%d of 128 bits were hit, Corrupted = %d, want nearly all, and %d", len(spots), w.Stats().Corrupted, flipped)
		}
	})
}

func TestTruncationCutsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newThree(1, Options{Link: Link{Latency: testLatency, Truncate: 0.5}})
		told := 0
		w.Trace = func(e Event) {
			if e.Step == Delivered && e.Why == WhyTruncated && e.Size < 100 && len(e.Data) == e.Size {
				told++
			}
		}
		t.Cleanup(runWorld(t, w.World))
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		text, cut := strings.Repeat("x", 100), 0
		for range 1000 {
			send(t, a, text, at(addrB, 1))
			got := make([]byte, 200)
			n, _, err := b.ReadFrom(got)
			if err != nil || string(got[:n]) != text[:n] {
				t.Fatalf("heard %q, %v", got[:n], err)
			}
			if n < 100 {
				cut++
			}
		}
		near(t, "truncated", float64(cut)/1000, 0.5)
		if told != cut || w.Stats().Truncated != uint64(cut) {
			t.Errorf("%d cut, %d traced, Truncated = %d", cut, told, w.Stats().Truncated)
		}
	})
}

func TestStreamsAreNeverHarmed(t *testing.T) {
	inWorld(t, 1, Options{Link: Link{Latency: testLatency, Corrupt: 1, Truncate: 1}}, func(t *testing.T, w *three) {
		c, s := pair(t, w)
		sent := bytes.Repeat([]byte("0123456789"), 10_000)
		go func() {
			_, _ = c.Write(sent)
			_ = c.CloseWrite()
		}()
		if !bytes.Equal(readAll(t, s), sent) {
			t.Error("a stream was changed on the way")
		}
	})
}

func TestEmptyDatagramsAreNotHarmed(t *testing.T) {
	p := &packet{proto: UDP}
	if q := p.harmed(fate{harm: WhyCorrupt, spot: 5}); q != p {
		t.Error("an empty datagram was harmed")
	}
}
