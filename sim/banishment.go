package sim

import (
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	// banishEvery is how exactly it is timed when a node learns of a revocation.
	banishEvery = 50 * time.Millisecond
	// banishTime bounds one revocation at its authority.
	banishTime = 5 * time.Second
	// severTime is how long bytes may still pass after a node has learned that the other end was revoked.
	severTime = 2 * time.Second
)

// banishment is a key that a step of the timeline revoked, and what the others know of it.
type banishment struct {
	machine *machine
	id      micronet.NodeID
	at      time.Duration
	known   map[*machine]*lesson
	former  []*lesson // of lives that have ended
}

// lesson is what one life of a machine's daemon knows of a banishment.
type lesson struct {
	machine *machine
	life    *lifetime
	since   time.Duration // since when it can hear somebody who knows, never while it cannot
	late    bool          // it could not at first: it was cut off, or did not run
	knows   bool
	at      time.Duration // when it knew
	took    time.Duration // at-since
	talked  bool          // bytes had passed shortly before
	flows   time.Duration // how long after that a byte has passed, 0: none has
}

// revoke lets an authority revoke keys.
func (m *mesh) revoke(a scenario.Revoke) {
	by := m.machines[0]
	if !a.By.IsZero() {
		by = m.selected(a.By)[0]
	}
	for _, x := range m.selected(a.Nodes) {
		if err := m.banish(x, by); err != nil {
			m.fail(x.name, "revoke", err.Error())
		}
	}
}

func (m *mesh) banish(x, by *machine) error {
	if by.state != running || x.id.IsZero() {
		return fmt.Errorf("%s does not run, or %s never did", by.name, x.name)
	}
	ctx, cancel := timeout(banishTime)
	defer cancel()
	if err := by.life.node.Revoke(ctx, x.id.String(), "the scenario says so"); err != nil {
		return err
	}
	b := &banishment{machine: x, id: x.id, at: m.now(), known: map[*machine]*lesson{}}
	x.revoked = x.id
	m.banishments = append(m.banishments, b)
	m.barring.Store(true)
	m.oracle.changed()
	m.teach(b, by)
	m.watchBanishment(b)
	return nil
}

// teach notes that the authority itself knows.
func (m *mesh) teach(b *banishment, by *machine) {
	b.known[by] = &lesson{machine: by, life: by.life, since: never, knows: true, at: b.at}
}

// watchBanishment looks until the end of the run who knows: a machine whose disk is older than that learns
// anew.
func (m *mesh) watchBanishment(b *banishment) {
	for _, y := range m.machines {
		if y != b.machine && y.judged() {
			m.lookBanished(b, y)
		}
	}
	m.agenda.put(m.now()+banishEvery, func() { m.watchBanishment(b) })
}

func (m *mesh) lookBanished(b *banishment, y *machine) {
	l := b.known[y]
	if l == nil || l.life != y.life {
		late := l != nil || m.now() > b.at
		if l != nil && l.knows {
			b.former = append(b.former, l)
		}
		l = &lesson{machine: y, life: y.life, since: never, late: late}
		b.known[y] = l
	}
	switch {
	case l.knows:
		return
	case !m.canHear(b, y):
		l.since, l.late = never, true
	case l.since == never:
		l.since = m.now()
	}
	if !refuses(y, b.id) {
		return
	}
	l.knows, l.at = true, m.now()
	if l.since != never {
		l.took = l.at - l.since
	}
	last := max(m.lastByte(y, b.machine), m.lastByte(b.machine, y))
	l.talked = last > 0 && l.at-last < severTime
	m.recorder.add(y.name, "revoked", "", b.machine.name)
}

// canHear reports whether a machine can hear somebody who knows.
func (m *mesh) canHear(b *banishment, y *machine) bool {
	for z, l := range b.known {
		if l.knows && z.alive() && z.life == l.life && m.oracle.connected(y, z) > 0 {
			return true
		}
	}
	return false
}

// refuses reports whether a daemon shows a node as revoked.
func refuses(y *machine, id micronet.NodeID) bool {
	s, ok := y.snapshot()
	for i := range s.Nodes {
		if ok && s.Nodes[i].ID == id {
			return s.Nodes[i].Status == micronet.Revoked
		}
	}
	return false
}

// checkBanished: once a node has learned that another one was revoked, what passes between programs of the two
// ends.
func (m *mesh) checkBanished() {
	for _, b := range m.banishments {
		for _, y := range m.machines {
			m.judgeBanished(b, y, max(m.lastByte(y, b.machine), m.lastByte(b.machine, y)))
		}
	}
}

// judgeBanished judges that a byte passed at a time between a machine and one whose key was revoked.
func (m *mesh) judgeBanished(b *banishment, y *machine, last time.Duration) {
	l := b.known[y]
	if l == nil || !l.knows || l.life != y.life || b.machine.revoked != b.id {
		return // or the machine has another key since
	}
	if last > l.at {
		l.flows = max(l.flows, last-l.at)
	}
	if l.flows > severTime {
		m.fail(y.name, string(scenario.NoUnauthorized), fmt.Sprintf("a byte of %s passed %s after that was known to be revoked", b.machine.name, l.flows.Round(time.Millisecond)))
	}
}

// lastByte is when the programs of a machine last got a byte from a caller on another one, 0 for never.
func (m *mesh) lastByte(at, from *machine) (last time.Duration) {
	for _, s := range m.services {
		if i := s.on[at]; i != nil && i.program != nil {
			if t := i.program.heard(from.name); !t.IsZero() {
				last = max(last, t.Sub(m.began))
			}
		}
	}
	return last
}

// lessons calls f for all that was learned, or should have been and was not.
func (m *mesh) lessons(f func(b *banishment, l *lesson)) {
	for _, b := range m.banishments {
		for _, l := range b.former {
			f(b, l)
		}
		for _, y := range m.machines {
			if l := b.known[y]; l != nil {
				f(b, l)
			}
		}
	}
}

// lookRevoked uses the times at which nodes learned of revocations; see watchBanishment.
func (m *mesh) lookRevoked(c scenario.RevokedWithin) verdict {
	var soon, late, flows time.Duration
	count, open := 0, ""
	m.lessons(func(b *banishment, l *lesson) {
		count++
		flows = max(flows, l.flows)
		took := l.took
		if !l.knows && l.since != never {
			took = m.now() - l.since
			open = fmt.Sprintf("; %s does not know of %s at the end", l.machine.name, b.machine.name)
		}
		if l.late {
			late = max(late, took)
		} else {
			soon = max(soon, took)
		}
	})
	ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
	return verdict{
		held:     count > 1 && soon <= c.AtMost && late <= c.AfterHeal && flows <= c.Flows,
		measured: fmt.Sprintf("%s at most, %s for those who were cut off, flows %s, %d times%s", ms(soon), ms(late), ms(flows), count, open),
	}
}
