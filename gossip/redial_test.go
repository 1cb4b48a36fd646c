package gossip

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

var redialStart = time.Unix(1_800_000_000, 0)

func redialID(i int) micronet.NodeID { return micronet.NodeID{0: byte(i), 1: byte(i >> 8), 31: 1} }

func newTestRedial(seed uint64) *Redial { return NewRedial(rand.New(rand.NewPCG(seed, 1))) }

func lostPeers(n int) []RedialPeer {
	var peers []RedialPeer
	for i := range n {
		peers = append(peers, RedialPeer{ID: redialID(i), Heard: redialStart, Status: micronet.Dead})
	}
	return peers
}

// attempt is one dial of a simulated hour.
type attempt struct {
	at time.Duration // since the start
	id micronet.NodeID
}

// simulate asks Next whenever it said to, for an hour in which every attempt fails: at once, or
// without a Result.
func simulate(t *testing.T, r *Redial, silent bool) []attempt {
	t.Helper()
	var all []attempt
	for now := redialStart; now.Before(redialStart.Add(time.Hour)); {
		ids, at := r.Next(now)
		for _, id := range ids {
			all = append(all, attempt{now.Sub(redialStart), id})
			if !silent {
				r.Result(now, id, false)
			}
		}
		if !silent && len(ids) > 0 {
			_, at = r.Next(now)
		}
		if !at.After(now) {
			t.Fatalf("Next at %v asks to be called at %v", now, at)
		}
		now = at
	}
	return all
}

func TestRedialNeverRests(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100} {
		for _, silent := range []bool{false, true} {
			r := newTestRedial(1)
			r.Update(redialStart, lostPeers(n))
			all := simulate(t, r, silent)
			tries := make(map[micronet.NodeID]int)
			for i, a := range all {
				tries[a.id]++
				if i == 0 || a.at == 0 {
					continue
				}
				if gap := a.at - all[i-1].at; gap > RedialInterval || gap < redialSpacing {
					t.Errorf("%d lost, silent %v: %v between two attempts", n, silent, gap)
				}
			}
			// Nobody is left out: in the worst case all wait for the interval in turn.
			for i := range n {
				if least := int(time.Hour / max(redialMax, time.Duration(n)*RedialInterval) / 2); tries[redialID(i)] < least {
					t.Errorf("%d lost, silent %v: peer %d was tried %d times, want %d", n, silent, i, tries[redialID(i)], least)
				}
			}
		}
	}
}

func TestRedialStartsWithThree(t *testing.T) {
	r := newTestRedial(1)
	peers := lostPeers(10)
	for i := range peers {
		peers[i].Status = "" // remembered from the address book
		if i < 5 {
			peers[i].Heard = redialStart.Add(-48 * time.Hour)
		}
	}
	r.Update(redialStart, peers)
	first, at := r.Next(redialStart)
	if len(first) != 3 {
		t.Fatalf("%d peers at once, want 3", len(first))
	}
	for _, id := range first {
		if id[0] < 5 {
			t.Errorf("peer %d, not heard for two days, comes first", id[0])
		}
	}
	if again, _ := r.Next(redialStart); again != nil {
		t.Errorf("asked again at once: %v", again)
	}
	if !at.Equal(redialStart.Add(redialSpacing)) && at.After(redialStart.Add(redialSpread)) {
		t.Errorf("the next attempt is %v later", at.Sub(redialStart))
	}
}

// Nodes that lose the same peer at the same moment do not dial it all at once.
func TestRedialSpreadsTheFirstAttempt(t *testing.T) {
	slots := make(map[time.Time]bool)
	for seed := range uint64(20) {
		r := newTestRedial(seed)
		peers := lostPeers(1)
		peers[0].Status = micronet.Alive
		r.Update(redialStart, peers)
		if ids, at := r.Next(redialStart); ids != nil || !at.IsZero() {
			t.Fatalf("Next = %v, %v with nobody lost", ids, at)
		}
		later := redialStart.Add(time.Hour)
		peers[0].Status, peers[0].Heard = micronet.Dead, later
		r.Update(later, peers)
		ids, at := r.Next(later)
		if ids != nil || at.Before(later) || at.After(later.Add(redialSpread)) {
			t.Fatalf("Next = %v, %v later, want within %v", ids, at.Sub(later), redialSpread)
		}
		slots[at] = true
	}
	if len(slots) < 15 {
		t.Errorf("20 nodes use %d moments", len(slots))
	}
}

func TestRedialDialsOnlyTheLost(t *testing.T) {
	r := newTestRedial(1)
	var peers []RedialPeer
	statuses := []micronet.NodeStatus{micronet.Alive, micronet.Suspect, micronet.Left, micronet.Revoked, micronet.Dead, ""}
	for i, s := range statuses {
		peers = append(peers, RedialPeer{ID: redialID(i), Heard: redialStart, Status: s})
	}
	r.Update(redialStart, peers)
	for _, a := range simulate(t, r, false) {
		if s := statuses[a.id[0]]; s != micronet.Dead && s != "" {
			t.Fatalf("a peer that is %q was dialled", s)
		}
	}
	now := redialStart.Add(time.Hour)
	r.Update(now, peers[:4])
	if ids, at := r.Next(now); ids != nil || !at.IsZero() {
		t.Errorf("Next = %v, %v after the lost ones are gone", ids, at)
	}
	r.Result(now, redialID(5), false) // forgotten meanwhile
}

func TestRedialBacksOffAndForgives(t *testing.T) {
	for attempts, want := range map[int]time.Duration{
		1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 5: 32 * time.Second, 6: time.Minute, 1000: time.Minute,
	} {
		if got := redialBackoff(attempts); got != want {
			t.Errorf("redialBackoff(%d) = %v, want %v", attempts, got, want)
		}
	}
	r := newTestRedial(1)
	peers := lostPeers(1)
	r.Update(redialStart, peers)
	simulate(t, r, false)
	if got := r.peers[redialID(0)].attempts; got < 500 {
		t.Fatalf("%d attempts in an hour", got)
	}
	for _, s := range []micronet.NodeStatus{micronet.Alive, micronet.Dead} {
		peers[0].Status = s
		r.Update(redialStart.Add(time.Hour), peers)
	}
	if got := r.peers[redialID(0)].attempts; got != 0 {
		t.Errorf("%d attempts remembered after the peer came back", got)
	}
}

// A peer that answered is left in peace until membership had time to say so.
func TestRedialWaitsAfterASuccess(t *testing.T) {
	r := newTestRedial(1)
	r.Update(redialStart, lostPeers(2))
	ids, _ := r.Next(redialStart)
	r.Result(redialStart, ids[0], true)
	r.Result(redialStart, ids[1], false)
	next, _ := r.Next(redialStart.Add(RedialInterval))
	if !slices.Equal(next, ids[1:]) {
		t.Errorf("Next = %v, want the one that did not answer", next)
	}
}

func TestRedialIsDeterministic(t *testing.T) {
	run := func() string {
		r := newTestRedial(42)
		r.Update(redialStart, lostPeers(30))
		return fmt.Sprint(simulate(t, r, true))
	}
	first, second := run(), run()
	if first != second {
		t.Error("the same seed gives another run")
	}
}
