package sim

import (
	"fmt"
	"io/fs"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

func TestStallHoldsAMachineUp(t *testing.T) {
	watch(t, quiet+"nodes: 4\nduration: 90s\ntimeline: [{at: 30s, for: 20s, stall: 3}]\nexpect: [{converged: true}]\n", map[time.Duration]func(*mesh){
		40 * time.Second: func(m *mesh) {
			x := m.machines[2]
			if x.alive() || !x.host.Stalled() || m.oracle.parts[2] != -1 || m.oracle.parts[1] < 0 {
				t.Errorf("during the stall: alive %v, stalled %v, parts %v", x.alive(), x.host.Stalled(), m.oracle.parts)
			}
		},
		51 * time.Second: func(m *mesh) {
			x := m.machines[2]
			if !x.alive() || x.host.Stalled() || m.oracle.parts[2] < 0 || m.mayNotBeDead(x) {
				t.Errorf("after the stall: alive %v, stalled %v, parts %v", x.alive(), x.host.Stalled(), m.oracle.parts)
			}
		},
	})
}

func TestDiskFates(t *testing.T) {
	text := quiet + `nodes: 4
duration: 110s
services: [{name: old, on: [2], protocol: tcp, check: none}]
timeline:
  - {at: 20s, snapshot: 2}
  - {at: 25s, deregister: {service: old, on: 2}}
  - {at: 30s, restart: {nodes: 2, disk: rolled_back}}
  - {at: 60s, restart: {nodes: 3, disk: lost}}
expect: [{converged: true}]
`
	var first micronet.NodeID
	watch(t, text, map[time.Duration]func(*mesh){
		25 * time.Second: func(m *mesh) { first = m.machines[1].id },
		40 * time.Second: func(m *mesh) {
			x := m.machines[1]
			if x.id != first || x.boots != 2 {
				t.Errorf("a rolled back node is %v after %d starts, it was %v", x.id, x.boots, first)
			}
			if _, err := x.host.FS().Stat(serviceFile("old")); err == nil {
				t.Error("a service that was withdrawn is there again")
			}
			first = m.machines[2].id
		},
		100 * time.Second: func(m *mesh) {
			if x := m.machines[2]; x.id == first || m.machineOf(first) != x || m.machineOf(x.id) != x {
				t.Errorf("a node without its disk is %v, it was %v", x.id, first)
			}
		},
	})
}

func TestTwinsAreDoubted(t *testing.T) {
	text := quiet + `nodes: 4
duration: 80s
timeline:
  - {at: 30s, clone: {of: 2, as: twin}}
  - {at: 60s, kill: twin}
`
	watch(t, text, map[time.Duration]func(*mesh){
		50 * time.Second: func(m *mesh) {
			a, b := m.machines[1], m.named("twin")
			if b == nil || b.id != a.id || !a.doubtful() || !b.doubtful() || m.machines[2].doubtful() {
				t.Errorf("%v and its twin %v do not speak with one voice", a, b)
			}
		},
		70 * time.Second: func(m *mesh) {
			if m.machines[1].doubtful() {
				t.Error("the twin is gone, and its original still doubted")
			}
		},
	})
}

func TestClocksAndSpeed(t *testing.T) {
	text := quiet + `nodes: 2
duration: 40s
timeline:
  - {at: 10s, for: 20s, clock: {nodes: 2, skew: 5m, drift: 1000ppm}}
  - {at: 10s, for: 20s, slow: {nodes: 2, factor: 10}}
`
	watch(t, text, map[time.Duration]func(*mesh){
		20 * time.Second: func(m *mesh) {
			if got := m.machines[1].host.Skew(); got != 5*time.Minute+10*time.Millisecond {
				t.Errorf("the clock is %v ahead", got)
			}
		},
		31 * time.Second: func(m *mesh) {
			if got := m.machines[1].host.Skew(); got != 0 {
				t.Errorf("the clock is still %v ahead", got)
			}
		},
	})
}

func TestBrokenDisks(t *testing.T) {
	write := func(m *mesh) error {
		return micronet.WriteFile(m.machines[1].host.FS(), "/tmp-file", []byte("x"), fs.FileMode(0o600))
	}
	text := quiet + "nodes: 2\nduration: 40s\ntimeline: [{at: 10s, for: 10s, disk: {nodes: 2, fault: %s}}]\n"
	for _, fault := range []scenario.DiskFault{scenario.DiskFull, scenario.DiskEIO, scenario.DiskReadOnly} {
		watch(t, fmt.Sprintf(text, fault), map[time.Duration]func(*mesh){
			5 * time.Second: func(m *mesh) {
				if err := write(m); err != nil {
					t.Errorf("%s: before: %v", fault, err)
				}
			},
			15 * time.Second: func(m *mesh) {
				if write(m) == nil {
					t.Errorf("%s: the disk takes what is written", fault)
				}
			},
			25 * time.Second: func(m *mesh) {
				if err := write(m); err != nil {
					t.Errorf("%s: afterwards: %v", fault, err)
				}
			},
		})
	}
}

func TestUDPBlocked(t *testing.T) {
	for tcp, want := range map[string]micronet.NodeStatus{"auto": micronet.Alive, "off": micronet.Dead} {
		t.Run("tcp "+tcp, func(t *testing.T) { blocksUDP(t, tcp, want) })
	}
}

func blocksUDP(t *testing.T, tcp string, want micronet.NodeStatus) {
	text := quiet + "nodes: 3\ntcp: " + tcp + "\nduration: 2m\ntimeline: [{at: 30s, for: 30s, udp_blocked: 3}]\nexpect: [{at: 60s, within: 12s, converged: true}]\n"
	watch(t, text, map[time.Duration]func(*mesh){
		59 * time.Second: func(m *mesh) {
			if m.faults.hear(m.machines[0], m.machines[2]) || m.faults.whole() {
				t.Error("the oracle does not know that datagrams are blocked")
			}
			if s := m.statuses(m.machines[2]); s["n1"] != want || s["n2"] != want {
				t.Errorf("to a node without datagrams the others are %v", s)
			}
		},
	})
}

func TestGroupBehindANAT(t *testing.T) {
	text := `name: nat
network: {latency: 5ms}
groups: [{name: cloud, nodes: 2}, {name: home, nodes: 2, nat: {kind: symmetric, levels: 2}}]
duration: 90s
timeline: [{at: 60s, rebind: home}]
expect: [{at: 40s, converged: true}, {converged: true}]
`
	watch(t, text, map[time.Duration]func(*mesh){
		59 * time.Second: func(m *mesh) {
			d := m.nats["home"]
			if len(d) != 2 || d[0].Mappings() == 0 || d[1].Mappings() == 0 {
				t.Errorf("nothing goes through the devices: %d of them", len(d))
			}
			if !m.direct(m.machines[2], m.machines[3]) || !m.direct(m.machines[0], m.machines[2]) {
				t.Error("who is behind one NAT, or calls the open world, is not reached")
			}
		},
	})
}

func TestGroupBehindFirewalls(t *testing.T) {
	text := `name: firewalls
network: {latency: 5ms}
groups: [{name: cloud, nodes: 2}, {name: vpc, nodes: 2, firewall: true}]
duration: 60s
timeline: [{at: 41s, for: 5s, udp_blocked: vpc}]
expect: [{at: 40s, converged: true}, {at: 46s, within: 12s, converged: true}]
`
	watch(t, text, map[time.Duration]func(*mesh){
		39 * time.Second: func(m *mesh) {
			if m.direct(m.machines[2], m.machines[3]) || !m.direct(m.machines[0], m.machines[2]) {
				t.Error("who is behind a firewall is reached from everywhere, or from nowhere")
			}
			if dropped := m.world.Stats().Firewall; dropped == 0 {
				t.Error("no firewall has dropped anything")
			}
		},
	})
}

func TestConvertSaysAll(t *testing.T) {
	s, err := scenario.Parse("test", []byte(`name: link
nodes: 1
duration: 1s
network: {latency: 20ms, jitter: 5ms, loss: 1%, burst: {share: 2%, length: 1s, loss: 50%}, duplicate: 3%, reorder: 4%, corrupt: 5%, bandwidth: 8Mbit/s, queue: 64KB, mtu: 1400, icmp: false, drops: quic}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := netsim.Link{
		Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.01, Duplicate: 0.03, Reorder: 0.04, MTU: 1400,
		Burst: netsim.Burst{Share: 0.02, Time: time.Second, Loss: 0.5}, Corrupt: 0.05, Bandwidth: 1_000_000, Queue: 64_000,
		Drops: quicAlone{},
	}
	if got := convert(s.Network); got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if got := burst(scenario.Burst{Share: 0.5, Length: time.Second}); got != (netsim.Burst{}) {
		t.Errorf("a burst that loses nothing is %+v", got)
	}
}
