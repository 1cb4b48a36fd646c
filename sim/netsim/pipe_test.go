package netsim

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read %d bytes, then %v", len(b), err)
	}
	return b
}

func TestPipe(t *testing.T) {
	const ms = time.Millisecond
	var q pipe
	for i, c := range []struct {
		now  time.Duration
		size int
		wait time.Duration
		fits bool
	}{
		{0, 100, 10 * ms, true},            // at 10 bytes a millisecond
		{0, 100, 20 * ms, true},            // behind the first
		{0, 101, 20 * ms, false},           // 200 of 300 bytes wait
		{0, 100, 30 * ms, true},            // fits exactly
		{0, 1, 30 * ms, false},             // full
		{10 * ms, 100, 30 * ms, true},      // the first has left
		{15 * ms, 51, 25 * ms, false},      // half a packet is still there
		{15 * ms, 50, 30 * ms, true},       // what left made room for half a packet
		{100 * ms, 999, 99900 * 1e3, true}, // larger than the queue, and alone
		{200 * ms, 1, 100 * 1e3, true},
	} {
		if wait, fits := q.admit(c.now, c.size, 10_000, 300); wait != c.wait || fits != c.fits {
			t.Errorf("step %d: admit(%v, %d) = %v, %v, want %v, %v", i, c.now, c.size, wait, fits, c.wait, c.fits)
		}
	}
}

func TestQueueBytes(t *testing.T) {
	for _, c := range []struct {
		link Link
		want int
	}{
		{Link{Bandwidth: 10_000_000}, 1_000_000},
		{Link{Bandwidth: 1000}, queueMin},
		{Link{Bandwidth: 1000, Queue: 1}, 1},
	} {
		if got := c.link.queueBytes(); got != c.want {
			t.Errorf("queue of %+v = %d, want %d", c.link, got, c.want)
		}
	}
}

func TestBytesOnTheWire(t *testing.T) {
	v4, v6 := at(addrA, 1), at(addr6, 1)
	for _, c := range []struct {
		p    packet
		want int
	}{
		{packet{proto: UDP, dst: v4, size: 100}, 128},
		{packet{proto: UDP, dst: v6, size: 100}, 148},
		{packet{proto: TCP, dst: v4}, 40},
		{packet{proto: TCP, dst: v4, size: 1460}, 1500},
		{packet{proto: TCP, dst: v4, size: 1461}, 1541},
		{packet{proto: TCP, dst: v6, size: 2 * 1440}, 3000},
		{packet{proto: Unix, size: 7}, 7},
		{packet{proto: ICMP, dst: v4}, 56},
	} {
		if got := c.p.bytes(); got != c.want {
			t.Errorf("%v with %d to %v: %d bytes, want %d", c.p.proto, c.p.size, c.p.dst, got, c.want)
		}
	}
}

func TestBandwidthSpacesDatagrams(t *testing.T) {
	opts := steady()
	opts.Link.Bandwidth, opts.Link.Queue = 1_000_000, 10_000
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		c := listenPacket(t, w.c, wild(1))
		start := time.Now()
		for range 13 {
			send(t, a, strings.Repeat("x", 972), at(addrB, 1)) // 1000 with headers: 1 ms
		}
		send(t, a, "another receiver", at(addrC, 1))
		send(t, b, "the way back", at(addrA, 1))
		for i := range 10 {
			hear(t, b, time.Second)
			wantTook(t, fmt.Sprint("datagram ", i), time.Since(start), testLatency+time.Duration(i+1)*time.Millisecond, 1)
		}
		if text, _ := hear(t, b, time.Second); text != "" || w.Stats().Queue != 3 {
			t.Errorf("heard %d more bytes, Queue = %d, want 3 of 13 dropped", len(text), w.Stats().Queue)
		}
		for _, r := range []interface{ SetReadDeadline(time.Time) error }{a, c} {
			if err := r.SetReadDeadline(time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if s := w.Stats(); s.Delivered != 12 {
			t.Errorf("Delivered = %d, want 12: other directions have bandwidths of their own", s.Delivered)
		}
	})
}

func TestDuplicatesWaitInTheQueueToo(t *testing.T) {
	inWorld(t, 1, Options{Link: Link{Bandwidth: 100, Duplicate: 1}}, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		start := time.Now()
		send(t, a, strings.Repeat("x", 972), at(addrB, 1))
		for range 2 {
			if text, _ := hear(t, b, time.Minute); text == "" || time.Since(start) < 10*time.Second {
				t.Errorf("heard %d bytes after %v, want 10s", len(text), time.Since(start))
			}
		}
	})
}

// streamTime is how long a stream from a to b takes for so many bytes.
func streamTime(t *testing.T, w *three, size int) time.Duration {
	t.Helper()
	c, s := pair(t, w)
	return transferTime(t, c, s, size)
}

func transferTime(t *testing.T, c, s *stream, size int) time.Duration {
	t.Helper()
	start := time.Now()
	go func() {
		_, _ = c.Write(make([]byte, size))
		_ = c.CloseWrite()
	}()
	if n := len(readAll(t, s)); n != size {
		t.Errorf("read %d bytes, want %d", n, size)
	}
	return time.Since(start)
}

func TestBandwidthBoundsStreams(t *testing.T) {
	const size = 4 << 20
	for _, c := range []struct {
		link Link
		slow float64 // at most so many times the time of a full pipe
	}{
		{Link{Latency: testLatency, Bandwidth: 1_000_000}, 1.1},
		{Link{Latency: time.Millisecond, Bandwidth: 10_000_000, Queue: 64 << 10}, 1.1},
		{Link{Latency: 50 * time.Millisecond, Bandwidth: 1_000_000, Queue: 50_000}, 1.3}, // half of what is under way
		{Link{Latency: testLatency, Bandwidth: 1_000_000, Loss: 0.02}, 2},
		{Link{Latency: testLatency, Bandwidth: 100_000, Queue: 100}, 2}, // one segment at a time
	} {
		inWorld(t, 1, Options{Link: c.link}, func(t *testing.T, w *three) {
			took := streamTime(t, w, size)
			full := float64(size) / float64(c.link.Bandwidth)
			if s := took.Seconds(); s < full || s > c.slow*full {
				t.Errorf("%+v: took %.2fs, want %.2fs to %.2fs", c.link, s, full, c.slow*full)
			}
		})
	}
}

// TestOnlyFullQueuesShortenTheWait: what is lost elsewhere on a path with a bottleneck is tried
// again as on any other.
func TestOnlyFullQueuesShortenTheWait(t *testing.T) {
	spell := Burst{Share: 1, Packets: 1}
	for _, link := range []Link{{Loss: 1}, {Burst: spell}, {Loss: 1, Bandwidth: 1_000_000}, {Burst: spell, Bandwidth: 1_000_000}} {
		inWorld(t, 1, steady(), func(t *testing.T, w *three) {
			stream, _ := pair(t, w)
			time.Sleep(time.Second)
			link.Latency = testLatency
			w.SetLink(w.a, w.b, link)
			write(t, stream, "x")
			time.Sleep(3 * testLatency) // it is tried again after 4
			if s := w.Stats(); s.Lost+s.Burst != 1 {
				t.Errorf("%+v: %d losses, want one", link, s.Lost+s.Burst)
			}
			time.Sleep(2 * testLatency)
			if s := w.Stats(); s.Lost+s.Burst != 2 {
				t.Errorf("%+v: %d losses after the first retry, want two", link, s.Lost+s.Burst)
			}
		})
	}
}

// TestDatagramsAndStreamsShareTheBandwidth: a flood of datagrams starves a stream, which goes on
// after it.
func TestDatagramsAndStreamsShareTheBandwidth(t *testing.T) {
	link := Link{Latency: testLatency, Bandwidth: 1_000_000}
	inWorld(t, 1, Options{Link: link}, func(t *testing.T, w *three) {
		a := listenPacket(t, w.a, wild(1))
		c, s := pair(t, w)
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			for range 5000 { // 5 s, twice the bandwidth
				send(t, a, strings.Repeat("x", 1972), at(addrB, 1))
				time.Sleep(time.Millisecond)
			}
		}()
		time.Sleep(100 * time.Millisecond)
		if took := transferTime(t, c, s, 1<<20); took < 2*time.Second || took > 9*time.Second {
			t.Errorf("the stream took %v, want twice as long as alone at least", took)
		}
		if s := w.Stats(); s.Queue < 2300 || s.Queue > 2700 {
			t.Errorf("Queue = %d, want about half of 5000 datagrams", s.Queue)
		}
	})
}
