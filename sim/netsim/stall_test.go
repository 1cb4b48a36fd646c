package netsim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestStallHoldsDatagramsBothWays(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		w.b.Stall(10 * time.Second)
		start := time.Now()
		for i := range 3 {
			send(t, a, fmt.Sprint("in", i), at(addrB, 1))
			send(t, b, fmt.Sprint("out", i), at(addrA, 1))
		}
		if got, _ := hear(t, a, 9*time.Second); got != "" || !w.b.Stalled() {
			t.Fatalf("%q left a stalled host", got)
		}
		for i := range 3 {
			if got, _ := hear(t, b, time.Minute); got != fmt.Sprint("in", i) {
				t.Errorf("datagram %d is %q", i, got)
			}
		}
		wantTook(t, "what waited for the host", time.Since(start), 10*time.Second, 1)
		for i := range 3 {
			if got, _ := hear(t, a, time.Minute); got != fmt.Sprint("out", i) {
				t.Errorf("datagram %d is %q", i, got)
			}
		}
		wantTook(t, "what the host sent", time.Since(start), 10*time.Second+testLatency, 2)
		if w.b.Woke() != 10*time.Second || w.a.Woke() != 0 {
			t.Errorf("woke up at %s, and %s", w.b.Woke(), w.a.Woke())
		}
		if s := w.Stats(); w.b.Stalled() || s.Sent != 6 || s.Delivered != 6 {
			t.Errorf("stalled %t, %+v", w.b.Stalled(), s)
		}
	})
}

func TestStallIsBounded(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		w.b.Stall(time.Second)
		for range inboxMax + 7 {
			send(t, a, "in", at(addrB, 1))
		}
		kilo := strings.Repeat("x", 1000)
		for range stallSendMax/1000 + 5 {
			send(t, b, kilo, at(addrC, 1))
		}
		c := listenPacket(t, w.c, wild(1))
		inside, outside := 0, 0
		for got, _ := hear(t, b, 2*time.Second); got != ""; got, _ = hear(t, b, time.Second) {
			inside++
		}
		for got, _ := hear(t, c, time.Second); got != ""; got, _ = hear(t, c, time.Second) {
			outside++
		}
		if inside != inboxMax || outside != stallSendMax/1000 {
			t.Errorf("%d datagrams came in, %d went out", inside, outside)
		}
		if s := w.Stats(); s.Overflow != 12 || s.Sent != s.Delivered+s.Overflow {
			t.Errorf("%+v", s)
		}
	})
}

func TestStallDuringAStallExtendsIt(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		start := time.Now()
		w.b.Stall(10 * time.Second)
		send(t, a, "early", at(addrB, 1))
		time.Sleep(5 * time.Second)
		w.b.Stall(20 * time.Second)
		w.b.Stall(time.Second) // no shorter
		if got, _ := hear(t, b, time.Minute); got != "early" {
			t.Errorf("got %q", got)
		}
		wantTook(t, "the stall", time.Since(start), 25*time.Second, 1)
		w.b.Stall(0)
		if w.b.Stalled() {
			t.Error("a stall of nothing")
		}
	})
}

func TestStallHoldsStreamsInOrder(t *testing.T) {
	inWorld(t, 3, Options{Link: Link{Latency: testLatency, Loss: 0.2, Jitter: testLatency}}, func(t *testing.T, w *three) {
		client, server := pair(t, w)
		want := func(from, to *stream) <-chan string {
			read := make(chan string, 1)
			go func() {
				b := make([]byte, 0, 4000)
				for len(b) < 4000 {
					n, err := to.Read(b[len(b):cap(b)])
					if err != nil {
						break
					}
					b = b[:len(b)+n]
				}
				read <- string(b)
			}()
			return read
		}
		up, down := want(client, server), want(server, client)
		var sent strings.Builder
		for i := range 1000 {
			text := fmt.Sprintf("%04d", i)
			sent.WriteString(text)
			write(t, client, text)
			write(t, server, text)
			if i%100 == 50 {
				w.b.Stall(700 * time.Millisecond)
			}
			time.Sleep(7 * time.Millisecond)
		}
		if got := <-up; got != sent.String() {
			t.Error("what went to the stalled host is not what was written")
		}
		if got := <-down; got != sent.String() {
			t.Error("what came from the stalled host is not what was written")
		}
	})
}

func TestStallMakesDialsWait(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		listen(t, w.b, wild(80))
		listen(t, w.a, wild(80))
		w.b.Stall(10 * time.Second)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err := w.a.Dial(ctx, netip.Addr{}, at(addrB, 80))
		wantErr(t, "a dial with a time limit", err, context.DeadlineExceeded)
		dial(t, w.a, at(addrB, 80))
		wantTook(t, "a dial of the stalled host", time.Since(start), 10*time.Second+testLatency, 3)

		w.b.Stall(10 * time.Second)
		start = time.Now()
		dial(t, w.b, at(addrA, 80))
		wantTook(t, "a dial by the stalled host", time.Since(start), 10*time.Second+2*testLatency, 3)
		w.b.Stall(300 * time.Second)
		start = time.Now()
		if _, err := w.a.Dial(t.Context(), netip.Addr{}, at(addrB, 80)); !isTimeout(err) {
			t.Errorf("a dial of a host that stands still for ever: %v after %s", err, time.Since(start))
		}
	})
}

func TestStallHoldsWhatStaysInside(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		b := listenPacket(t, w.b, wild(1))
		w.b.Stall(time.Second)
		start := time.Now()
		send(t, b, "self", at(netip.MustParseAddr("127.0.0.1"), 1))
		if got, _ := hear(t, b, time.Minute); got != "self" {
			t.Errorf("got %q", got)
		}
		wantTook(t, "loopback", time.Since(start), time.Second+localLatency, 2)
	})
}

func TestTimersGoOnInAStall(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		b := listenPacket(t, w.b, wild(1))
		w.b.Stall(time.Minute)
		start := time.Now()
		if got, _ := hear(t, b, time.Second); got != "" || time.Since(start) != time.Second {
			t.Errorf("%q after %s", got, time.Since(start))
		}
	})
}

func TestCrashEndsAStall(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		client, _ := pair(t, w)
		w.b.Stall(time.Minute)
		send(t, a, "in", at(addrB, 1))
		send(t, b, "out", at(addrA, 1))
		write(t, client, "lost with the crash")
		time.Sleep(time.Second)
		w.b.Crash()
		if w.b.Stalled() {
			t.Error("a crashed host stands still")
		}
		time.Sleep(time.Second)
		if s := w.Stats(); s.Down < 3 {
			t.Errorf("%+v", s)
		}
		w.b.Stall(time.Second) // of a dead host: nothing
		w.b.Restart()
		b = listenPacket(t, w.b, wild(1))
		send(t, a, "again", at(addrB, 1))
		if got, _ := hear(t, b, time.Second); got != "again" {
			t.Errorf("after the restart: %q", got)
		}
		_, err := client.Read(make([]byte, 1))
		if !errors.Is(err, net.ErrClosed) && err == nil {
			t.Error("the connection survived a crash")
		}
		if got, _ := hear(t, a, 2*time.Minute); got != "" {
			t.Errorf("the dead host sent %q", got)
		}
	})
}

// A stall is no loss: the same packets arrive in the same order with and without one.
func TestStallChangesNoFate(t *testing.T) {
	fates := func(stall time.Duration) (out string) {
		inWorld(t, 9, Options{Link: Link{Latency: testLatency, Loss: 0.5}}, func(t *testing.T, w *three) {
			a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
			w.b.Stall(stall)
			for i := range 100 {
				send(t, a, fmt.Sprint(i, " "), at(addrB, 1))
			}
			for got, _ := hear(t, b, time.Minute); got != ""; got, _ = hear(t, b, time.Second) {
				out += got
			}
		})
		return out
	}
	if with, without := fates(10*time.Second), fates(0); with != without || len(with) < 100 {
		t.Errorf("with a stall %s\nwithout %s", with, without)
	}
}

// The end of a stall is not lost by a network that loses much.
func TestStalledStreamsMeetLossAfterwards(t *testing.T) {
	inWorld(t, 2, steady(), func(t *testing.T, w *three) {
		client, server := pair(t, w)
		w.b.Stall(time.Second)
		want := ""
		for i := range 20 {
			text := fmt.Sprintf("%02d ", i)
			want += text
			write(t, server, text)
		}
		w.SetDefaultLink(Link{Latency: testLatency, Loss: 0.5})
		got := ""
		for len(got) < len(want) {
			got += read(t, client)
		}
		if got != want {
			t.Errorf("read %q", got)
		}
	})
}

func TestADialWaitsForTheEndOfALongStall(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		listen(t, w.a, wild(80))
		w.b.Stall(300 * time.Second)
		start, sent := time.Now(), w.Stats().Sent
		dial(t, w.b, at(addrA, 80))
		wantTook(t, "the dial", time.Since(start), 300*time.Second+2*testLatency, 3)
		if n := w.Stats().Sent - sent; n != 3 {
			t.Errorf("%d packets for a handshake", n)
		}
	})
}

// What arrives while the packets of a stall are delivered comes after them.
func TestTheEndOfAStallKeepsTheOrder(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		var order []int
		p := func(i int) *packet {
			return &packet{proto: UDP, from: w.a.stack, to: w.b, dst: at(addrB, 1), arrive: func(*packet) Why { order = append(order, i); return "" }}
		}
		w.b.Stall(time.Second)
		w.mu.Lock()
		for i := range inboxMax + 1 {
			w.handleLocked(p(i))
		}
		w.mu.Unlock()
		time.Sleep(time.Second + 10*time.Nanosecond)
		w.mu.Lock()
		delivered := len(order)
		if delivered == 0 || delivered == inboxMax {
			t.Errorf("%d packets are delivered: nothing is tested", delivered)
		}
		for i := range delivered + 1 {
			w.handleLocked(p(inboxMax + i))
		}
		w.mu.Unlock()
		time.Sleep(time.Second)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(order) != inboxMax+delivered || w.stats.Overflow != 2 {
			t.Errorf("%d packets of %d are delivered", len(order), inboxMax+delivered)
		}
		for i := range order {
			if order[i] != i {
				t.Fatalf("packet %d is delivered as number %d", order[i], i)
			}
		}
	})
}
