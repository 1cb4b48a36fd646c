package sim

import "testing"

const sleeper = `
name: one sleeps
nodes: 4
duration: 75s
network: {latency: 20ms}
tcp: off
services:
  - {name: feed, on: [2], protocol: tcp}
  - {name: tape, on: [3], protocol: tcp}
  - {name: hasty, on: [3], protocol: tcp}
  - {name: calm, on: [2], protocol: tcp}
traffic:
  - {from: 3, to: feed, kind: stream, rate: 0.5/s, size: 256KB, start: 20s}
  - {from: 1, to: tape, kind: stream, rate: 0.5/s, size: 256KB, start: 20s}
  - {from: 4, to: hasty, kind: stream, rate: 0.5/s, size: 256KB, start: 20s, patience: 500ms}
  - {from: 1, to: calm, rate: 1/s, start: 20s}
timeline:
  - {at: 30s, for: 30s, stall: 3}
expect:
  - {fails_within: {service: feed, at_most: 1s}}
  - {fails_within: {service: tape, at_most: 4s}}
  - {fails_within: {service: tape, at_most: 1s}}
  - {fails_within: {service: tape, at_most: 4s, outside: [1s, 70s]}}
  - {fails_within: {service: hasty, at_most: 600ms}}
  - {fails_within: {service: calm, at_most: 4s}}
`

// Callers of a host that stands still fail within a time that is measured, and where none fails there is nothing to measure. Who stands
// still has waited for nothing in that time, and begins no call.
func TestFailuresAreTimed(t *testing.T) {
	r := holding(t, sleeper, true, true, false, false, true, false)
	for _, tr := range r.Traffic {
		for _, b := range tr.Buckets {
			if tr.Service == "feed" && b.At >= 31e9 && b.At < 59e9 && b.OK+b.Failed > 0 {
				t.Errorf("at %s a host that stands still called", b.At)
			}
		}
	}
}
