//go:build linux

package lab

import (
	"fmt"
	"testing"
	"time"
)

// What far hosts get of each other: over a router with delay and loss, which is this process.

// benchFar are the figures.
var benchFar = []benchFigure{
	{"bulk1", "bulk, 1 connection", "Gbit/s", 4},
	{"many.p50", "64 B on 100 connections, 1,000/s in all, p50", "µs", 0},
	{"many.p99", "the same, p99", "µs", 0},
}

const (
	benchFarDelay = 25 * time.Millisecond // one way
	benchFarLoss  = 0.01                  // each way
	benchFarConns = 100
	benchFarRate  = 1000

	benchMux = "one TLS connection"
)

// benchmarkFar lets those take turns that carry connections over a far way.
func benchmarkFar(t *testing.T) {
	wan := New(t).Wan()
	a := wan.Host("a", Place{Link: Link{Delay: benchFarDelay, Loss: benchFarLoss}})
	w := benchWorldOf(t, *benchSeconds, a, wan.Host("b", Place{}))
	w.serve()
	defer func() { stopAll(w.serving) }()
	peers := chosen(available(append([]benchPeer{{benchMux, nil, startMux}}, benchPeerList()...)), func(p benchPeer) string { return p.name })
	var results benchResults
	for _, p := range peers {
		results.add(p.name, *benchRounds-1, nil)
	}
	for round := range *benchRounds {
		for _, p := range inTurn(peers, round) {
			results.add(p.name, round, w.far(p))
			fmt.Printf("round %d: %s done\n", round+1, p.name)
		}
	}
	fmt.Printf("\n### Far apart: %v there and back, %.0f %% loss each way\n\n%s\n", 2*benchFarDelay, 100*benchFarLoss, results.table(benchFar))
	fmt.Printf("Same-round ratios, median (min–max):\n\n%s\n", results.compare(benchMicroNet, benchFar))
}

// far is a turn of a peer.
func (w *benchWorld) far(p benchPeer) benchSample {
	w.t.Helper()
	r := p.start(w)
	r.name = p.name
	defer stopAll(r.programs)
	w.awaitEcho(r.at(benchPong))
	s := benchSample{}
	if p.name != benchMux { // it has no windows
		w.bulk(r, s, "bulk1", 1)
	}
	w.latency(r, s, "many", "rate", w.period(), fmt.Sprint(benchFarConns), fmt.Sprint(benchFarRate))
	return s
}

func startMux(w *benchWorld) benchRunning {
	w.t.Helper()
	at := w.b.Addr + ":9444"
	server := w.b.Start(benchProgram(w.t, "mux-server", at, w.dir)...)
	eventually(w.t, benchReady, "it listens", func() bool {
		c, err := w.b.dial(at, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	client := w.a.Start(benchProgram(w.t, "mux-client", at, w.dir, fmt.Sprint(benchPong))...)
	return benchRunning{at: loopback, programs: []*Process{client, server}}
}
