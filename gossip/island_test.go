package gossip

import (
	"fmt"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// splitMesh is what one node of a mesh sees that was split into islands, its own not among them, where
// hosts crashed before and meanwhile.
type splitMesh struct {
	islands [][]micronet.NodeID
	peers   []RedialPeer
	places  bool // peers tell where they are
	of      map[micronet.NodeID]int
}

const perIsland = 10

func newSplitMesh(islands int, places bool) *splitMesh {
	s := &splitMesh{islands: make([][]micronet.NodeID, islands), places: places, of: map[micronet.NodeID]int{}}
	for i := range islands * perIsland {
		p := RedialPeer{ID: redialID(i * 7 % 251), Status: micronet.Alive, Heard: redialStart}
		k := i % islands
		if places {
			p.Near = fmt.Sprint("place ", k)
		}
		s.islands[k] = append(s.islands[k], p.ID)
		s.of[p.ID] = k
		s.peers = append(s.peers, p)
	}
	return s
}

// crash adds hosts that are down.
func (s *splitMesh) crash(n int) {
	for i := range n {
		p := RedialPeer{ID: redialID(300 + len(s.peers) + i), Status: micronet.Dead, Heard: redialStart}
		s.of[p.ID] = -1
		s.peers = append(s.peers, p)
	}
}

// set changes what membership says of an island.
func (s *splitMesh) set(k int, to micronet.NodeStatus) {
	for i := range s.peers {
		if s.of[s.peers[i].ID] == k {
			s.peers[i].Status = to
		}
	}
}

// run lives from one time to another; answers says whether islands answer. It returns which island each
// attempt went to, -1 for crashed hosts. An answer brings the island back after a second.
func (s *splitMesh) run(r *Redial, from, to time.Time, answers bool) (tried []int) {
	back := map[int]time.Time{}
	for now := from; now.Before(to); {
		r.Update(now, s.peers)
		ids, next := r.Next(now)
		for _, id := range ids {
			k := s.of[id]
			tried = append(tried, k)
			r.Result(now, id, answers && k >= 0)
			if _, found := back[k]; answers && k >= 0 && !found {
				back[k] = now.Add(time.Second)
			}
		}
		if len(ids) > 0 {
			_, next = r.Next(now)
		}
		if next.IsZero() {
			next = to
		}
		for _, at := range back {
			if at.After(now) && at.Before(next) {
				next = at
			}
		}
		now = next
		for k, at := range back {
			if !now.Before(at) {
				s.set(k, micronet.Alive)
			}
		}
	}
	return tried
}

// until counts the attempts until each of the islands was tried.
func until(tried []int, islands int) int {
	seen := map[int]bool{}
	for n, k := range tried {
		if k >= 0 {
			seen[k] = true
		}
		if len(seen) == islands {
			return n + 1
		}
	}
	return len(tried) + 1000
}

// After a split into three, beside hosts that crashed one by one before and after it, the first attempts
// after the heal touch both other islands.
func TestRedialTouchesEveryIsland(t *testing.T) {
	for _, c := range []struct {
		islands, crashed int
		places           bool
		lasted           time.Duration
		most             int // attempts until every island was touched
		within           time.Duration
	}{
		{2, 4, true, 10 * time.Minute, 3, 12 * time.Second},
		{2, 4, false, 10 * time.Minute, 3, 16 * time.Second},
		{2, 40, false, 10 * time.Minute, 6, 16 * time.Second},
		{2, 0, false, 2 * time.Hour, 3, 16 * time.Second},
		{5, 8, true, 10 * time.Minute, 8, 20 * time.Second},
		{5, 8, false, 10 * time.Minute, 8, 30 * time.Second},
	} {
		worst := 0
		for seed := range uint64(10) {
			s, r := newSplitMesh(c.islands, c.places), newTestRedial(seed)
			s.crash(1)
			r.Update(redialStart, s.peers)
			r.Next(redialStart)
			now := redialStart
			for range c.crashed { // one by one, before the split
				s.crash(1)
				s.run(r, now, now.Add(20*time.Second), false)
				now = now.Add(20 * time.Second)
			}
			for k := range c.islands { // membership takes a while to give up all
				s.set(k, micronet.Dead)
				s.run(r, now, now.Add(3*time.Second), false)
				now = now.Add(3 * time.Second)
			}
			s.run(r, now, now.Add(c.lasted), false)
			now = now.Add(c.lasted)
			after := s.run(r, now, now.Add(c.within), true)
			worst = max(worst, until(after, c.islands))
		}
		t.Logf("%+v: %d", c, worst)
		if worst > c.most {
			t.Errorf("%+v: at worst after %d attempts every island was tried, want %d", c, worst, c.most)
		}
	}
}

// Who was lost together is one island.
func TestGather(t *testing.T) {
	at := func(seconds ...int) (out []*redialPeer) {
		for i, s := range seconds {
			out = append(out, &redialPeer{id: redialID(i), lost: true, lostAt: redialStart.Add(time.Duration(s) * time.Second)})
		}
		return out
	}
	for _, c := range []struct {
		lost []int
		want string
	}{
		{[]int{0}, "1 "},
		{[]int{0, 15, 30}, "3 3 3 "},
		{[]int{0, 16, 30}, "1 2 2 "},
		{[]int{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130}, "13 13 13 13 13 13 13 13 13 13 13 13 13 1 "},
	} {
		list := at(c.lost...)
		gather(redialStart, list)
		got := ""
		for _, p := range list {
			got += fmt.Sprint(p.island.size, " ")
		}
		if got != c.want {
			t.Errorf("lost at %v: islands of %s, want %s", c.lost, got, c.want)
		}
	}
	// The address book knows to the hour.
	list := at(0, 3600, 7200, 4*3600)
	for _, p := range list {
		p.before = true
	}
	gather(redialStart, list)
	if list[0].island.size != 2 || list[3].island.size != 1 {
		t.Errorf("of an address book: islands of %d and %d", list[0].island.size, list[3].island.size)
	}
}
