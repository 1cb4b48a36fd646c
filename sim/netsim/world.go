package netsim

import (
	"fmt"
	"net/netip"
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
	// Settle, when set, is called after every event, with no lock held; where there are ticks, after
	// those of one tick. synctest.Wait makes the world wait until everybody has dealt with one packet
	// before the next one arrives: runs repeat more exactly, and take a third longer.
	Settle func()
	// Tick, when it is not 0, lets all that is due within one tick happen at the end of it, in the same
	// order: never early, and late by less than a tick. Many hosts then have work at one instant, which
	// several processors share. Env.Phase is 0, so that timers of whole ticks fall on those instants too.
	Tick time.Duration
	// MTUSearch gives UDP sockets a SyscallConn, by which libraries such as quic-go know that
	// they may look for the path's MTU. That costs some packets for each connection.
	MTUSearch bool
}

// EnsureDefaults returns o with what was left out.
func (o Options) EnsureDefaults() Options {
	if o.Local == (Link{}) {
		o.Local.Latency = localLatency
	}
	return o
}

// tickEnd is when an event happens that is due at an instant.
func (o Options) tickEnd(at time.Duration) time.Duration {
	if o.Tick <= 0 {
		return at
	}
	return (at + o.Tick - 1) / o.Tick * o.Tick
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
	names   map[string]bool // of hosts and NATs
	paths   map[pathKey]*path
	links   map[direction]Link
	pipes   map[direction]*pipe
	phases  map[time.Duration]bool
	stats   Stats

	division division
	internet *realm
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
		names:  map[string]bool{},
		paths:  map[pathKey]*path{},
		links:  map[direction]Link{},
		pipes:  map[direction]*pipe{},
		phases: map[time.Duration]bool{},

		// A path that never asked has asked 0.
		division: division{cuts: map[direction][]*cut{}, changes: 1},
		internet: newRealm(nil),
	}
}

// Host makes a host that is up and has these addresses besides loopback. A name or an address
// that another host has is a mistake of the caller, and panics.
func (w *World) Host(name string, addrs ...netip.Prefix) *Host {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hostLocked(w.internet, name, addrs)
}

func (w *World) hostLocked(r *realm, name string, addrs []netip.Prefix) *Host {
	w.takeNameLocked(name)
	h := newHost(w, name, w.phaseLocked(name))
	h.realm = r
	w.giveAddrsLocked(h, addrs)
	return h
}

func (w *World) takeNameLocked(name string) {
	if w.names[name] {
		panic(fmt.Sprintf("netsim: there is a %q already", name))
	}
	w.names[name] = true
}

// phaseMax bounds Env.Phase: long enough for many hosts, too short to be noticed.
const phaseMax = 100 * time.Microsecond

// phaseLocked draws the host's Env.Phase, which no other host has, unless the world has ticks.
func (w *World) phaseLocked(name string) time.Duration {
	if w.opts.Tick > 0 {
		return 0
	}
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
