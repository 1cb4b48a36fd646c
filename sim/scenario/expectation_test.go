package scenario

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestExpectations(t *testing.T) {
	s := func(text string) Selector { return sel(t, text) }
	seen := map[string]bool{}
	for text, want := range map[string]Condition{
		"converged: true":                                                                 Converged{At: 10 * time.Minute},
		"converged: true\n  after_heal: 15s":                                              Converged{AfterHeal: 15 * time.Second},
		"at: 60s\n  converged: true":                                                      Converged{At: time.Minute},
		"converged: true\n  at: 60s\n  within: 10s":                                       Converged{At: time.Minute, Within: 10 * time.Second},
		"always: [no_forge, no_rollback, one_identity, durable, blast]":                   Always{[]Invariant{NoForge, NoRollback, OneIdentity, Durable, Blast}},
		"always: [no_loops, no_ghosts, no_unauthorized, no_lost, no_false_dead, bounded]": Always{[]Invariant{NoLoops, NoGhosts, NoUnauthorized, NoLost, NoFalseDead, Bounded}},
		"success_rate: {service: web, at_least: 99.9%}":                                   SuccessRate{"web", 0.999, nil},
		"success_rate: {service: web, at_least: 100%, outside: [[0, 45s], [1m, 2m]]}":     SuccessRate{"web", 1, []Interval{{0, 45 * time.Second}, {time.Minute, 2 * time.Minute}}},
		"latency: {service: web, quantile: p99, at_most: 200ms}":                          Latency{"web", 0.99, 200 * time.Millisecond, nil},
		"latency: {service: web, quantile: p99.9, at_most: 1s, outside: [1s, 2s]}":        Latency{"web", 0.999, time.Second, []Interval{{time.Second, 2 * time.Second}}},
		"pauses: {service: web, quantile: p100, at_most: 4s, outside: [1s, 2s]}":          Pauses{"web", 1, 4 * time.Second, []Interval{{time.Second, 2 * time.Second}}},
		"fails_within: {service: web, at_most: 4s, outside: [1s, 2s]}":                    FailsWithin{"web", 4 * time.Second, []Interval{{time.Second, 2 * time.Second}}},
		"resolves: {service: web, from: eu, instances: 3, at: 1m}":                        Resolves{"web", s("eu"), 3, time.Minute},
		"resolves: {service: db, from: all, instances: 0}":                                Resolves{"db", s("all"), 0, 10 * time.Minute},
		"status: {nodes: 3, seen_by: not 3, is: dead, at: 45s}":                           Status{s("3"), s("not 3"), Dead, 45 * time.Second},
		"status: {nodes: 3, seen_by: j, is: left}":                                        Status{s("3"), s("j"), Left, 10 * time.Minute},
		"converged: true\n  at: 60s\n  among: eu":                                         Converged{At: time.Minute, Among: s("eu")},
		"path: {from: 3, to: all, is: relay, at: 45s}":                                    Path{s("3"), s("all"), Relayed, 45 * time.Second},
		"warns: {nodes: 3, code: key-twice, at: 45s}":                                     Warns{s("3"), "key-twice", true, 45 * time.Second},
		"warns: {nodes: all, code: minority, shown: false}":                               Warns{s("all"), "minority", false, 10 * time.Minute},
		"known_within: {service: web, at_most: 1s}":                                       KnownWithin{"web", time.Second},
		"revoked_within: {at_most: 5s, after_heal: 12s, flows: 2s}":                       RevokedWithin{5 * time.Second, 12 * time.Second, 2 * time.Second},
		"status: {nodes: 3, seen_by: all, is: revoked}":                                   Status{s("3"), s("all"), Revoked, 10 * time.Minute},
		"gone_within: {service_on: 3, after: kill, at_most: 8s}":                          GoneWithin{s("3"), "kill", 8 * time.Second},
	} {
		file := strings.Replace(head, "rate: 1/s}]", "rate: 1/s}, {from: eu, to: web, kind: stream, rate: 1/s}]", 1) + "timeline:\n- {at: 1s, kill: 3}\n- {at: 2s, join: {nodes: 1}}\n- {at: 2s, revoke: 3}\n- {at: 2s, register: {service: web, on: 2}}\n- {at: 3s, heal: all}\nexpect:\n- " + text + "\n"
		got := parse(t, file).Expect
		if len(got) != 1 || !reflect.DeepEqual(got[0].Condition, want) {
			t.Errorf("%s\nis   %+v\nwant %+v", text, got, want)
			continue
		}
		if got[0].Line != 16 || got[0].Text == "" {
			t.Errorf("%s: line %d, text %q", text, got[0].Line, got[0].Text)
		}
		seen[want.Key()] = true
	}
	for name := range conditions() {
		if !seen[name] {
			t.Errorf("no case for %s", name)
		}
	}
}

func TestIntervalsAreHalfOpen(t *testing.T) {
	i := Interval{time.Second, 2 * time.Second}
	for at, want := range map[time.Duration]bool{0: false, time.Second: true, 2*time.Second - 1: true, 2 * time.Second: false} {
		if i.Contains(at) != want {
			t.Errorf("%s: %t", at, !want)
		}
	}
}
