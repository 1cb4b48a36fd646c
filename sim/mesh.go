package sim

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/portmap/portmaptest"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	// bootGap is the time between the starts of two nodes at the beginning.
	bootGap = 20 * time.Millisecond
	// invitees and inviteTTL are those of the one token that all nodes join with.
	invitees  = 1000
	inviteTTL = 24 * time.Hour
)

// mesh is the simulation: what exists and what was done to it. One goroutine owns it.
type mesh struct {
	scenario *scenario.Scenario
	world    *netsim.World
	began    time.Time
	agenda   agenda
	rng      *rand.Rand
	recorder *recorder
	faults   *faults
	oracle   *oracle
	observer *observer
	traffic  *traffic
	failures []failure
	verdicts []verdict
	always   []scenario.Invariant // that are checked all the time
	spans    []report.Span

	nats     map[string]devices // by group
	routers  []*portmaptest.Box // of devices that open ports, in the order of their groups
	boxes    map[string]*portmaptest.Box
	walled   map[string]bool // groups whose nodes are behind firewalls
	machines []*machine
	refs     []scenario.NodeRef // of machines
	byHost   map[*netsim.Host]*machine
	services []*service
	token    string
	granted  map[*machine][]string // services that nodes were granted; nil while names are open
	made     made
	program  func(context.Context, string, *node.Node) error // of the user; nil: none

	departures  []*departure
	arrivals    []*arrival
	banishments []*banishment
	insiders    []*insider
	witness     *witness
	moments     *moments
	barring     atomic.Bool                       // somebody was revoked, or a policy stated: each byte counts
	contests    map[micronet.NodeID]time.Duration // since when nobody has noticed that somebody signs twice
	batches     [][]*machine                      // that have one token for one
	rulings     []*ruling
	heapAt      time.Duration // when the heap was measured last

	ending sync.WaitGroup // daemons, programs and callers that are about to end

	mu     sync.Mutex
	broken []failure // of the user's programs
	names  map[micronet.NodeID]*machine
}

// made counts what got its name or address from a number.
type made struct {
	joined int // nodes added by Join
	moved  int // addresses given to hosts that moved
	churns int // steps that made services of their own
}

func newMesh(s *scenario.Scenario, seed uint64) *mesh {
	m := &mesh{
		scenario: s, world: netsim.New(seed, netsim.Options{MTUSearch: s.NamesMTU(), Tick: tickOf(s)}), began: time.Now(),
		rng:    rand.New(rand.NewPCG(seed, 0x5ce4a210)),
		byHost: map[*netsim.Host]*machine{}, names: map[micronet.NodeID]*machine{},
		verdicts: make([]verdict, len(s.Expect)), witness: newWitness(), moments: newMoments(), contests: map[micronet.NodeID]time.Duration{},
	}
	m.recorder = newRecorder(m.nameOf)
	m.witness.alert = func() { m.moments.add(func(time.Duration) { m.tellBreaches() }) }
	m.world.SetDefaultLink(netsim.Link{})
	m.buildNATs()
	for _, ref := range s.Nodes() {
		m.add(ref)
	}
	m.oracle = newOracle(m)
	m.faults = newFaults(m)
	m.faults.block()
	m.observer = newObserver(m)
	m.traffic = newTraffic(m)
	m.observer.traffic.keepsSealed = m.forges(scenario.ForgeReplay)
	m.world.Trace = m.observer.traffic.packet
	return m
}

// forges reports whether the scenario has an insider that forges so.
func (m *mesh) forges(f scenario.Forgery) bool {
	return slices.ContainsFunc(m.scenario.Timeline, func(s scenario.Step) bool {
		a, ok := s.Action.(scenario.Insider)
		return ok && a.Forge == f
	})
}

// witnessed reports whether anything is demanded that only the witness sees.
func (m *mesh) witnessed() bool {
	return m.demands(scenario.NoForge, scenario.NoRollback, scenario.OneIdentity, scenario.Durable)
}

// demands reports whether one of these is checked all the time.
func (m *mesh) demands(list ...scenario.Invariant) bool {
	return slices.ContainsFunc(m.scenario.Expect, func(e scenario.Expectation) bool {
		a, ok := e.Condition.(scenario.Always)
		return ok && slices.ContainsFunc(a.Invariants, func(i scenario.Invariant) bool { return slices.Contains(list, i) })
	})
}

// now is the time since the beginning.
func (m *mesh) now() time.Duration { return time.Since(m.began) }

// add makes a machine that has not been started.
func (m *mesh) add(ref scenario.NodeRef) *machine {
	i := len(m.machines)
	h := m.newHost(ref, i)
	x := &machine{index: i, name: ref.Name, group: ref.Group, host: h, since: time.Now()}
	m.machines, m.refs = append(m.machines, x), append(m.refs, ref)
	m.byHost[h] = x
	x.inside.name, x.inside.disk = x.name, h.Disk()
	m.watchDisk(x)
	if m.witnessed() {
		x.inside.witness = m.witness
	}
	if m.forges(scenario.ForgeReplay) || m.forges(scenario.ForgeMangle) {
		x.inside.loot.want()
	}
	return x
}

// freshAddr is the nth address of the one large network that hosts are in.
func (m *mesh) freshAddr(n int) netip.Prefix {
	n += 1 + n/254*2 // neither .0 nor .255
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}), 8)
}

// nameOf names a node for people.
func (m *mesh) nameOf(id micronet.NodeID) string {
	if x := m.machineOf(id); x != nil {
		return x.name
	}
	return id.Short()
}

// machineOf returns the machine that a node was first seen on.
func (m *mesh) machineOf(id micronet.NodeID) *machine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[id]
}

func (m *mesh) learn(id micronet.NodeID, x *machine) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[id] == nil {
		m.names[id] = x
	}
}

// selected resolves a selector, drawing from the run's own chance.
func (m *mesh) selected(s scenario.Selector) []*machine {
	var out []*machine
	for _, i := range s.Resolve(m.refs, m.rng.IntN) {
		out = append(out, m.machines[i])
	}
	return out
}

// begin founds the cluster and plans everything else.
func (m *mesh) begin() error {
	founder := m.machines[0]
	if err := m.boot(founder); err != nil {
		return err
	}
	token, err := m.invitation(founder, invitees)
	if err != nil {
		return err
	}
	m.token = token
	m.faults.apply()
	for i, x := range m.machines[1:] {
		m.agenda.put(m.now()+time.Duration(i)*bootGap, func() { m.start(x) })
	}
	m.placeServices()
	for i := range m.scenario.Timeline {
		step := &m.scenario.Timeline[i]
		m.agenda.put(step.At, func() { m.perform(step) })
	}
	m.planExpectations()
	m.traffic.plan()
	m.observer.plan()
	return nil
}

// invitation waits for the founder and asks it for a token.
func (m *mesh) invitation(founder *machine, uses int) (string, error) {
	ctx, cancel := timeout(time.Minute)
	defer cancel()
	token, err := founder.life.node.Invite(ctx, uses, inviteTTL)
	if err != nil {
		return "", fmt.Errorf("the first node founds no cluster: %w", err)
	}
	return token, nil
}

// run does what is planned until the end of the scenario.
func (m *mesh) run() {
	for {
		at, some := m.agenda.next()
		over := !some || at > m.scenario.Duration
		if over {
			at = m.scenario.Duration
		}
		switch {
		case m.moments.wait(at - m.now()):
			m.moments.judge()
		case over:
			return
		default:
			m.agenda.pop()()
		}
	}
}

// boot starts a machine's daemon.
func (m *mesh) boot(x *machine) error {
	env := x.host.Env()
	env.Log = slog.New(slog.DiscardHandler)
	env.Events = micronet.Tee(m.recorder.events(x.name), m.incidents(x))
	more := append(x.inside.plugs(), depth(m.scenario.Fidelity)...)
	if m.scenario.TCP == scenario.TCPOff {
		more = append(more, node.WithoutTCP())
	}
	// The founder has no token at its first start. Who is a member already does not look at it.
	if err := x.boot(&m.ending, env, cmp.Or(x.token, m.token), append(more, node.WithRelay(node.RelayMode(m.scenario.Relay)))...); err != nil {
		return err
	}
	m.recorder.add(x.name, "start", "", "")
	m.oracle.changed()
	m.watchEnd(x)
	m.runProgram(x)
	return nil
}

// watchEnd lets the end of a daemon be judged when it comes, also where a new one is started soon.
func (m *mesh) watchEnd(x *machine) {
	l := x.life
	m.ending.Go(func() {
		<-l.done
		m.moments.add(func(time.Duration) {
			if x.life == l {
				m.judgeEnd(x)
			}
		})
	})
}

// runProgram runs the user's program beside a daemon that has just been started.
func (m *mesh) runProgram(x *machine) {
	if m.program == nil {
		return
	}
	l := x.life
	m.ending.Go(func() {
		err := m.program(l.ctx, x.name, l.node)
		if err == nil {
			return
		}
		select {
		case <-l.ctx.Done(): // a power cut takes the sockets first, and the life in the same moment
		case <-time.After(time.Millisecond):
			m.mu.Lock()
			m.broken = append(m.broken, failure{m.now(), x.name, "program", err.Error()})
			m.mu.Unlock()
		}
	})
}

// end stops everything and waits for it.
func (m *mesh) end() {
	m.traffic.stop()
	for _, x := range m.machines {
		m.stopPrograms(x)
		if x.life != nil {
			x.life.cancel()
		}
	}
	m.ending.Wait()
}
