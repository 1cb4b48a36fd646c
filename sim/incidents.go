package sim

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

// incidents are the events of a daemon that may break an invariant for a moment only.
func (m *mesh) incidents(x *machine) *micronet.Events {
	e := &micronet.Events{}
	if m.demands(scenario.NoFalseDead, scenario.Durable) {
		e.NodeChanged = func(c micronet.NodeChange) { m.nodeChanged(x, c) }
	}
	if m.demands(scenario.NoUnauthorized) {
		e.TunnelChanged = func(c micronet.TunnelChange) {
			if c.Up {
				m.moments.add(func(ago time.Duration) { m.judgeTunnel(x, c.Peer, ago) })
			}
		}
	}
	if m.demands(scenario.Blast) {
		e.PacketDropped = func(p micronet.PacketDrop) {
			if p.Why == faultMet {
				m.moments.add(func(time.Duration) { m.judgeFault(x, p.Peer) })
			}
		}
	}
	return e
}

// faultMet is why a daemon drops input on which a part of it has failed.
const faultMet = "panic"

// judgeFault: no part of a daemon fails on what another node sends, also where the daemon lives on.
func (m *mesh) judgeFault(x *machine, peer micronet.NodeID) {
	if x.doubtful() {
		return
	}
	from := "somebody"
	if !peer.IsZero() {
		from = m.nameOf(peer)
	}
	m.fail(x.name, string(scenario.Blast), "a part of it has failed on what "+from+" sent")
}

func (m *mesh) nodeChanged(x *machine, c micronet.NodeChange) {
	switch {
	case c.To == micronet.Dead && m.demands(scenario.NoFalseDead):
		m.moments.add(func(ago time.Duration) { m.judgeDead(x, c.Node, ago) })
	case c.To == micronet.Revoked && m.demands(scenario.Durable):
		// What a crash would leave at this instant: the judge may come when it is written.
		raw := x.host.Disk().Durable(filepath.Join(dataDir, "statements.json"))
		m.moments.add(func(time.Duration) { m.judgeRevoked(x, c.Node, raw) })
	}
}

// judgeTunnel: nobody has a tunnel with who is no member, or with whom it has known to be revoked for a while.
func (m *mesh) judgeTunnel(x *machine, peer micronet.NodeID, ago time.Duration) {
	if x.doubtful() {
		return
	}
	fail := func(text string) { m.fail(x.name, string(scenario.NoUnauthorized), text) }
	if !m.isMember(peer) {
		fail("has a tunnel to " + peer.Short() + ", who is no member")
	}
	for _, b := range m.banishments {
		if l := b.known[x]; b.id == peer && l != nil && l.knows && l.life == x.life && m.now()-ago-l.at > severTime {
			fail(fmt.Sprintf("has a new tunnel to %s %s after that was known to be revoked", b.machine.name, (m.now() - ago - l.at).Round(time.Millisecond)))
		}
	}
}

// isMember reports whether a machine has this identity. One that has just joined may have told nobody yet.
func (m *mesh) isMember(id micronet.NodeID) bool {
	if m.machineOf(id) != nil || m.witness.knows(id) {
		return true
	}
	for _, x := range m.machines {
		if idOf(x.host.Disk()) == id {
			m.learn(id, x)
			return true
		}
	}
	return false
}

// idOf is the identity on a disk, zero when there is none.
func idOf(d *netsim.Disk) micronet.NodeID {
	var keys identity.Keys
	if keys.UnmarshalBinary(d.Durable(filepath.Join(dataDir, "node.key"))) != nil {
		return micronet.NodeID{}
	}
	return keys.ID()
}

// judgeRevoked: who acts on a revocation has it on its disk, where that takes anything.
func (m *mesh) judgeRevoked(x *machine, id micronet.NodeID, raw []byte) {
	if x.doubtful() || x.diskFailed || !x.alive() {
		return
	}
	var sealed struct{ Data struct{ Statements [][]byte } }
	if err := json.Unmarshal(raw, &sealed); err != nil {
		m.fail(x.name, string(scenario.Durable), "acts on a revocation, and what authorities have said is not on its disk: "+err.Error())
		return
	}
	for _, raw := range sealed.Data.Statements {
		if st, err := identity.ParseStatement(raw); err == nil && st.Kind.Permanent() && string(st.Subject) == string(id[:]) {
			return
		}
	}
	m.fail(x.name, string(scenario.Durable), "refuses "+m.nameOf(id)+" as revoked and has no such statement on its disk")
}

// watchDisk lets each change of what must never change be judged.
func (m *mesh) watchDisk(x *machine) {
	if !m.demands(scenario.Durable) {
		return
	}
	watch := func(name string, judge func(raw []byte) string) {
		x.host.Disk().Observe(filepath.Join(dataDir, name), func(raw []byte) {
			m.moments.add(func(time.Duration) {
				if why := judge(raw); why != "" && !x.doubtful() {
					m.fail(x.name, string(scenario.Durable), why)
				}
			})
		})
	}
	watch("node.key", x.judgeKey)
	watch("membership.json", func(raw []byte) string { return x.judgeCertificate(raw, idOf(x.host.Disk())) })
}
