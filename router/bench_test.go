package router

import (
	"fmt"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func benchCandidates(n int) []Candidate {
	cs := make([]Candidate, 0, n)
	for i := range n {
		cs = append(cs, instance(i, tags("v1", "v2"), rtt(time.Duration(i%50)*time.Millisecond)))
	}
	return cs
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		r := newRouter(1, benchCandidates(n)...)
		b.Run(fmt.Sprintf("serial/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchPick(b, r)
			}
		})
		b.Run(fmt.Sprintf("parallel/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					benchPick(b, r)
				}
			})
		})
	}
}

func benchPick(b *testing.B, r *Router) {
	if _, err := r.Pick(start, web, nil); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPickNarrowed(b *testing.B) {
	r := newRouter(1, benchCandidates(1000)...)
	to := micronet.Destination{Service: "web", Tag: "v2", Cluster: "main"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Pick(start, to, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPickStartDone(b *testing.B) {
	r := newRouter(1, benchCandidates(100)...)
	b.ReportAllocs()
	for b.Loop() {
		c, err := r.Pick(start, web, nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Start(c)
		r.Done(start, c, Outcome{Latency: time.Millisecond})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		cs := benchCandidates(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRouter(1)
			b.ReportAllocs()
			for b.Loop() {
				r.Update(start, cs)
			}
		})
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	r := newRouter(1, benchCandidates(100)...)
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Pick(start, web, nil) }); n != 0 {
		t.Errorf("Pick allocates %v times, want none", n)
	}
}
