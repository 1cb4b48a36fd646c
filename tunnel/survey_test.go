package tunnel

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// contact surveys one peer.
func (n *testNode) contact(t *testing.T, to *testNode) Contact {
	t.Helper()
	got, err := n.Survey(context.Background(), []micronet.NodeID{to.key.id, newTestKey(77).id})
	if err != nil || len(got) != 1 || got[0].Peer != to.key.id || len(got[0].Ways) == 0 {
		t.Fatalf("survey: %+v, %v", got, err)
	}
	return got[0]
}

// dropLarger has packets from one address vanish that are larger than a size.
func (nw *testNet) dropLarger(from netip.AddrPort, size int) {
	nw.setDrop(func(f, _ netip.AddrPort, b []byte) bool { return f == from && len(b) > size })
}

func TestSurveyFindsWhatAPathCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		for _, c := range []struct{ passes, carries, lost int }{
			{1500, 1452, 0}, {1452, 1452, 0}, {1451, 1422, 1452}, {1252, 1252, 1332}, {1251, 1200, 1252}, {900, 1, 1200},
		} {
			nw.dropLarger(a.conn.addr, c.passes)
			if k := a.contact(t, b); k.Carries != c.carries || k.Lost != c.lost {
				t.Errorf("where %d bytes pass: carries %d, lost %d, want %d and %d", c.passes, k.Carries, k.Lost, c.carries, c.lost)
			}
		}
		nw.dropLarger(b.conn.addr, 1252)
		if k := a.contact(t, b); k.Carries != 1452 || k.Lost != 0 {
			t.Errorf("narrow on the way back alone: %+v", k)
		}
		if k := b.contact(t, a); k.Carries != 1252 || k.Lost != 1332 {
			t.Errorf("narrow on the way there: %+v", k)
		}
	})
}

// A survey says where packets get through, and who sees us where.
func TestSurveyTellsTheWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		ka, kb := a.contact(t, b), b.contact(t, a)
		if w := ka.Ways[0]; !w.InUse || !w.Confirmed || w.Seen != a.conn.addr || time.Since(w.Replied) > 2*time.Second {
			t.Errorf("a's way: %+v", w)
		}
		if ka.Ways[0].Unasked == kb.Ways[0].Unasked {
			t.Errorf("one of the two has spoken first: %+v, %+v", ka.Ways, kb.Ways)
		}
		a.ForgetStanding()
		if w := a.ways(b.key.id)[0]; w.Seen.IsValid() || w.Unasked {
			t.Errorf("after the addresses changed: %+v", w)
		}
		nw.setDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		time.Sleep(time.Minute)
		if k := a.contact(t, b); k.Ways[0].Confirmed || k.Carries != 0 || k.Lost != 0 {
			t.Errorf("nothing passes: %+v", k)
		}
	})
}

// Surveys take turns, and one that is waited for in vain says so.
func TestSurveysTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b := pairUp(t)
		var wg sync.WaitGroup
		begin := time.Now()
		for range 2 {
			wg.Go(func() {
				if k := a.contact(t, b); k.Carries != LargestPacket {
					t.Errorf("one of two surveys at once: %+v", k)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := a.Survey(ctx, nil); micronet.KindOf(err) != micronet.Timeout {
			t.Errorf("a survey that got no turn: %v", err)
		}
		wg.Wait()
		if took := time.Since(begin); took != 2*surveyRounds*surveyPause {
			t.Errorf("two surveys took %v", took)
		}
	})
}

// Answers count from the peer that was asked, once.
func TestSurveyAnswers(t *testing.T) {
	s, a, b := newSurvey(), newTestKey(1).id, newTestKey(2).id
	n := s.ask(a, len(surveySizes)-1)
	s.answered(b, n)
	s.answered(a, n+1)
	if size, _ := s.carries(a); size != 0 {
		t.Errorf("another peer's answer counts: %d", size)
	}
	s.answered(a, n)
	if size, lost := s.carries(a); size != LargestPacket || lost != 0 || len(s.open(a)) != len(surveySizes)-1 {
		t.Errorf("carries %d, lost %d, open %v", size, lost, s.open(a))
	}
	if size, _ := s.carries(b); size != 0 {
		t.Errorf("a peer that answered nothing carries %d", size)
	}
}
