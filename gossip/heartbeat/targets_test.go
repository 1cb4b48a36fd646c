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

// Whoever was heard lately goes before others, while nobody is doubted.
func TestTargetsHeard(t *testing.T) {
	const n = 50
	chains := make([]*Chain, 0, n)
	for i := range n {
		chains = append(chains, testChain(t, epoch, testID(i+1), 1))
	}
	table := tracking(t, chains...)
	now := epoch.Add(time.Minute)
	table.Direct(now.Add(-lately), testID(1))
	got := shares(table, now, n, nil)
	wantShare(t, got[testID(1)], .75, "one that was heard: all but when both draws miss it")
	got = shares(table, now.Add(1), n, nil)
	wantShare(t, got[testID(1)], 2./n, "one that was heard before")
}

// Whose packet shows that it lacks beats is answered, once.
func TestTargetsBehind(t *testing.T) {
	const n = 50
	peers := make([]micronet.NodeID, n)
	for i := range peers {
		peers[i] = testID(i + 1)
	}
	for _, c := range []struct {
		what   string
		beat   uint32        // that the peer tells of, of five that are known
		wait   time.Duration // until it tells
		later  time.Duration // until targets are chosen
		answer bool
	}{
		{"two beats behind", 3, 0, 0, true},
		{"one beat behind", 4, 0, 0, false},
		{"as much as is known", 5, 0, 0, false},
		{"of one that was not heard for long, nobody lacks anything", 3, fresh, 0, false},
		{"some rounds later", 3, 0, lately - 1, true},
		{"too late", 3, 0, lately, false},
	} {
		chain := testChain(t, epoch, testID(1), 1)
		table := tracking(t, chain, testChain(t, epoch, testID(2), 1))
		now := epoch.Add(10 * sec)
		receive(t, table, now, testID(1), beat(chain, 5, 0))
		now = now.Add(c.wait)
		receive(t, table, now, testID(2), beat(chain, c.beat, 0))
		now = now.Add(c.later)
		asked := 0
		for seed := range uint64(100) {
			first := answer(now, table.tracked(peers), rand.New(rand.NewPCG(seed, 1)), make([]micronet.NodeID, 0, 3))
			asked += len(first)
			if len(first) > 0 && first[0] != testID(2) {
				t.Errorf("%s: node %v is answered", c.what, first[0])
			}
		}
		if want := map[bool]int{true: 1}[c.answer]; asked != want {
			t.Errorf("%s: %d answers, want %d", c.what, asked, want)
		}
	}
}

// Who has just started, or again, is told first how the others are.
func TestTargetsStarted(t *testing.T) {
	peers := []micronet.NodeID{testID(1), testID(2)}
	table := tracking(t, testChain(t, epoch, testID(1), 1), testChain(t, epoch, testID(2), 1))
	rnd := rand.New(rand.NewPCG(1, 1))
	greeted := func(now time.Time) (out []micronet.NodeID) {
		for range 10 {
			out = append(out, answer(now, table.tracked(peers), rnd, make([]micronet.NodeID, 0, 3))...)
		}
		return out
	}
	if got := greeted(epoch.Add(lately)); len(got) != 0 {
		t.Errorf("%v are greeted late", got)
	}
	now := epoch.Add(time.Minute)
	if err := table.Track(now, testID(2), testChain(t, now, testID(2), 2).Anchor()); err != nil {
		t.Fatal(err)
	}
	if got := greeted(now); len(got) != 1 || got[0] != testID(2) {
		t.Errorf("%v are greeted, want the one that has started again", got)
	}
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
