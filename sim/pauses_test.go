package sim

import (
	"slices"
	"testing"
	"time"
)

const cutStreams = `
name: streams that stand still
nodes: 3
duration: 45s
network: {latency: 20ms}
relay: off
tcp: off
services:
  - {name: feed, on: [3], protocol: tcp}
  - {name: tape, on: [3], protocol: tcp}
traffic:
  - {from: 2, to: feed, kind: stream, rate: 0.5/s, size: 256KB}
  - {from: 1, to: tape, kind: stream, rate: 0.5/s, size: 256KB}
timeline:
  - {at: 30s, for: 1s, apart: {a: 2, b: 3}}
expect:
  - {pauses: {service: feed, quantile: p100, at_most: 3s}}
  - {pauses: {service: feed, quantile: p50, at_most: 500ms}}
  - {pauses: {service: feed, quantile: p100, at_most: 3s, outside: [29s, 40s]}}
  - {pauses: {service: tape, quantile: p100, at_most: 3s}}
`

// A cut of a second makes pauses of about that length, and none where it does not reach.
func TestPausesAreMeasured(t *testing.T) {
	r := holding(t, cutStreams, true, false, false, false)
	if len(r.Times.Paused) == 0 || slices.Min(r.Times.Paused) < pauseLeast || slices.Max(r.Times.Paused) > 3*time.Second {
		t.Errorf("pauses of %v", r.Times.Paused)
	}
}
