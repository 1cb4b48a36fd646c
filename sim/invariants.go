package sim

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	// hearTime is how long two nodes must have been able to hear each other before the one may not be
	// dead to the other, and before the other's records must be known to it.
	hearTime = 15 * time.Second
	// bootTime is how long a daemon may take until it counts.
	bootTime = 15 * time.Second
	// stallMemory is how long after a stall a node may still be taken for dead.
	stallMemory = 30 * time.Second
	// ghostTime is how long an instance may be offered that nobody can reach.
	ghostTime = 30 * time.Second
	// toldTime is how long a node that has just started may offer what is gone. Membership comes to it at once,
	// from a node that may not have seen yet who died; how long ago others were alive it is told
	// seconds later, by several nodes. To offer nothing until then would cost every start these seconds.
	toldTime = 5 * time.Second
	// goroutinesPerNode and heapPerNode bound what a node of the full stack may use, those of
	// simulated programs and callers included.
	goroutinesPerNode = 400
	heapPerNode       = 8 << 20
	// heapEvery is how often the heap is measured: it stops the world.
	heapEvery = 10 * time.Second
)

// checkInvariants looks for what must never be.
func (m *mesh) checkInvariants(seen []sight) {
	checks := map[scenario.Invariant]func(*sight){
		scenario.NoFalseDead: m.checkFalseDead, scenario.NoGhosts: m.checkGhosts, scenario.NoLost: m.checkLost,
		scenario.Bounded: m.checkFlooded, scenario.NoRollback: m.checkRollback, scenario.NoForge: m.checkForge,
		scenario.OneIdentity: m.checkIdentity, scenario.Durable: m.checkDurable, scenario.Blast: m.checkBlast,
	}
	for _, inv := range m.always {
		if check := checks[inv]; check != nil {
			for i := range seen {
				if s := &seen[i]; s.machine.alive() && !s.machine.doubtful() {
					check(s)
				}
			}
		}
		switch inv {
		case scenario.Bounded:
			m.checkBounds()
			m.checkFootprints()
		case scenario.NoUnauthorized:
			m.checkBanished()
			m.checkRulings()
		case scenario.OneIdentity:
			m.checkIdentities(seen)
		case scenario.NoLoops:
			// Nothing to look at: without relays and gateways no packet, stream or record goes
			// through a third node but records, which their versions keep from going round.
		}
	}
}

// judgeEnd: no daemon ends by itself.
func (m *mesh) judgeEnd(x *machine) {
	err := x.fault()
	if err == nil {
		return
	}
	if !m.turnedAway(x) {
		m.fail(x.name, "running", err.Error())
	}
	x.enter(dead)
	m.oracle.changed()
}

// checkFalseDead: a node that runs and was not held up is dead to nobody who could hear of it. It is looked at
// when a daemon says so, and from then on, as who is dead may come back.
func (m *mesh) checkFalseDead(s *sight) {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Status == micronet.Dead {
			m.judgeDead(s.machine, n.ID, 0)
		}
	}
}

// judgeDead judges that a machine showed another one dead. Who has just started knows of nobody's death before it
// could have heard it.
func (m *mesh) judgeDead(by *machine, id micronet.NodeID, ago time.Duration) {
	x := m.machineOf(id)
	if x == nil || x.id != id || !m.mayNotBeDead(x) || !by.steady() {
		return
	}
	if m.oracle.connected(by, x)-ago >= min(hearTime, time.Since(by.since)-ago) {
		m.fail(by.name, string(scenario.NoFalseDead), x.name+" runs and can be heard, and is shown dead")
	}
}

// mayNotBeDead reports whether a machine has run long enough, was not held up, and did not lie.
func (m *mesh) mayNotBeDead(x *machine) bool {
	return x.steady() && time.Since(x.since) >= bootTime+hearTime
}

// steady reports whether a machine runs, was not held up, and did not lie.
func (x *machine) steady() bool {
	return x.alive() && !x.outcast() && time.Since(x.stalled) >= stallMemory && time.Since(x.doubted) >= stallMemory
}

// checkGhosts: nobody offers what was withdrawn, or what nobody can reach.
func (m *mesh) checkGhosts(s *sight) {
	for _, svc := range m.services {
		for _, key := range s.Offered(svc.spec.Name) {
			if why := m.ghost(s.machine, svc, key); why != "" {
				m.fail(s.machine.name, string(scenario.NoGhosts), svc.spec.Name+" is offered "+why)
			}
		}
	}
}

func (m *mesh) ghost(at *machine, svc *service, key micronet.InstanceKey) string {
	x := m.machineOf(key.Node)
	if x == nil || x.doubtful() {
		return ""
	}
	gone, withdrawn := svc.gone[x]
	switch {
	case (x.state == dead || x.state == left || x.id != key.Node) && time.Since(x.since) > ghostTime && time.Since(at.since) > toldTime:
		return fmt.Sprintf("at %s, which has not run for %s", x.name, time.Since(x.since).Round(time.Second))
	case svc.on[x] == nil && withdrawn && m.now()-gone > ghostTime && m.oracle.connected(at, x) > ghostTime:
		return fmt.Sprintf("at %s, where it was withdrawn %s ago", x.name, (m.now() - gone).Round(time.Second))
	}
	return ""
}

// checkLost: what was registered is known wherever its owner can be heard, and what was known is kept.
func (m *mesh) checkLost(s *sight) {
	m.checkKept(s)
	for _, svc := range m.services {
		for _, x := range svc.places() {
			i := svc.on[x]
			if i.program == nil || !i.known || m.now()-i.registered < hearTime || !m.mayNotBeDead(x) || !m.mayNotBeDead(s.machine) {
				continue
			}
			if (x == s.machine || m.oracle.connected(s.machine, x) >= hearTime) && !s.holds(x.id, svc.spec.Name) {
				m.fail(s.machine.name, string(scenario.NoLost), svc.spec.Name+" at "+x.name+" is not known")
			}
		}
	}
}

// holds reports whether the record of a service of a node is held.
func (s *sight) holds(owner micronet.NodeID, service string) bool {
	for i := range s.Documents {
		if d := &s.Documents[i].Document; d.Owner == owner {
			return slices.ContainsFunc(d.Instances, func(i micronet.Instance) bool { return i.Service == service })
		}
	}
	return false
}

// checkBounds: what all nodes together use stays within what they may.
func (m *mesh) checkBounds() {
	n := len(m.machines)
	if g := runtime.NumGoroutine(); g > n*goroutinesPerNode {
		m.fail("", string(scenario.Bounded), fmt.Sprintf("%d goroutines, at most %d are allowed for %d nodes", g, n*goroutinesPerNode, n))
	}
	if m.now()-m.heapAt < heapEvery {
		return
	}
	m.heapAt = m.now()
	allowed := uint64(n)*heapPerNode + heapBase
	if heapInUse() <= allowed {
		return
	}
	runtime.GC() // garbage is not used, nor are the leftovers of another run in this process
	if used := heapInUse(); used > allowed {
		m.fail("", string(scenario.Bounded), fmt.Sprintf("%d MiB of heap for %d nodes", used>>20, n))
	}
}

func heapInUse() uint64 {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return mem.HeapInuse
}

// heapBase is what the simulator itself may use.
const heapBase = 256 << 20
