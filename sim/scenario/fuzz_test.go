package scenario

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// everything has most of what a scenario can have.
const everything = `name: everything
about: all at once
fidelity: gossip
groups:
  - {name: eu, nodes: 10, nat: {kind: symmetric, timeout: 30s, hairpin: true, levels: 2}, network: {latency: 1ms}}
  - {name: us, nodes: 5, nat: full_cone}
network: &net {latency: 20ms, jitter: 5ms, loss: 1%, burst: {share: 1%, length: 1s, loss: 50%}, duplicate: 1%, reorder: 1%, corrupt: 1%, bandwidth: 10Mbit/s, queue: 64KB, mtu: 1400, icmp: false, drops: quic}
links: [{from: eu, to: us, both: true, latency: 80ms, burst: 0, loss: 0, drops: nothing}]
services:
  - {name: web, instances: 4, protocol: http, check: {kind: http, path: /, interval: 1s, timeout: 1s, failures_before_critical: 1, successes_before_passing: 1}}
  - {name: db, on: [2, eu3], protocol: tcp, port: 5432, check: none}
traffic: [{from: all, to: web, rate: 5/s, kind: request, size: 10KB, start: 1s, stop: 2m}]
timeline:
  - {at: 0, join: {nodes: 3, within: 1s}}
  - {at: 1s, clone: {of: random 1 of eu, as: twin}}
  - {at: 2s, every: 5s, until: 1m, stall: "random 30% of not founder", for: 1s}
  - {at: 3s, network: *net, for: 5s}
  - {at: 3s, partition: [[eu1-eu5], [us, j, twin]], for: 5s}
  - {at: 4s, register: {service: web, on: 2}}
  - {at: 5s, revoke: {nodes: 3, by: 1}}
expect:
  - {converged: true, after_heal: 15s}
  - {converged: true, at: 1m, within: 10s}
  - always: [bounded]
  - success_rate: {service: web, at_least: 99.9%, outside: [30s, 45s]}
  - latency: {service: web, quantile: p99, at_most: 1s, outside: [[0, 1s], [30s, 45s]]}
  - resolves: {service: web, from: all, instances: 4, at: 1m}
  - status: {nodes: twin, seen_by: founder, is: alive, at: 1m}
  - warns: {nodes: 2, code: minority, shown: false, at: 10s}
  - known_within: {service: web, at_most: 1s}
  - revoked_within: {at_most: 5s, after_heal: 12s, flows: 2s}
  - gone_within: {service_on: 2, after: stall, at_most: 8s}
duration: 3m
`

// FuzzParse: no input makes Parse panic. What it takes is bounded, and every selector in it finds
// nodes; what it refuses has printable lines of the kind Invalid.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "name: a\nnodes: 1\nduration: 1s\n", design, everything, head, "a: &a [*a]", "a: &a\n- *a\n- *a\n", strings.Repeat("[", 40), "{a: {b: c}}", "- ", "? a\n: b",
		"name: a\nnodes: 2000\nduration: 1s\ntimeline: [{at: 0, join: {nodes: 2000}, every: 1ns}]", "name: 0x1\nnodes: 0o7\nduration: .inf\n", "a: |\n b\n", "\xff", "a: \"\\0\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("f", data)
		if err != nil {
			checkErrors(t, err)
			return
		}
		checkBounds(t, s)
	})
}

func checkErrors(t *testing.T, err error) {
	t.Helper()
	if micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("kind %s", micronet.KindOf(err))
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) > maxMistakes+1 {
		t.Errorf("%d mistakes", len(lines))
	}
	for _, line := range lines {
		if line != visible(line) || len(line) > 16*maxText || !strings.HasPrefix(line, "f:") {
			t.Errorf("the line %q", line)
		}
	}
	if m, ok := errors.AsType[*Mistake](err); !ok || m.What == "" {
		t.Errorf("%T is no Mistake", err)
	}
}

func checkBounds(t *testing.T, s *Scenario) {
	t.Helper()
	nodes := s.Nodes()
	if s.Name == "" || s.Duration <= 0 || len(nodes) == 0 || len(nodes) > maxNodes || len(s.Timeline) > maxSteps || len(s.Expect) > maxEntries {
		t.Errorf("%q: %d nodes, %d steps", s.Name, len(nodes), len(s.Timeline))
	}
	last := time.Duration(0)
	for i := range s.Timeline {
		step := &s.Timeline[i]
		if step.At < last || step.At > s.Duration || step.Action == nil {
			t.Errorf("step %d: %+v", i, step)
		}
		last = step.At
		switch a := step.Action.(type) {
		case Join:
			for range a.Nodes {
				nodes = append(nodes, Joined(len(nodes)))
			}
		case Clone:
			nodes = append(nodes, Cloned(a.As))
		}
		if len(nodes) > maxNodes {
			t.Fatalf("%d nodes in the end", len(nodes))
		}
		if _, err := ParseSelector(fmt.Sprint(firstSelector(step.Action))); err != nil {
			t.Errorf("the text of a selector is no selector: %v", err)
		}
	}
	for i := range s.Services {
		if len(s.Services[i].Place(s.Nodes(), first)) > maxNodes || s.Services[i].Port == 0 {
			t.Errorf("%+v", s.Services[i])
		}
	}
}

func firstSelector(a Action) Selector {
	switch a := a.(type) {
	case Kill:
		return a.Nodes
	case Stall:
		return a.Nodes
	case Partition:
		return a.Sides[0]
	}
	return Selector{text: wordAll}
}

// boundedTime is far above what any input may take.
const boundedTime = 20 * time.Second

func TestHostileFilesAreRefusedInBoundedTime(t *testing.T) {
	repeat := func(s string) string { return strings.Repeat(s, (maxFile-100)/len(s)) }
	bomb := "a: &a [x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'h'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for name, file := range map[string]string{
		"brackets": repeat("["), "mappings": repeat("{a: "), "entries": repeat("- "), "anchors": repeat("&a "), "aliases": repeat("*a "),
		"tags": repeat("!a "), "quotes": repeat(`"`), "colons": repeat(": "), "keys": repeat("a: 1\n"), "documents": repeat("a: b\n---\n"),
		"steps": "timeline:\n" + repeat("- at: 1s\n"), "words": "timeline: [" + repeat("a,") + "]", "itself": "a: &a [*a]\n", "bomb": bomb,
		"large": repeat("a") + strings.Repeat("a", 200), "binary": "\x7fELF\x00\x01", "UTF-16": "\xff\xfen\x00",
		"one mapping": numbered("k%d: 1\n", 10_000), "flow mapping": "{" + numbered("k%d: 1, ", 10_000) + "z: 1}",
	} {
		start := time.Now()
		_, err := Parse("f", []byte(file))
		if took := time.Since(start); took > boundedTime || err == nil {
			t.Errorf("%s: took %s, %v", name, took, err)
			continue
		}
		checkErrors(t, err)
	}
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// A file of the largest size that is meant well.
func TestLargeFilesAreTaken(t *testing.T) {
	file := "name: large\nnodes: 2000\nduration: 24h\ntimeline:\n" + numbered("- at: %ds\n  kill: random 3\n  for: 1m\n", maxSteps)
	start := time.Now()
	s := parse(t, file)
	if len(s.Timeline) != maxSteps || time.Since(start) > boundedTime {
		t.Errorf("%d steps after %s", len(s.Timeline), time.Since(start))
	}
	_, err := Parse("f", []byte(file+"- {at: 1s, kill: 1}\n"))
	if err == nil || !strings.Contains(err.Error(), "10001 entries, at most 10000 are read") {
		t.Errorf("one step more: %v", err)
	}
}
