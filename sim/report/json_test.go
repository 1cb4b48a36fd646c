package report

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"testing"
)

func jsonOf(t *testing.T, r *Run) map[string]any {
	t.Helper()
	var b bytes.Buffer
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestJSONNames pins the names: programs of others read them. A change is a new version.
func TestJSONNames(t *testing.T) {
	v := jsonOf(t, splitRun())
	first := func(m map[string]any, list string) map[string]any { return m[list].([]any)[0].(map[string]any) }
	topology := v["topology"].(map[string]any)
	for _, c := range []struct {
		what map[string]any
		want []string
	}{
		{v, []string{
			"about", "command", "events", "expectations", "failures", "faults", "fidelity", "hash", "log", "nodes", "passed", "per_node",
			"samples", "scenario", "seed", "states", "times", "topology", "traffic", "version", "virtual_s", "wall_s",
		}},
		{first(v, "failures"), []string{"at_s", "invariant", "node", "text"}},
		{first(v, "expectations"), []string{"held", "measured", "text"}},
		{v["times"].(map[string]any), []string{"gone_s", "heal_s", "known_s", "paused_s", "revoked_late_s", "revoked_s", "severed_s"}},
		{first(v, "faults"), []string{"from_s", "kind", "label", "to_s"}},
		{first(v, "samples"), []string{
			"alive", "at_s", "catalog_share", "dead", "goroutines", "gossip_bytes_per_s", "heap_bytes", "members_share", "suspect",
		}},
		{first(v, "traffic"), []string{"buckets", "service"}},
		{first(first(v, "traffic"), "buckets"), []string{"at_s", "failed", "ok", "p50_ms", "p99_ms"}},
		{topology, []string{"edges", "nodes"}},
		{first(topology, "nodes"), []string{"group", "name"}},
		{first(topology, "edges"), []string{"a", "b", "rtt_ms", "state"}},
		{first(v, "per_node"), []string{
			"dropped_packets", "gossip_bytes_per_s", "members", "memory_bytes", "name", "received_packets", "records", "sent_packets",
		}},
		{first(v, "log"), []string{"at_s", "detail", "kind", "node", "peer"}},
		{first(v, "states"), []string{"name", "text"}},
	} {
		got := slices.Sorted(maps.Keys(c.what))
		if !slices.Equal(got, c.want) {
			t.Errorf("names %q, want %q", got, c.want)
		}
		for _, name := range got {
			if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(name) {
				t.Errorf("%q is not in snake_case", name)
			}
		}
	}
}

func TestJSONValues(t *testing.T) {
	v := jsonOf(t, splitRun())
	for name, want := range map[string]any{"virtual_s": 720.0, "wall_s": 8.213, "seed": "7", "passed": false, "nodes": 20.0, "version": 1.0} {
		if v[name] != want {
			t.Errorf("%s = %v, want %v", name, v[name], want)
		}
	}
	split := v["faults"].([]any)[0].(map[string]any)
	if split["from_s"] != 30.0 || split["to_s"] != 600.0 || split["kind"] != "partition" {
		t.Errorf("the partition is %v", split)
	}
	edge := v["topology"].(map[string]any)["edges"].([]any)[0].(map[string]any)
	if edge["rtt_ms"] != 2.0 {
		t.Errorf("the first edge is %v", edge)
	}
}

func TestJSONOfWhatIsNoNumber(t *testing.T) {
	v := jsonOf(t, nastyRun())
	if v["seed"] != "18446744073709551615" {
		t.Errorf("seed %v", v["seed"])
	}
	s := v["samples"].([]any)[0].(map[string]any)
	if s["members_share"] != nil || s["catalog_share"] != nil || s["alive"] != -1.0 {
		t.Errorf("the sample is %v", s)
	}
	if open := v["faults"].([]any)[0].(map[string]any); open["to_s"] != nil {
		t.Errorf("the open fault ends at %v", open["to_s"])
	}
	empty := jsonOf(t, &Run{})
	for _, list := range []string{"failures", "samples", "log", "states", "per_node", "faults", "traffic", "expectations"} {
		if l, ok := empty[list].([]any); !ok || len(l) != 0 {
			t.Errorf("%s = %v, want an empty list", list, empty[list])
		}
	}
}
