package heartbeat

import (
	"math/rand/v2"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// shares counts how often each of n peers is chosen, in draws of two.
func shares(table *Table, now time.Time, n int, doubted func(micronet.NodeID) bool) map[micronet.NodeID]float64 {
	const rounds = 20000
	rnd := rand.New(rand.NewPCG(1, 1))
	peers := make([]micronet.NodeID, n)
	for i := range peers {
		peers[i] = testID(i + 1)
	}
	out := make(map[micronet.NodeID]float64)
	for range rounds {
		for _, id := range table.Targets(now, peers, doubted, rnd, 2) {
			out[id] += 1. / rounds
		}
	}
	return out
}

func wantShare(t *testing.T, got, want float64, what string) {
	t.Helper()
	if got < want*.8 || got > want*1.2 {
		t.Errorf("%s: %.3f of the rounds, want %.3f", what, got, want)
	}
}

func TestTargets(t *testing.T) {
	const n = 50
	chains := make([]*Chain, 0, n)
	for i := range n {
		chains = append(chains, testChain(t, epoch, testID(i+1), 1))
	}
	table := tracking(t, chains...)
	now := epoch.Add(time.Minute)
	suspect := func(id micronet.NodeID) bool { return id == testID(1) }
	all := func(micronet.NodeID) bool { return true }

	got := shares(table, now, n, nil)
	wantShare(t, got[testID(1)], 2./n, "one of all")
	got = shares(table, now, n, suspect)
	wantShare(t, got[testID(1)], 2./n+2./probeShare, "a suspect")
	table.Direct(now.Add(-lifeline), testID(1))
	got = shares(table, now, n, suspect)
	wantShare(t, got[testID(1)], .75, "a suspect that is heard: all but when both draws miss it")
	got = shares(table, now.Add(1), n, suspect)
	wantShare(t, got[testID(1)], 2./n+2./probeShare, "a suspect that was heard")

	table.Direct(now.Add(-10*sec), testID(2))
	table.Direct(now.Add(-4*sec), testID(3))
	table.Direct(now, testID(4))
	got = shares(table, now, n, all)
	wantShare(t, got[testID(4)]+got[testID(3)], 1.0, "whom a node that is cut off heard last")
	wantShare(t, got[testID(2)], 1./n, "whom it heard before")
}

func TestTargetsOfFew(t *testing.T) {
	table := NewTable(testID(0))
	rnd := rand.New(rand.NewPCG(1, 1))
	peers := []micronet.NodeID{testID(1), testID(2)}
	for n, most := range map[int]int{-1: 0, 0: 0, 1: 1, 2: 2, 9: 2} {
		got := table.Targets(epoch, peers, nil, rnd, n)
		if len(got) > most || (most > 0 && len(got) == 0) || (len(got) == 2 && got[0] == got[1]) {
			t.Errorf("%d targets wanted: %v", n, got)
		}
	}
	if got := table.Targets(epoch, nil, nil, rnd, 2); len(got) != 0 {
		t.Errorf("nobody is there: %v", got)
	}
}
