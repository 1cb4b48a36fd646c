package scenario

import (
	"reflect"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestTheExampleOfTheDesign(t *testing.T) {
	want := &Scenario{
		File: "test.yaml", Name: "a long partition heals", Fidelity: Full,
		Groups:   []Group{{Name: "n", Nodes: 20}},
		Network:  Link{Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.01, ICMP: true, named: namedLatency | namedJitter | namedLoss},
		Services: []Service{{Line: 4, Name: "web", Instances: 4, Protocol: micronet.HTTP, Port: 9000}},
		Traffic:  []Traffic{{Line: 5, From: sel(t, "all"), To: "web", Rate: 5, Kind: Requests, Size: 1000, Stop: 12 * time.Minute, Patience: 5 * time.Second}},
		Timeline: []Step{
			{At: 30 * time.Second, Line: 7, Action: Partition{[]Selector{sel(t, "1-10"), sel(t, "11-20")}}},
			{At: 10 * time.Minute, Line: 9, Action: Heal{HealAll}},
		},
		Expect: []Expectation{
			{12, "after_heal: 15s, converged: true", Converged{AfterHeal: 15 * time.Second}},
			{14, "always: [no_loops, no_ghosts, no_unauthorized]", Always{[]Invariant{NoLoops, NoGhosts, NoUnauthorized}}},
			{15, "success_rate: {service: web, at_least: 99.9%, outside: [30s, 45s]}", SuccessRate{"web", 0.999, []Interval{{30 * time.Second, 45 * time.Second}}}},
		},
		Duration: 12 * time.Minute, Relay: RelayAuto, TCP: TCPAuto,
	}
	if got := parse(t, design); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestGroupsAndTheirNodes(t *testing.T) {
	s := parse(t, `name: groups
about: |
  Two sites.
  One is behind NAT behind NAT.
fidelity: gossip
groups:
  - name: eu
    nodes: 2
    nat: {kind: restricted, timeout: 30s, hairpin: true, levels: 2, port_map: nat_pmp}
    network: {latency: 1ms}
  - {name: us-east, nodes: 1, nat: none, firewall: true}
duration: 1m
`)
	if s.About != "Two sites.\nOne is behind NAT behind NAT.\n" || s.Fidelity != Gossip {
		t.Errorf("about %q, fidelity %q", s.About, s.Fidelity)
	}
	want := []Group{
		{"eu", 2, NAT{Restricted, 30 * time.Second, true, 2, NATPMP}, false, Link{Latency: time.Millisecond, named: namedLatency}},
		{Name: "us-east", Nodes: 1, Firewall: true},
	}
	if !reflect.DeepEqual(s.Groups, want) {
		t.Errorf("groups %+v", s.Groups)
	}
	nodes := []NodeRef{{"eu", 1, "eu1"}, {"eu", 2, "eu2"}, {"us-east", 1, "us-east1"}}
	if got := s.Nodes(); !reflect.DeepEqual(got, nodes) {
		t.Errorf("nodes %v", got)
	}
	if Joined(3) != (NodeRef{"j", 3, "j3"}) || Cloned("twin") != (NodeRef{Name: "twin"}) {
		t.Error("the refs of nodes that come later")
	}
}

func TestLinks(t *testing.T) {
	s := parse(t, head+`links:
  - from: eu
    to: [us-east, 1]
    both: true
    latency: 80ms
    jitter: 1ms
    loss: 0.5%
    udp_loss: 60%
    burst: {share: 2%, length: 200ms}
    duplicate: 1%
    reorder: 2%
    corrupt: 3%
    bandwidth: 10Mbit/s
    queue: 64KB
    mtu: 1280
    icmp: false
    drops: quic
  - {from: 1, to: 2, burst: 0, loss: 0, bandwidth: 1MB/s}
`)
	full := Link{
		80 * time.Millisecond, time.Millisecond, 0.005, 0.6,
		Burst{0.02, 200 * time.Millisecond, 1},
		0.01, 0.02, 0.03, 1_250_000, 64_000, 1280, false, QUIC, 1<<13 - 1,
	}
	want := []LinkRule{
		{10, sel(t, "eu"), sel(t, "us-east, 1"), true, full},
		{26, sel(t, "1"), sel(t, "2"), false, Link{Bandwidth: 1e6, named: namedBurst | namedLoss | namedBandwidth}},
	}
	if !reflect.DeepEqual(s.Links, want) {
		t.Errorf("got  %+v\nwant %+v", s.Links, want)
	}
	over := s.Links[1].Link.Over(full)
	if over.Latency != full.Latency || over.Loss != 0 || over.Burst != (Burst{}) || over.Bandwidth != 1e6 || over.MTU != 1280 {
		t.Errorf("the second over the first: %+v", over)
	}
	if all := full.Over(Link{Latency: 1, Queue: 5, ICMP: true, Drops: CarriedQUIC}); all != full {
		t.Errorf("one that says everything: %+v", all)
	}
	if got := (Link{}).Over(full); got != full {
		t.Errorf("one that says nothing: %+v", got)
	}
}

func TestServicesAndTraffic(t *testing.T) {
	s := parse(t, `name: services
nodes: 4
services:
  - name: web
    instances: 5
    check: {kind: http, path: /health, interval: 1s, timeout: 500ms, failures_before_critical: 2, successes_before_passing: 3}
  - {name: db, on: [2, 4], protocol: tcp, port: 5432, check: tcp}
  - {name: late, instances: 0, port: 9000}
  - {name: one, check: none}
traffic:
  - {from: not founder, to: db, rate: 0.1/s, kind: stream, size: 4MiB, start: 5s, stop: 20s, patience: 12s}
duration: 30s
`)
	want := []Service{
		{4, "web", 5, Selector{}, micronet.HTTP, 9001, Check{CheckHTTP, "/health", time.Second, time.Second / 2, 2, 3}},
		{7, "db", 0, sel(t, "2, 4"), micronet.TCP, 5432, Check{Kind: CheckTCP}},
		{8, "late", 0, Selector{}, micronet.HTTP, 9000, Check{}},
		{9, "one", 1, Selector{}, micronet.HTTP, 9002, Check{Kind: CheckNone}},
	}
	if !reflect.DeepEqual(s.Services, want) {
		t.Errorf("got  %+v\nwant %+v", s.Services, want)
	}
	traffic := []Traffic{{11, sel(t, "not founder"), "db", 0.1, Streams, 4 << 20, 5 * time.Second, 20 * time.Second, 12 * time.Second}}
	if !reflect.DeepEqual(s.Traffic, traffic) {
		t.Errorf("traffic %+v", s.Traffic)
	}
	for i, want := range [][]int{{1, 2, 3, 0, 1}, {1, 3}, {}, {1}} {
		if got := s.Services[i].Place(s.Nodes(), nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is placed at %v, want %v", s.Services[i].Name, got, want)
		}
	}
}

func TestStepsAreRepeatedAndSorted(t *testing.T) {
	s := parse(t, head+`timeline:
  - {at: 20s, kill: 3}
  - {at: 5s, every: 10s, until: 25s, stall: random 1, for: 2s}
  - {at: 5s, start: 3}
  - {at: 9m50s, every: 5s, snapshot: 1}
`)
	var got []string
	for _, step := range s.Timeline {
		got = append(got, step.At.String()+" "+step.Action.Verb()+" "+step.For.String())
	}
	want := "5s stall 2s, 5s start 0s, 15s stall 2s, 20s kill 0s, 25s stall 2s, 9m50s snapshot 0s, 9m55s snapshot 0s, 10m0s snapshot 0s"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestAnchorsAndJSON(t *testing.T) {
	s := parse(t, strings.Replace(head, "{latency: 20ms}", "&far {latency: 20ms}", 1)+"timeline:\n- at: 1s\n  network: *far\n")
	if n := s.Timeline[0].Action.(SetNetwork); n.Link.Latency != 20*time.Millisecond {
		t.Errorf("an alias is %+v", n)
	}
	s = parse(t, `{"name": "json", "nodes": 3, "duration": "1m",
"timeline": [{"at": "1s", "kill": 3}, {"at": 0, "partition": [["1-2"], [3]]}]}`)
	if len(s.Timeline) != 2 || s.Timeline[1].Action.Verb() != "kill" {
		t.Errorf("JSON is %+v", s.Timeline)
	}
}

// Sizes of packets count wherever a file limits them.
func TestNamesMTU(t *testing.T) {
	const plain = "name: x\nduration: 1m\ngroups:\n- {name: a, nodes: 2, network: {G}}\nnetwork: {latency: 1ms, N}\nlinks:\n- {from: a, to: a, loss: 1%, L}\n" +
		"timeline:\n- {at: 1s, link: {from: a, to: a, loss: 2%, S}}\n- {at: 2s, network: {loss: 1%, W}}\n"
	for _, place := range []string{"G", "N", "L", "S", "W", ""} {
		text := plain
		for _, p := range []string{"G", "N", "L", "S", "W"} {
			set := "jitter: 1ms"
			if p == place {
				set = "mtu: 1300"
			}
			text = strings.Replace(text, p+"}", set+"}", 1)
		}
		if got := parse(t, text).NamesMTU(); got != (place != "") {
			t.Errorf("place %q: %v", place, got)
		}
	}
}
