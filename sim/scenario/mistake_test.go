package scenario

import (
	"fmt"
	"strings"
	"testing"
)

// In the head of a file.
func TestMistakesOfTheHead(t *testing.T) {
	for file, want := range map[string]string{
		"":                                    "1: want a mapping",
		"nodes: 3\nduration: 1m\n":            "1: name is missing",
		"name: a\nnodes: 3\n":                 "1: duration is missing",
		"name: a\nduration: 1m\n":             "1: a scenario without nodes; add nodes: 5",
		"name: a\nduration: 1m\ngroups: []\n": "3: groups: a scenario without nodes; add nodes: 5",
		"name: a\nduration: 1m\nnodes: 3\ngroups: [{name: eu, nodes: 1}]\n":                     "3: nodes: nodes and groups cannot both stand here; remove one of them",
		"name: a\nduration: 1m\nnodes: 2001\n":                                                  "3: nodes: want a whole number from 1 to 2000, found 2001",
		"name: a\nduration: 1m\nnodes: three\n":                                                 `3: nodes: want a whole number from 1 to 2000, found "three"`,
		"name: a\nduration: 60\nnodes: 3\n":                                                     "2: duration: want a duration like 30s, found 60; give the unit: 60s",
		"name: a\nduration: 7d\nnodes: 3\n":                                                     `2: duration: want a duration like 30s, found "7d"; write days as hours: 24h`,
		"name: a\nduration: 0s\nnodes: 3\n":                                                     "2: duration: 0s is not above 0",
		"name: a\nduration: 9000h\nnodes: 3\n":                                                  "2: duration: 9000h0m0s is more than a year",
		"name: a\nduration: 1m\nnodes: 3\nfidelity: ful\n":                                      `4: fidelity: want one of full, gossip, found "ful"; did you mean "full"?`,
		"name: a\nduration: 1m\nnodes: 3\ntimelime: []\n":                                       `4: timelime: unknown key; did you mean "timeline"?`,
		"name: a\nduration: 1m\nnodes: 3\nabout:\n":                                             "4: about: has no value; give it one or remove the key",
		"name: a\nduration: 1m\nnodes: 3\nname: b\n":                                            "4: name: the key stands here twice; remove one",
		"name: a\nduration: 1m\nnodes: 3\nlinks: {}\n":                                          "4: links: want a list, found a mapping",
		"name: \"a\\e[2J\"\nduration: 1m\nnodes: 3\n":                                           "1: name: want one line of at most 400 printable characters",
		"name: a\nduration: 1m\ngroups:\n- {name: eu1, nodes: 1}\n":                             `4: groups[0].name: "eu1" is no name of a group: want at most 40 letters, and hyphens between them; its nodes get the numbers`,
		"name: a\nduration: 1m\ngroups:\n- {name: j, nodes: 1}\n":                               `4: groups[0].name: "j" has a meaning of its own; give it another name`,
		"name: a\nduration: 1m\ngroups:\n- {name: eu, nodes: 1}\n- {name: eu, nodes: 1}\n":      "5: groups[1]: the group eu stands here twice; give it another name",
		"name: a\nduration: 1m\ngroups:\n- {name: eu, nodes: 1500}\n- {name: us, nodes: 501}\n": "3: groups: 2001 nodes, at most 2000 are simulated",
		"name: a\nduration: 1m\ngroups:\n- {name: eu}\n":                                        "4: groups[0]: nodes is missing",
		"name: a\nduration: 1m\ngroups:\n- {name: eu, nodes: 1, nat: symetric}\n":               `4: groups[0].nat: want one of none, full_cone, restricted, port_restricted, symmetric, found "symetric"; did you mean "symmetric"?`,
		"name: a\nduration: 1m\ngroups:\n- {name: eu, nodes: 1, nat: {levels: 3}}\n":            "4: groups[0].nat.levels: want a whole number from 1 to 2, found 3\n4: groups[0].nat: kind is missing",
		"a: [\n": "1: sequence end token ']' not found",
		"name: a\nduration: 1m\nnodes: 3\n---\nname: b\n": "5: a second YAML document; put it into a file of its own",
		"name: !!str a\n": "1: tags, directives, merge keys and complex keys are not read; write the value out",
		"name: *a\n":      "1: name: there is no anchor \"a\" above",
		"1: a\n":          "1: a key that is no text; put it in quotes",
	} {
		wantLines(t, file, want)
	}
}

// In what follows head, whose lines are nine.
func TestMistakesOfTheParts(t *testing.T) {
	for more, want := range map[string]string{
		"links: [{from: eu, to: us-east}]\n":                                                                     "9: links[0]: it says nothing of the link; add a key like latency: 100ms",
		"links: [{from: eu, latency: 1ms}]\n":                                                                    "9: links[0]: to is missing",
		"links:\n- {from: eu, to: us-est, loss: 1%}\n":                                                           `10: links[0].to: there is no node or group "us-est"; did you mean "us-east"?`,
		"links:\n- {from: eu, to: 16, loss: 1%}\n":                                                               "10: links[0].to: there is no node 16: there are 15",
		"links:\n- {from: eu, to: eu11, loss: 1%}\n":                                                             "10: links[0].to: there is no node eu11: the group eu has 10",
		"links:\n- {from: eu, to: eu5-eu11, loss: 1%}\n":                                                         "10: links[0].to: there is no node eu11: the group eu has 10",
		"links:\n- {from: eu, to: not all, loss: 1%}\n":                                                          `10: links[0].to: "not all" stands for no node`,
		"links:\n- {from: eu, to: [], loss: 1%}\n":                                                               "10: links[0].to: an empty list stands for no node; " + selectorFix,
		"links:\n- {from: eu, to: 5-3, loss: 1%}\n":                                                              `10: links[0].to: "5-3" is no selector; ` + selectorFix,
		"links:\n- {from: eu, to: [1, [2]], loss: 1%}\n":                                                         "10: links[0].to[1]: want a selector, found a list",
		"links:\n- {from: eu, to: 1, loss: 0.5}\n":                                                               "10: links[0].loss: want a share like 1%, found 0.5; give it in percent: 50%",
		"links:\n- {from: eu, to: 1, loss: 101%}\n":                                                              "10: links[0].loss: 101% is more than 100%",
		"links:\n- {from: eu, to: 1, latency: 2m}\n":                                                             "10: links[0].latency: 2m0s is out of bounds: want at most 1m0s",
		"links:\n- {from: eu, to: 1, latency: -1s}\n":                                                            "10: links[0].latency: -1s is negative",
		"links:\n- {from: eu, to: 1, bandwidth: 10MBit}\n":                                                       `10: links[0].bandwidth: want a bandwidth like 10Mbit/s, found "10MBit"`,
		"links:\n- {from: eu, to: 1, bandwidth: 1bit/s}\n":                                                       "10: links[0].bandwidth: 1bit/s is out of bounds: want from a byte to a TiB",
		"links:\n- {from: eu, to: 1, queue: 1500}\n":                                                             "10: links[0].queue: want a size like 64KB or 10MB, found 1500; give the unit: 1500B",
		"links:\n- {from: eu, to: 1, mtu: 500}\n":                                                                "10: links[0].mtu: want a whole number from 576 to 65535, found 500",
		"links:\n- {from: eu, to: 1, icmp: maybe}\n":                                                             `10: links[0].icmp: want true or false, found "maybe"`,
		"links:\n- {from: eu, to: 1, drops: quik}\n":                                                             `10: links[0].drops: want one of nothing, quic, carried, found "quik"; did you mean "quic"?`,
		"links:\n- {from: eu, to: 1, burst: {share: 100%, length: 1s}}\n":                                        "10: links[0].burst: a burst that never ends; use loss",
		"links:\n- {from: eu, to: 1, burst: {share: 1%}}\n":                                                      "10: links[0].burst: length is missing",
		"timeline:\n- {kill: 3}\n":                                                                               "10: timeline[0]: at is missing",
		"timeline:\n- {at: 1s}\n":                                                                                "10: timeline[0]: nothing happens in this step; add one of " + strings.Join(sortedKeys(verbs()), ", "),
		"timeline:\n- {at: 1s, kill: 3, start: 4}\n":                                                             "10: timeline[0]: one step cannot be kill and start; make a step of each",
		"timeline:\n- {at: 1s, kil: 3}\n":                                                                        `10: timeline[0].kil: unknown key; did you mean "kill"?`,
		"timeline:\n- {at: 11m, kill: 3}\n":                                                                      "10: timeline[0].at: 11m0s is after the end, at 10m0s; make duration longer",
		"timeline:\n- {at: 1s, stall: 3}\n":                                                                      "10: timeline[0]: stall has no end; add for: 20s",
		"timeline:\n- {at: 1s, heal: all, for: 3s}\n":                                                            "10: timeline[0]: heal cannot be taken back; remove for",
		"timeline:\n- {at: 1s, heal: al}\n":                                                                      `10: timeline[0].heal: want one of all, partitions, links, found "al"; did you mean "all"?`,
		"timeline:\n- {at: 1s, until: 5s, kill: 3}\n":                                                            "10: timeline[0]: until without every; add every: 5s, or use for",
		"timeline:\n- {at: 9s, every: 1s, until: 5s, kill: 3}\n":                                                 "10: timeline[0]: until 5s is before at 9s",
		"timeline:\n- {at: 0, every: 1ms, kill: 3}\n":                                                            "10: timeline[0]: more than 10000 steps; repeat less often",
		"timeline:\n- {at: 0, every: 1s, clone: {of: 1, as: twin}}\n":                                            "10: timeline[0]: clones of one name; remove every",
		"timeline:\n- {at: 0, clone: {of: 1-2, as: twin}}\n":                                                     `10: timeline[0].clone.of: want one node, "1-2" stands for 2; name one, or write random 1`,
		"timeline:\n- {at: 0, clone: {of: 1, as: eu3}}\n":                                                        `10: "eu3" is the name of others; give the clone another name`,
		"timeline:\n- {at: 0, clone: {of: 1, as: random}}\n":                                                     `10: timeline[0].clone.as: want a name like twin, found "random"`,
		"timeline:\n- {at: 0, clone: {of: 1, as: 3-4}}\n":                                                        `10: timeline[0].clone.as: want a name like twin, found "3-4"`,
		"timeline:\n- {at: 0, insider: {node: eu, forge: dead}}\n":                                               `10: timeline[0].insider.node: want one node, "eu" stands for 10; name one, or write random 1`,
		"timeline:\n- {at: 0, insider: {node: 1, forge: relay_drops, about: 2}}\n":                               `10: timeline[0].insider: relay_drops is about all whom the relay forwards for; leave about out`,
		"timeline:\n- {at: 0, partition: [[1-5], [5-9]]}\n":                                                      "10: timeline[0].partition: eu5 is on two sides; name it on one side",
		"timeline:\n- {at: 0, partition: []}\n":                                                                  "10: timeline[0].partition: a partition without sides; write it like [[1-5], [6-10]]",
		"timeline:\n- {at: 0, partition: eu}\n":                                                                  "10: timeline[0].partition: want a list, found \"eu\"",
		"timeline:\n- {at: 0, partition: [[1-5], [ue]]}\n":                                                       `10: timeline[0].partition[1]: there is no node or group "ue"; did you mean "eu"?`,
		"timeline:\n- {at: 0, apart: {a: eu, b: 3}}\n":                                                           "10: timeline[0].apart: eu3 is on two sides; name it on one side",
		"timeline:\n- {at: 0, apart: {a: eu}}\n":                                                                 "10: timeline[0].apart: b is missing",
		"timeline:\n- {at: 0, bridge: {a: eu, b: us-east, over: 11}}\n":                                          "10: timeline[0].bridge: us-east1 is on two sides; name it on one side",
		"timeline:\n- {at: 0, flap: {a: 1, b: 2, rate: 2000/s}, for: 1s}\n":                                      "10: timeline[0].flap: a rate above 1000/s",
		"timeline:\n- {at: 0, flap: {a: 1, b: 2, rate: 0/s}, for: 1s}\n":                                         "10: timeline[0].flap.rate: 0/s is out of bounds: want above 0/s, at most 1000000/s",
		"timeline:\n- {at: 0, flap: {a: 1, b: 2, rate: 5}, for: 1s}\n":                                           "10: timeline[0].flap.rate: want a rate like 5/s or 0.1/s, found 5",
		"timeline:\n- {at: 0, network: {}}\n":                                                                    "10: timeline[0].network: it says nothing of the link; add a key like latency: 100ms",
		"timeline:\n- {at: 0, clock: {nodes: 1}}\n":                                                              "10: timeline[0].clock: it says nothing of the clock; add skew: 5m or drift: 500ppm",
		"timeline:\n- {at: 0, clock: {nodes: 1, drift: 500}}\n":                                                  "10: timeline[0].clock.drift: want a drift like 500ppm or -20ppm, found 500",
		"timeline:\n- {at: 0, slow: {nodes: 1, factor: 0.5}}\n":                                                  "10: timeline[0].slow.factor: want a number from 1 to 1000000, found 0.5",
		"timeline:\n- {at: 0, slow: 1}\n":                                                                        "10: timeline[0].slow: want a mapping with factor, nodes, found 1",
		"timeline:\n- {at: 0, disk: {nodes: 1, fault: fll}}\n":                                                   `10: timeline[0].disk.fault: want one of none, full, eio, readonly, torn, found "fll"; did you mean "full"?`,
		"timeline:\n- {at: 0, rebind: us-east}\n":                                                                "10: timeline[0].rebind: the group us-east is behind no NAT; add nat: symmetric to the group",
		"timeline:\n- {at: 0, rebind: ue}\n":                                                                     `10: timeline[0].rebind: there is no group "ue"; did you mean "eu"?`,
		"timeline:\n- {at: 0, register: {service: wbe, on: 3}}\n":                                                `10: timeline[0].register.service: there is no service "wbe"; did you mean "web"?`,
		"timeline:\n- {at: 0, join: {nodes: 1986}}\n":                                                            "9: timeline: more than 2000 nodes in the end; let fewer join",
		"timeline:\n- {at: 5s, kill: j}\n- {at: 9s, join: {nodes: 2}}\n":                                         "10: timeline[0].kill: j1 is there from 9s on; use it then",
		"timeline:\n- {at: 9s, kill: j3}\n- {at: 9s, join: {nodes: 2}}\n":                                        "10: timeline[0].kill: there is no node j3: the group j has 2",
		"timeline:\n- {at: 9s, kill: j}\n":                                                                       `10: timeline[0].kill: there is no node or group "j"; valid are all, eu, founder, us-east`,
		"timeline:\n- {at: 5s, kill: 16}\n- {at: 9s, join: {nodes: 2}}\n":                                        "10: timeline[0].kill: there is no node 16 at 5s: there are 15",
		"timeline:\n- {at: 5s, kill: twin}\n- {at: 9s, clone: {of: 1, as: twin}}\n":                              "10: timeline[0].kill: twin is there from 9s on; use it then",
		"timeline:\n- {at: 1s, clone: {of: 1, as: a}}\n- {at: 9s, clone: {of: 1, as: a}}\n":                      `11: "a" is the name of others; give the clone another name`,
		"expect:\n- {converged: false}\n":                                                                        "10: expect[0].converged: want true, found false",
		"expect:\n- {converged: true, after_heal: 5s}\n":                                                         "10: expect[0].after_heal: nothing is healed in this timeline; add a heal, or use at",
		"expect:\n- {converged: true, after_heal: 5s, at: 3s}\n":                                                 "10: expect[0].after_heal: after_heal stands alone; remove it, or at and within",
		"timeline:\n- {at: 1s, heal: all}\nexpect:\n- {converged: true, after_heal: 5s, among: eu}\n":            "12: expect[0].among: after_heal is about all nodes; use at and within",
		"expect:\n- {converged: true, within: 5s}\n":                                                             "10: expect[0].within: within needs at; add at: 60s",
		"expect:\n- {converged: true, at: 10m, within: 5s}\n":                                                    "10: expect[0]: at and within end after the scenario, at 10m0s; make duration longer",
		"expect:\n- {at: 5s}\n":                                                                                  "10: expect[0]: nothing is expected here; add one of " + strings.Join(sortedKeys(conditions()), ", "),
		"expect:\n- {always: [bounded], converged: true}\n":                                                      "10: expect[0]: one entry cannot be always and converged; make an entry of each",
		"expect:\n- {always: [bounded], at: 5s}\n":                                                               "10: expect[0].at: only converged has this key beside it; write it into always, or remove it",
		"expect:\n- always: [no_loop]\n":                                                                         `10: expect[0].always[0]: want one of no_loops, no_ghosts, no_unauthorized, no_lost, no_false_dead, bounded, no_forge, no_rollback, one_identity, durable, blast, found "no_loop"; did you mean "no_loops"?`,
		"expect:\n- always: [bounded, bounded]\n":                                                                "10: expect[0].always[1]: bounded stands here twice; remove one",
		"expect:\n- always: []\n":                                                                                "10: expect[0].always: an empty list; name one",
		"expect:\n- success_rate: {service: db, at_least: 99%}\n":                                                "10: expect[0].success_rate: there is no traffic to db; add one to traffic",
		"expect:\n- success_rate: {service: web}\n":                                                              "10: expect[0].success_rate: at_least is missing",
		"expect:\n- success_rate: {service: web, at_least: 99%, outside: [5s]}\n":                                "10: expect[0].success_rate.outside: want an interval like [30s, 45s], found a list",
		"expect:\n- success_rate: {service: web, at_least: 99%, outside: [5s, 5s]}\n":                            "10: expect[0].success_rate.outside: the interval ends at 5s, not after 5s",
		"expect:\n- pauses: {service: web, quantile: p99, at_most: 2s}\n":                                        "10: expect[0].pauses: there are no streams to web; add kind: stream to traffic",
		"expect:\n- fails_within: {service: db, at_most: 2s}\n":                                                  "10: expect[0].fails_within: there is no traffic to db; add one to traffic",
		"expect:\n- latency: {service: web, quantile: 99, at_most: 1s}\n":                                        "10: expect[0].latency.quantile: want a quantile like p50, p99 or p99.9, found 99",
		"expect:\n- resolves: {service: web, from: eu}\n":                                                        "10: expect[0].resolves: instances is missing",
		"expect:\n- status: {nodes: 3, seen_by: al, is: dead}\n":                                                 `10: expect[0].status.seen_by: there is no node or group "al"; did you mean "all"?`,
		"expect:\n- warns: {nodes: 3}\n":                                                                         "10: expect[0].warns: code is missing",
		"expect:\n- revoked_within: {at_most: 5s, after_heal: 12s, flows: 2s}\n":                                 "10: expect[0].revoked_within: nobody is revoked in the timeline; add a revoke to the timeline",
		"timeline:\n- {at: 1m, revoke: {nodes: 3, by: eu}}\n":                                                    `10: timeline[0].revoke.by: want one node, "eu" stands for 10; name one, or write random 1`,
		"expect:\n- known_within: {service: web, at_most: 1s}\n":                                                 "10: expect[0].known_within.service: nothing registers web in the timeline; add such a step to the timeline",
		"expect:\n- gone_within: {service_on: 3, after: kill, at_most: 8s}\n":                                    "10: expect[0].gone_within.after: there is no kill in the timeline; add such a step to the timeline",
		"timeline:\n- {at: 9m50s, heal: all}\nexpect:\n- {converged: true, after_heal: 15s}\n":                   "12: expect[0].after_heal: the scenario ends before, at 10m0s; make duration longer",
		"timeline:\n- {at: 9m55s, kill: 3}\nexpect:\n- gone_within: {service_on: 3, after: kill, at_most: 8s}\n": "12: expect[0].gone_within.at_most: the scenario ends before, at 10m0s; make duration longer",
		"timeline:\n- {at: 1s, restart: {nodes: 3, disk: rolled_back}}\n- {at: 2s, snapshot: 3}\n":               "10: no disk was remembered before; add a snapshot to the timeline, earlier",
	} {
		wantLines(t, head+more, want)
	}
}

func TestMistakesOfServicesAndTraffic(t *testing.T) {
	const base = "name: a\nnodes: 3\nduration: 1m\nservices: [{name: web}]\n"
	for file, want := range map[string]string{
		"services:\n- {name: web, port: 80}\n- {name: db, port: 80}\n": "6: web and db have the same port 80; leave port out",
		"services:\n- {name: web}\n- {name: web}\n":                    "6: services[1]: the service web stands here twice; give it another name",
		"services:\n- {name: Web}\n":                                   `5: services[0].name: "Web" is no DNS label: 'W' is not one of a-z, 0-9 and -; use letters, digits and hyphens`,
		"services:\n- {name: web, on: 1, instances: 2}\n":              "5: services[0]: instances and on cannot both stand here; remove one of them",
		"services:\n- {name: web, protocol: udp}\n":                    `5: services[0].protocol: want one of http, tcp, found "udp"`,
		"services:\n- {name: web, port: 0}\n":                          "5: services[0].port: want a whole number from 1 to 65535, found 0",
		"services:\n- {name: web, protocol: tcp, check: http}\n":       "5: services[0]: a tcp service cannot be checked by HTTP; use check: tcp",
		"services:\n- {name: web, check: {path: /}}\n":                 "5: services[0].check: only an HTTP check has a path; add kind: http",
		"services:\n- {name: web, on: 4}\n":                            "5: services[0].on: there is no node 4: there are 3",
	} {
		wantLines(t, "name: a\nnodes: 3\nduration: 1m\n"+file, want)
	}
	for entry, want := range map[string]string{
		"{from: all, to: web}":                               "6: traffic[0]: rate is missing",
		"{from: all, to: wep, rate: 1/s}":                    `6: traffic[0].to: there is no service "wep"; did you mean "web"?`,
		"{from: all, to: web, rate: 1/s, start: 1m}":         "6: traffic[0]: it would start at 1m0s, and stop at 1m0s",
		"{from: all, to: web, rate: 1/s, stop: 2m}":          "6: traffic[0].stop: 2m0s is after the end, at 1m0s; make duration longer",
		"{from: all, to: web, rate: 1/s, kind: streams}":     `6: traffic[0].kind: want one of request, stream, found "streams"; did you mean "stream"?`,
		"{from: [1, 2], to: web, rate: 1/s, size: 1 parsec}": `6: traffic[0].size: want a size like 64KB or 10MB, found "1 parsec"`,
	} {
		wantLines(t, base+"traffic:\n- "+entry+"\n", want)
	}
}

// wantLines is wantMistakes of lines in one text.
func wantLines(t *testing.T, file, want string) {
	t.Helper()
	if strings.HasPrefix(want, "1: want a mapping") { // the keys follow
		_, err := Parse("f", []byte(file))
		if err == nil || !strings.HasPrefix(err.Error(), "f:"+want) {
			t.Errorf("%q: %v", file, err)
		}
		return
	}
	wantMistakes(t, file, strings.Split(want, "\n")...)
}

func TestMistakesAreToldTogetherInOrder(t *testing.T) {
	wantMistakes(t, `name: many
nodes: 3
services: [{name: web, prot: 80}]
traffic: [{from: 4, to: web, rate: 1}]
timeline:
  - {at: 1s, kill: 7}
  - {at: 1x, start: 7}
expect: [{converge: true}]
`,
		"1: duration is missing",
		`3: services[0].prot: unknown key; did you mean "port"?`,
		"4: traffic[0].rate: want a rate like 5/s or 0.1/s, found 1",
		"4: traffic[0].from: there is no node 4: there are 3",
		"6: timeline[0].kill: there is no node 7 at 1s: there are 3",
		`7: timeline[1].at: want a duration like 30s, found "1x"`,
		`8: expect[0].converge: unknown key; did you mean "converged"?`,
	)
}

func TestMistakesBeyondTheBoundAreCounted(t *testing.T) {
	var b strings.Builder
	b.WriteString(head + "timeline:\n")
	for range maxMistakes + 7 {
		b.WriteString("- {at: 1s, kil: 3}\n")
	}
	_, err := Parse("f", []byte(b.String()))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != maxMistakes+1 || lines[maxMistakes] != "f: 7 more mistakes are not shown; mend these first" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}
