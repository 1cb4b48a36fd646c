package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

const second = time.Second

// splitRun is a run of twelve minutes: 20 nodes in two groups, split from 30 s to 600 s, and a node
// killed at 640 s that comes back at 665 s. The same figures each time.
func splitRun() *Run {
	rng := rand.New(rand.NewPCG(7, 7))
	r := &Run{
		Scenario: "a long partition heals", Seed: 7, Fidelity: "full", Nodes: 20,
		About:   "Two regions lose each other for nine and a half minutes. When the link is back, the mesh is one again within 15 s, and no caller of web notices.",
		Command: "go run ./cmd/micro-net-sim run testdata/scenarios/partition.yaml --seed 7",
		Virtual: 720 * second, Wall: 8213 * time.Millisecond, Events: 4_812_334,
		Expectations: []Expectation{
			{"converged 15s after the heal", true, "converged 3.4s after the heal"},
			{"always no_loops, no_ghosts, no_unauthorized", true, "checked 7,200 times"},
			{"success rate of web at least 99.9% outside of 30s to 45s", false, "99.82 % (21 of 11,640 failed)"},
		},
		Failures: []Failure{
			{At: 33 * second, Node: "us4", Invariant: "success_rate", Text: "web: 12 requests failed in 5 s; the router kept choosing eu2, which is on the other side"},
			{At: 720 * second, Invariant: "success_rate", Text: "web: 99.82 % went well, want 99.9 %"},
		},
		Faults: []Span{
			{From: 30 * second, To: 600 * second, Kind: "partition", Label: "eu1-eu10 | us1-us10"},
			{From: 200 * second, To: 260 * second, Kind: "slow", Label: "us3 ×100"},
			{From: 300 * second, To: 310 * second, Kind: "flap", Label: "eu1 – eu2"},
			{From: 320 * second, To: 330 * second, Kind: "flap", Label: "eu1 – eu2"},
			{From: 640 * second, To: 640 * second, Kind: "kill", Label: "us7"},
			{From: 640 * second, To: 665 * second, Kind: "restart", Label: "us7, disk lost"},
		},
	}
	for at := time.Duration(0); at <= r.Virtual; at += 2 * second {
		r.Samples = append(r.Samples, splitSample(at, rng))
	}
	r.Traffic = []Traffic{splitTraffic("web", 80, rng), splitTraffic("ledger", 12, rng)}
	splitNodes(r, rng)
	return r
}

// cut tells how far the belief has come from the truth at a time: 0 one mesh, 1 two meshes.
func cut(at time.Duration) float64 {
	switch {
	case at < 30*second, at >= 604*second:
		return 0
	case at < 42*second:
		return float64(at-30*second) / float64(12*second)
	case at < 600*second:
		return 1
	}
	return 1 - float64(at-600*second)/float64(4*second)
}

func splitSample(at time.Duration, rng *rand.Rand) Sample {
	c := cut(at)
	s := Sample{
		At: at, Members: 1 - c*200/380, Catalog: 1 - c*0.5, Alive: 20 - 10*c, Dead: 10 * max(0, 2*c-1),
		GossipBytes: 900 + 150*rng.Float64() + 2600*c*(1-c)*4, Goroutines: 640 + rng.IntN(30), Heap: uint64(48e6 + 6e6*rng.Float64()),
	}
	s.Suspect = 20 - s.Alive - s.Dead
	if at >= 640*second && at < 672*second {
		s.Members, s.Alive, s.Dead = s.Members-19.0/380, 19, 1
	}
	return s
}

func splitTraffic(service string, perBucket int, rng *rand.Rand) Traffic {
	t := Traffic{Service: service}
	for at := time.Duration(0); at < 720*second; at += 5 * second {
		b := Bucket{At: at, OK: perBucket + rng.IntN(5), P50: time.Duration(38+4*rng.Float64()) * time.Millisecond}
		b.P99 = b.P50*2 + time.Duration(rng.IntN(30))*time.Millisecond
		if at >= 30*second && at < 45*second {
			b.Failed, b.P99 = 7, 1800*time.Millisecond
		}
		t.Buckets = append(t.Buckets, b)
	}
	return t
}

func splitNodes(r *Run, rng *rand.Rand) {
	for i := range 20 {
		n := TopologyNode{Name: fmt.Sprintf("eu%d", i+1), Group: "eu"}
		if i >= 10 {
			n = TopologyNode{Name: fmt.Sprintf("us%d", i-9), Group: "us"}
		}
		r.Topology.Nodes = append(r.Topology.Nodes, n)
		r.PerNode = append(r.PerNode, NodeStat{
			Name: n.Name, GossipBytes: 850 + 400*rng.Float64(), Sent: 60_000 + rng.Uint64N(9000),
			Received: 60_000 + rng.Uint64N(9000), Dropped: rng.Uint64N(40), Memory: 1_900_000 + rng.Uint64N(400_000), Members: 20, Records: 24,
		})
		r.States = append(r.States, NodeState{n.Name, "members: 20\nalive: 20\ncatalog:\n  digest: 5f0c77\n  records: 24\n"})
	}
	for i, a := range r.Topology.Nodes {
		for _, b := range r.Topology.Nodes[:i] {
			e := Edge{A: a.Name, B: b.Name, RTT: 2 * time.Millisecond, State: EdgeDirect}
			if a.Group != b.Group {
				e.RTT = time.Duration(84+rng.IntN(9)) * time.Millisecond
			}
			r.Topology.Edges = append(r.Topology.Edges, e)
		}
	}
	r.Topology.Edges[17].State, r.Topology.Edges[118].State, r.Topology.Edges[160].State = EdgeRelay, EdgeRelay, EdgeDown
	splitLog(r, rng)
}

func splitLog(r *Run, rng *rand.Rand) {
	kinds := []string{"ping", "ack", "suspect", "refute", "push-pull"}
	for at := 580 * second; at < 720*second; at += 200*time.Millisecond + time.Duration(rng.IntN(1e8)) {
		a, b := r.Topology.Nodes[rng.IntN(20)], r.Topology.Nodes[rng.IntN(20)]
		kind := kinds[rng.IntN(len(kinds))]
		r.Log = append(r.Log, Event{At: at, Node: a.Name, Kind: kind, Peer: b.Name, Detail: fmt.Sprintf("incarnation %d, %d bytes", rng.IntN(5), 40+rng.IntN(900))})
	}
	r.Log = append(r.Log, Event{At: 720 * second, Kind: "end"})
}

// nasty is a name that tries to be syntax everywhere.
const nasty = "</title></style><script>alert(1)</script><img src=http://evil/>\"'&;#%%{init}%% end\x00\x1b[31m\u202e\n]]>--><![CDATA["

// nastyRun has nasty in each text, and figures that are none.
func nastyRun() *Run {
	nan := math.NaN()
	return &Run{
		Scenario: nasty, About: nasty, Fidelity: nasty, Command: nasty, Seed: math.MaxUint64, Virtual: second,
		Failures:     []Failure{{-second, nasty, nasty, nasty}, {math.MaxInt64, nasty, nasty, nasty}},
		Expectations: []Expectation{{nasty, false, nasty}},
		Faults:       []Span{{0, 0, nasty, nasty}, {second, second / 2, nasty, nasty}, {-second, math.MaxInt64, nasty, "x"}},
		Samples:      []Sample{{Members: nan, Catalog: math.Inf(1), Alive: -1, GossipBytes: nan, Dead: 3}, {At: second / 2, Members: 1}},
		Traffic:      []Traffic{{nasty, []Bucket{{At: 0, OK: -1, Failed: 2, P50: -second, P99: 5}}}, {Service: nasty}},
		Topology: Topology{
			Nodes: []TopologyNode{{nasty, nasty}, {"b", nasty}, {"c", ""}},
			Edges: []Edge{{nasty, "b", second, nasty}, {"b", "c", -1, EdgeDown}, {"nobody", "c", 0, EdgeRelay}},
		},
		PerNode: []NodeStat{{Name: nasty, GossipBytes: nan}, {Name: nasty, GossipBytes: math.Inf(1)}},
		Log:     []Event{{0, nasty, nasty, nasty, nasty}, {1, "a", "end", "b", "end"}, {2, "", "", "", ""}, {3, "-", "\"", "\xff", " x "}},
		States:  []NodeState{{nasty, nasty}},
	}
}

// longRun is far more than a page holds, all of it nasty.
func longRun(n int) *Run {
	r := nastyRun()
	r.Virtual = time.Duration(n) * second
	long := ""
	for len(long) < 30_000 {
		long += `"<&'>` + nasty
	}
	r.About, r.Scenario, r.Command = long, long, long
	groups := make([]string, 700)
	for i := range groups {
		groups[i] = fmt.Sprint(long, i)
	}
	for i := range n {
		at := time.Duration(i) * second
		r.Samples = append(r.Samples, Sample{
			At: at, Members: float64(i%7) / 7, Catalog: float64(i%5) / 5, Alive: float64(i % 90), Suspect: float64(i % 13),
			Dead: float64(i % 11), GossipBytes: float64(i%977) * 1.37, Goroutines: 1 + i%333, Heap: uint64(1 + i%99991),
		})
		r.Log = append(r.Log, Event{at, long, long, long, long})
		r.Failures = append(r.Failures, Failure{at, long, long, long})
		r.Expectations = append(r.Expectations, Expectation{long, i%2 == 0, long})
		r.Faults = append(r.Faults, Span{at, at + second/3, fmt.Sprint(nasty, i%50), long})
		r.Topology.Nodes = append(r.Topology.Nodes, TopologyNode{fmt.Sprint(nasty, i), groups[i%len(groups)]})
		r.Topology.Edges = append(r.Topology.Edges, Edge{fmt.Sprint(nasty, i/2%500), fmt.Sprint(nasty, i%500), second, EdgeRelay})
		r.PerNode = append(r.PerNode, NodeStat{Name: long, GossipBytes: float64(i)})
		r.States = append(r.States, NodeState{long, long})
	}
	for s := range 40 {
		t := Traffic{Service: fmt.Sprint(long, s)}
		for i := range n / 10 {
			t.Buckets = append(t.Buckets, Bucket{time.Duration(i) * 10 * second, i % 100, i % 3, time.Duration(i % 1e5), time.Duration(i % 1e6)})
		}
		r.Traffic = append(r.Traffic, t)
	}
	return r
}
