package netsim

import (
	"fmt"
	"testing"
	"time"
)

func TestSlowHostsQueuePackets(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		w.b.Slow(100, 20*time.Microsecond)
		start := time.Now()
		for i := range 10 {
			send(t, a, fmt.Sprint(i), at(addrB, 1))
		}
		for i := range 10 {
			if got, _ := hear(t, b, time.Second); got != fmt.Sprint(i) {
				t.Errorf("datagram %d is %q", i, got)
			}
			wantTook(t, "datagram "+fmt.Sprint(i), time.Since(start), testLatency+time.Duration(i+1)*2*time.Millisecond, 1)
		}
		start = time.Now()
		for i := range 10 {
			send(t, b, fmt.Sprint(i), at(addrA, 1))
		}
		for i := range 10 {
			hear(t, a, time.Second)
			wantTook(t, "answer "+fmt.Sprint(i), time.Since(start), testLatency+time.Duration(i+1)*2*time.Millisecond, 2)
		}
		w.b.Slow(0, 0)
		start = time.Now()
		send(t, a, "fast", at(addrB, 1))
		hear(t, b, time.Second)
		wantTook(t, "a fast host", time.Since(start), testLatency, 1)
	})
}

func TestSlowHostsAreBounded(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		w.b.Slow(1000, time.Millisecond)
		for range slowMax + 10 {
			send(t, a, "x", at(addrB, 1))
		}
		heard := 0
		for got, _ := hear(t, b, time.Hour); got != ""; got, _ = hear(t, b, time.Minute) {
			heard++
		}
		if s := w.Stats(); heard < slowMax || heard > slowMax+1 || int(s.Overflow) != slowMax+10-heard {
			t.Errorf("%d datagrams arrive, %+v", heard, s)
		}
		for range slowMax + 10 {
			send(t, b, "x", at(addrA, 1))
		}
		if s := w.Stats(); int(s.Overflow) < 2*9 {
			t.Errorf("nothing that it sends is dropped: %+v", s)
		}
	})
}

// Streams keep their order when the speed changes while they run, and while the host stalls.
func TestSlowStreamsKeepTheirOrder(t *testing.T) {
	inWorld(t, 5, Options{Link: Link{Latency: testLatency, Loss: 0.1}}, func(t *testing.T, w *three) {
		client, server := pair(t, w)
		read := make(chan string, 1)
		go func() {
			got := ""
			for len(got) < 4000 {
				b := make([]byte, 4000)
				n, err := server.Read(b)
				if err != nil {
					break
				}
				got += string(b[:n])
			}
			read <- got
		}()
		want := ""
		for i := range 1000 {
			text := fmt.Sprintf("%04d", i)
			want += text
			write(t, client, text)
			switch i % 100 {
			case 10:
				w.b.Slow(100, 100*time.Microsecond)
			case 40:
				w.b.Stall(50 * time.Millisecond)
			case 70:
				w.b.Slow(0, 0)
			}
			time.Sleep(3 * time.Millisecond)
		}
		if got := <-read; got != want {
			t.Error("what was read is not what was written")
		}
	})
}
