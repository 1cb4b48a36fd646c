package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/micro-net/sim/scenario"
)

// endPoll is how often it is looked whether a daemon that was told to stop has ended.
const endPoll = 100 * time.Millisecond

func timeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// start starts a machine's daemon and programs unless they run. A daemon that is still saying
// goodbye is waited for, as a service manager would.
func (m *mesh) start(x *machine) {
	switch {
	case x.state == running:
		return
	case x.state == left && !x.life.ended():
		m.agenda.put(m.now()+endPoll, func() { m.start(x) })
		return
	case !x.host.Up():
		x.host.Restart()
	}
	if err := m.boot(x); err != nil {
		m.fail(x.name, "start", err.Error())
		return
	}
	m.startPrograms(x)
}

// stop ends a machine's daemon politely. Its programs go on.
func (m *mesh) stop(x *machine) {
	if x.state != running {
		return
	}
	m.recorder.add(x.name, "stop", "", "")
	x.life.cancel()
	x.enter(left)
	m.oracle.changed()
}

// kill cuts a host off, as a power cut does. What still runs there reaches nobody, and ends by itself.
func (m *mesh) kill(x *machine) {
	if x.state == unborn || x.state == dead {
		return
	}
	m.recorder.add(x.name, "kill", "", "")
	x.host.Crash()
	x.life.cancel()
	m.stopPrograms(x)
	x.enter(dead)
	m.oracle.changed()
}

// restart kills a machine, changes its disk and starts it again.
func (m *mesh) restart(x *machine, disk scenario.DiskFate) {
	m.kill(x)
	if err := m.changeDisk(x, disk); err != nil {
		m.fail(x.name, "scenario", err.Error())
		return
	}
	m.start(x)
}

// join adds machines that join within a time.
func (m *mesh) join(a scenario.Join) {
	token, err := m.tokenFor(a)
	if err != nil {
		m.fail(m.machines[0].name, "scenario", err.Error())
		return
	}
	var batch []*machine
	for i := range a.Nodes {
		m.made.joined++
		x := m.add(scenario.Joined(m.made.joined))
		x.token = token
		batch = append(batch, x)
		at := m.now() + time.Duration(i)*a.Within/time.Duration(a.Nodes)
		m.agenda.put(at, func() { m.start(x) })
	}
	if a.Once {
		m.batches = append(m.batches, batch)
	}
	m.faults.block()
	m.faults.apply()
}

// tokenFor is what the machines of a step join with: the token of all, or one of their own.
func (m *mesh) tokenFor(a scenario.Join) (string, error) {
	if !a.Once {
		return "", nil
	}
	return m.invitation(m.machines[0], 1)
}

// checkBatches: of those who have one token for one, one gets in at most. The others may end.
func (m *mesh) checkBatches() {
	for _, batch := range m.batches {
		in := ""
		for _, x := range batch {
			switch {
			case !x.certified():
			case in != "":
				m.fail(x.name, string(scenario.OneIdentity), "got in with the token that let in "+in)
			default:
				in = x.name
			}
		}
	}
}

// certified reports whether a machine has a certificate.
func (x *machine) certified() bool {
	raw, ok := x.read("membership.json")
	return ok && len(raw) > 0
}

// turnedAway reports whether a machine may have been refused: its token lets in one, and others have it too.
func (m *mesh) turnedAway(x *machine) bool {
	return x.token != "" && !x.certified()
}

// fail notes that something happened that must not.
func (m *mesh) fail(node, invariant, text string) {
	m.recorder.add(node, "violation", "", invariant+": "+text)
	if len(m.failures) < maxFailures {
		m.failures = append(m.failures, failure{m.now(), node, invariant, text})
	}
}

// maxFailures bounds the violations that are told in full.
const maxFailures = 200

// failure is something that must not happen and did.
type failure struct {
	at              time.Duration
	node, invariant string
	text            string
}

func (f failure) String() string {
	return fmt.Sprintf("%v %s: %s: %s", f.at, f.node, f.invariant, f.text)
}
