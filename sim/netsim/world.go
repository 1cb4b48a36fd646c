package netsim

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// localLatency is that of packets which never leave their host, unless Options say otherwise.
const localLatency = 10 * time.Microsecond

// Options tune a World.
type Options struct {
	// Link is the path between hosts that SetLink says nothing about.
	Link Link
	// Local is the path inside a host. The zero value has a latency of 10 µs.
	Local Link
	// Settle, when set, is called after every event, with no lock held. synctest.Wait makes the
	// world wait until everybody has dealt with one packet before the next one arrives: runs
	// repeat more exactly, and take a third longer.
	Settle func()
}

// EnsureDefaults returns o with what was left out.
func (o Options) EnsureDefaults() Options {
	if o.Local == (Link{}) {
		o.Local.Latency = localLatency
	}
	return o
}

// World is a set of hosts and the paths between them. Make it inside the bubble in which it
// runs. All methods may be called from several goroutines.
type World struct {
	// Trace, when set, sees every step of every packet, in order. It is called with the world's
	// lock held: it must be quick and must not call the world or a host. Set it before Run.
	Trace func(Event)

	// Constant.
	seed  uint64
	opts  Options
	epoch time.Time
	wake  chan struct{} // holds one: the first event of the heap is another one now

	mu      sync.Mutex
	running bool
	heap    eventHeap
	hosts   map[string]*Host
	owners  map[netip.Addr]*Host
	paths   map[pathKey]*path
	links   map[direction]Link
	cuts    map[direction]bool
	sides   map[*Host]int // side of the partition, 0 for those not named; nil: no partition
	filter  func(from, to *Host) bool // nil: everything passes
	phases  map[time.Duration]bool
	stats   Stats
}

// direction is one way between two hosts.
type direction struct{ from, to *Host }

// New makes a world without hosts. The seed makes the run.
func New(seed uint64, opts Options) *World {
	return &World{
		seed:   seed,
		opts:   opts.EnsureDefaults(),
		epoch:  time.Now(),
		wake:   make(chan struct{}, 1),
		heap:   eventHeap{taken: map[time.Duration]struct{}{}},
		hosts:  map[string]*Host{},
		owners: map[netip.Addr]*Host{},
		paths:  map[pathKey]*path{},
		links:  map[direction]Link{},
		cuts:   map[direction]bool{},
		phases: map[time.Duration]bool{},
	}
}

// Host makes a host that is up and has these addresses besides loopback. A name or an address
// that another host has is a mistake of the caller, and panics.
func (w *World) Host(name string, addrs ...netip.Prefix) *Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hosts[name] != nil {
		panic(fmt.Sprintf("netsim: there is a host %q already", name))
	}
	h := newHost(w, name, w.phaseLocked(name))
	w.hosts[name] = h
	w.giveAddrsLocked(h, addrs)
	return h
}

// giveAddrsLocked makes addrs the addresses of h, and no others.
func (w *World) giveAddrsLocked(h *Host, addrs []netip.Prefix) {
	for _, p := range addrs {
		if o := w.owners[p.Addr()]; o != nil && o != h {
			panic(fmt.Sprintf("netsim: %s belongs to host %q, %q cannot have it", p.Addr(), o.name, h.name))
		}
	}
	for _, p := range h.addrs {
		delete(w.owners, p.Addr())
	}
	for _, p := range addrs {
		w.owners[p.Addr()] = h
	}
	h.addrs = slices.Clone(addrs)
}

// phaseMax bounds Env.Phase: long enough for many hosts, too short to be noticed.
const phaseMax = 100 * time.Microsecond

// phaseLocked draws the host's Env.Phase, which no other host has.
func (w *World) phaseLocked(name string) time.Duration {
	p := 1 + spread(hashOf(w.seed, "phase", name), 0, phaseMax)
	for w.phases[p] {
		p++
	}
	w.phases[p] = true
	return p
}

// Stats returns what was counted since the world began.
func (w *World) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}

// Now returns the time since the world began.
func (w *World) Now() time.Duration { return time.Since(w.epoch) }
