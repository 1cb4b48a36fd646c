package tunnel

import (
	"container/heap"
	"time"
)

// agenda orders peers by the time they want to be looked at, and those of one time by id, so that
// no map's order decides who is served first. Peers that want nothing are not in it, so that its
// size is that of the traffic, not of the mesh.
type agenda []*peer

// Len, Less, Swap, Push and Pop are container/heap's.
func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	if c := a[i].due.Compare(a[j].due); c != 0 {
		return c < 0
	}
	return a[i].ID.Compare(a[j].ID) < 0
}

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

func (a *agenda) Push(x any) {
	p := x.(*peer)
	p.index = len(*a)
	*a = append(*a, p)
}

func (a *agenda) Pop() any {
	old := *a
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	p.index = -1
	return p
}

// set moves p to the given time; zero takes it out. Most packets change nothing about it.
func (a *agenda) set(p *peer, at time.Time) {
	if at.Equal(p.due) {
		return
	}
	p.due = at
	switch {
	case at.IsZero() && p.index >= 0:
		heap.Remove(a, p.index)
	case at.IsZero():
	case p.index >= 0:
		heap.Fix(a, p.index)
	default:
		heap.Push(a, p)
	}
}

// first returns who is due first, nil for nobody.
func (a agenda) first() *peer {
	if len(a) == 0 {
		return nil
	}
	return a[0]
}
