package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/micro/micro-net/node/api"
)

// shapes are the fields that programs rely on. Each path names the fields of the objects there;
// [] goes into every element of a list.
var shapes = map[string]map[string]string{
	"status": {
		"":            "node ready listeners nodes services certificate warnings",
		"node":        "id name cluster version address",
		"listeners":   "mesh api dns proxy",
		"nodes":       "alive suspect dead",
		"certificate": "expires",
		"warnings[]":  "code text fix",
	},
	"nodes": {"[]": "id name cluster status address version rtt_ms age_ms gateway"},
	"services": {
		"[]":            "name protocol vip dns ports tags instances",
		"[]instances[]": "id node cluster address port tags meta weight health age_ms",
	},
	"routes":      {"[]": "service instance node cluster via path transport metric rtt_ms weight state reason"},
	"connections": {"[]": "node id cluster path transport remote rtt_ms loss mtu streams sent_bytes received_bytes since"},
	"graph":       {"": "nodes edges", "edges[]": "from to path rtt_ms"},
}

func TestJSONShapes(t *testing.T) {
	w := newWorld(t).start()
	for verb, shape := range shapes {
		r := w.run(verb, "--json")
		var v any
		if err := json.Unmarshal([]byte(r.out), &v); err != nil || r.code != 0 {
			t.Fatalf("%s: exit %d, %v", verb, r.code, err)
		}
		if strings.Contains(r.out, "null") {
			t.Errorf("%s has a null: %s", verb, r.out)
		}
		for path, fields := range shape {
			found := at(v, path)
			if len(found) == 0 {
				t.Errorf("%s has nothing at %q", verb, path)
			}
			for _, o := range found {
				for _, f := range strings.Fields(fields) {
					if _, ok := o[f]; !ok {
						t.Errorf("%s %q has no field %q", verb, path, f)
					}
				}
			}
		}
	}
}

// at finds the objects at a path: names, each followed by [] where it is a list.
func at(v any, path string) []map[string]any {
	if path == "" {
		o, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		return []map[string]any{o}
	}
	if rest, ok := strings.CutPrefix(path, "[]"); ok {
		var out []map[string]any
		list, _ := v.([]any)
		for _, item := range list {
			out = append(out, at(item, rest)...)
		}
		return out
	}
	o, ok := v.(map[string]any)
	name, list := strings.CutSuffix(path, "[]")
	first, inner, nested := strings.Cut(name, "[]")
	if !ok || nested && inner == "" {
		return nil
	}
	if nested {
		return at(o[first], "[]"+inner+"[]")
	}
	if list {
		return at(o[name], "[]")
	}
	return at(o[name], "")
}

// TestJSONNeverNull: an answer that leaves lists out still prints lists.
func TestJSONNeverNull(t *testing.T) {
	w := newWorld(t)
	w.backend.status.Warnings = nil
	w.backend.graph = api.Graph{}
	w.backend.services = []api.Service{{Name: "x", Instances: []api.Instance{{ID: "x"}}}}
	w.backend.routes = []api.Route{{Service: "x"}}
	w.backend.resolution.Answers = nil
	w.start()
	for _, args := range [][]string{{"status"}, {"services"}, {"routes"}, {"graph"}, {"resolve", "x"}} {
		r := w.run(append(args, "--json")...)
		if strings.Contains(r.out, "null") || r.out == "" {
			t.Errorf("%v --json printed %q", args, r.out)
		}
	}
	if r := w.run("services", "--json"); !slices.Contains(strings.Fields(r.out), "{},") {
		t.Errorf("a missing meta is no empty object: %s", r.out)
	}
}
