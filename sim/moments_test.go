package sim

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/scenario"
)

// blind keeps the simulation from looking once a second.
func (m *mesh) blind() { m.observer.ticks++ }

// brief runs a mesh of three with a service on the second, breaks an invariant for less than a second at 50.2 s, and
// demands that this was seen although nobody looked.
func brief(t *testing.T, want scenario.Invariant, breaks map[time.Duration]func(m *mesh)) {
	t.Helper()
	text := quiet + "nodes: 3\nduration: 53s\nservices: [{name: web, on: [2], protocol: tcp}]\ntraffic: [{from: 3, to: web, rate: 5/s}]\n" +
		"expect: [{always: [no_unauthorized, no_false_dead, durable, blast]}]\n"
	looks := map[time.Duration]func(*mesh){
		50 * time.Second: func(m *mesh) {
			m.blind()
			if len(m.failures) > 0 {
				t.Errorf("broken before: %v", m.failures)
			}
		},
		52 * time.Second: func(m *mesh) { m.broke(t, want) },
	}
	for at, do := range breaks {
		looks[50*time.Second+at] = do
	}
	watch(t, text, looks)
}

func TestBriefDeathIsSeen(t *testing.T) {
	brief(t, scenario.NoFalseDead, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			tell := m.incidents(m.machines[0]).NodeChanged // as its daemon does
			go tell(micronet.NodeChange{Node: m.machines[1].id, From: micronet.Alive, To: micronet.Dead})
		},
		// When somebody looks again, there is nothing to be seen: the machine has been held up since.
		400 * time.Millisecond: func(m *mesh) { m.machines[1].stalled = time.Now() },
	})
}

func TestBriefVisitIsSeen(t *testing.T) {
	brief(t, scenario.NoUnauthorized, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			p := m.services[0].on[m.machines[1]].program
			for _, v := range p.visits() {
				go p.note(visit{v.from, "n1"})
			}
		},
		400 * time.Millisecond: func(m *mesh) { m.withdraw(m.services[0], m.machines[1]) }, // and with it what it remembers
	})
}

// A byte that passes late is a breach also where its receiver starts anew in the same second.
func TestBriefFlowOfTheRevokedIsSeen(t *testing.T) {
	brief(t, scenario.NoUnauthorized, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			x, y := m.machines[2], m.machines[1]
			b := &banishment{machine: x, id: x.id, known: map[*machine]*lesson{}}
			b.known[y] = &lesson{machine: y, life: y.life, knows: true, at: m.now() - 3*time.Second}
			m.banishments, x.revoked = append(m.banishments, b), x.id
			m.barring.Store(true)
		},
		// The caller of n3 has called five times by now.
		1200 * time.Millisecond: func(m *mesh) { m.banishments = nil },
	})
}

func TestBriefTunnelToAStrangerIsSeen(t *testing.T) {
	brief(t, scenario.NoUnauthorized, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			tell := m.incidents(m.machines[0]).TunnelChanged
			go tell(micronet.TunnelChange{Peer: m.machines[1].id, Up: true}) // a member
			go tell(micronet.TunnelChange{Peer: nobody(7), Up: true})
		},
	})
}

func TestBriefKeyIsSeen(t *testing.T) {
	path := filepath.Join(dataDir, "node.key")
	var key []byte
	write := func(m *mesh, raw []byte) {
		if err := micronet.WriteFile(m.machines[1].host.FS(), path, raw, 0o600); err != nil {
			t.Error(err)
		}
	}
	brief(t, scenario.Durable, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			key, _ = m.machines[1].read("node.key")
			write(m, []byte("another"))
		},
		400 * time.Millisecond: func(m *mesh) { write(m, key) },
	})
}

// An epoch that is used a moment before it is on disk is one that a crash takes back.
func TestBriefEpochIsSeen(t *testing.T) {
	brief(t, scenario.Durable, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			x := m.machines[1]
			s, _ := x.snapshot()
			raw, _ := s.Signed(x.id)
			early := append([]byte{}, raw...)
			binary.BigEndian.PutUint64(early[5+50:], m.witness.epochOf(x.name)+1<<8)
			m.witness.published(x.name, x.id, early, x.inside.durable)
			m.witness.of[x.name].epoch = 0
		},
	})
}

func TestRevocationThatIsNotOnDiskIsSeen(t *testing.T) {
	brief(t, scenario.Durable, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			tell := m.incidents(m.machines[0]).NodeChanged
			go tell(micronet.NodeChange{Node: m.machines[1].id, From: micronet.Alive, To: micronet.Revoked})
		},
	})
}

// A part of a daemon that fails on what another node sends is a breach also where the daemon catches that and goes on.
func TestBriefFaultIsSeen(t *testing.T) {
	brief(t, scenario.Blast, map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) {
			tell := m.incidents(m.machines[0]).PacketDropped
			go tell(micronet.PacketDrop{Where: "underlay", Why: "replay", Peer: m.machines[1].id}) // drops are usual
			go tell(micronet.PacketDrop{Where: "node", Why: faultMet, Peer: m.machines[1].id})
		},
	})
}

// A daemon that ends by itself is noticed at once, also where somebody starts it again in the same second.
func TestBriefEndOfADaemonIsSeen(t *testing.T) {
	brief(t, "running", map[time.Duration]func(*mesh){
		200 * time.Millisecond: func(m *mesh) { m.machines[1].life.cancel() },
		600 * time.Millisecond: func(m *mesh) { m.start(m.machines[1]) },
	})
}

// What is told while the simulation waits for a daemon is judged as of when it happened.
func TestMomentsAreDated(t *testing.T) {
	err := Bubble(func() {
		l := newMoments()
		l.add(func(ago time.Duration) {
			if ago != time.Second {
				t.Errorf("it was %v ago", ago)
			}
		})
		time.Sleep(time.Second)
		if !l.wait(time.Hour) {
			t.Error("nothing rang")
		}
		l.judge()
		if l.wait(time.Second) || l.wait(0) || l.wait(-1) {
			t.Error("it rang twice")
		}
		for range maxMoments + 1 {
			l.add(func(time.Duration) {})
		}
		if n := len(l.take()); n != maxMoments {
			t.Errorf("%d wait", n)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
