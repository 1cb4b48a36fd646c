package sim

import (
	"container/heap"
	"time"
)

// agenda is what the simulation is going to do, by time and then in the order in which it was put.
type agenda struct {
	items agendaHeap
	count uint64
}

type agendaItem struct {
	at     time.Duration
	number uint64
	do     func()
}

// put plans something at a time since the beginning.
func (a *agenda) put(at time.Duration, do func()) {
	a.count++
	heap.Push(&a.items, agendaItem{at, a.count, do})
}

// next returns when the next thing is due, and whether there is one.
func (a *agenda) next() (time.Duration, bool) {
	if len(a.items) == 0 {
		return 0, false
	}
	return a.items[0].at, true
}

func (a *agenda) pop() func() { return heap.Pop(&a.items).(agendaItem).do }

type agendaHeap []agendaItem

func (h agendaHeap) Len() int { return len(h) }

func (h agendaHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || (h[i].at == h[j].at && h[i].number < h[j].number)
}

func (h agendaHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *agendaHeap) Push(x any) { *h = append(*h, x.(agendaItem)) }

// Pop implements heap.Interface.
func (h *agendaHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = agendaItem{}
	*h = old[:len(old)-1]
	return x
}
