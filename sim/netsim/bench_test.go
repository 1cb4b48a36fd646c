package netsim

import (
	"net"
	"testing"
	"time"
)

// BenchmarkHeap pushes and pops with a thousand events waiting.
func BenchmarkHeap(b *testing.B) {
	h := eventHeap{taken: map[time.Duration]struct{}{}}
	for i := range uint64(1000) {
		h.push(time.Duration(mix(i)%1e9), nil)
	}
	b.ReportAllocs()
	var i uint64
	for b.Loop() {
		i++
		h.push(time.Duration(mix(i)%1e9), nil)
		h.pop()
	}
}

// BenchmarkFate decides about one packet on a path with every fault.
func BenchmarkFate(b *testing.B) {
	l := Link{Latency: testLatency, Jitter: time.Millisecond, Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, MTU: 1500}
	b.ReportAllocs()
	var i uint64
	for b.Loop() {
		i++
		l.fate(nth(1, i), 1200)
	}
}

// BenchmarkDatagram sends, carries and reads one datagram, without a goroutine between.
func BenchmarkDatagram(b *testing.B) {
	w := newThree(1, Options{})
	src, err := w.a.ListenPacket(b.Context(), wild(8085))
	if err != nil {
		b.Fatal(err)
	}
	dst, err := w.b.ListenPacket(b.Context(), wild(8085))
	if err != nil {
		b.Fatal(err)
	}
	to := net.UDPAddrFromAddrPort(at(addrB, 8085))
	buf := make([]byte, 1200)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := src.WriteTo(buf, to); err != nil {
			b.Fatal(err)
		}
		for wait, _ := w.step(); wait > 0; wait, _ = w.step() {
		}
		if _, _, err := dst.ReadFrom(buf); err != nil {
			b.Fatal(err)
		}
	}
}
