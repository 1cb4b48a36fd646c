//go:build linux

package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// shapes are the fields that programs rely on, by verb. "[]" stands for every element of a list,
// which must not be empty.
var shapes = map[string]string{
	"status": `node.id node.name node.cluster node.version node.address ready listeners.mesh listeners.api listeners.dns
		listeners.proxy nodes.alive nodes.suspect nodes.dead services certificate.expires warnings`,
	"nodes": `[].id [].name [].cluster [].status [].address [].version [].rtt_ms [].age_ms [].gateway`,
	"services": `[].name [].protocol [].vip [].dns [].ports [].tags [].instances [].instances.[].id [].instances.[].node
		[].instances.[].cluster [].instances.[].address [].instances.[].port [].instances.[].tags [].instances.[].meta
		[].instances.[].weight [].instances.[].health [].instances.[].age_ms`,
	"services web": `[].name [].instances.[].health`,
	"routes": `[].service [].instance [].node [].cluster [].via [].path [].transport [].metric [].rtt_ms [].weight [].state
		[].reason`,
	"connections": `[].node [].id [].cluster [].path [].transport [].remote [].rtt_ms [].loss [].mtu [].streams [].sent_bytes
		[].received_bytes [].since`,
	"graph": `nodes edges nodes.[].name edges.[].from edges.[].to edges.[].path edges.[].rtt_ms`,
}

func TestE2EJSONFields(t *testing.T) {
	all := cluster(t, 2)
	d := all[1]
	all[0].web("web", 8080)
	d.web("web", 8080)
	d.awaitService("web", 2, "passing")
	for range 20 {
		d.must("call", "web") // so that there is a tunnel
	}
	for verb, fields := range shapes {
		var v any
		d.json(&v, strings.Fields(verb)...)
		for f := range strings.FieldsSeq(fields) {
			if err := has(v, strings.Split(f, ".")); err != nil {
				t.Errorf("%s --json: %s: %v", verb, f, err)
			}
		}
		if bad := nulls(v, ""); len(bad) > 0 {
			t.Errorf("%s --json: null at %v", verb, bad)
		}
		if yaml := d.must(append(strings.Fields(verb), "-o", "yaml")...); strings.HasPrefix(yaml, "{") || yaml == "" {
			t.Errorf("%s -o yaml = %.80q", verb, yaml)
		}
	}
	for _, verb := range []string{"doctor", "version", "resolve web", "ping host1 -c 1", "config show"} {
		var v any
		d.json(&v, strings.Fields(verb)...)
		if bad := nulls(v, ""); len(bad) > 0 {
			t.Errorf("%s --json: null at %v", verb, bad)
		}
	}
	checkEmpty(t, New(t).Host("alone").up(t))
}

// checkEmpty: lists without anything in them are lists.
func checkEmpty(t *testing.T, d *daemon) {
	t.Helper()
	for _, verb := range []string{"services", "routes", "connections"} {
		if out := strings.TrimSpace(d.must(verb, "--json")); out != "[]" {
			t.Errorf("%s --json = %s, want []", verb, out)
		}
	}
}

// has checks that a field is there, in every element of the lists on its way.
func has(v any, path []string) error {
	if len(path) == 0 {
		return nil
	}
	if path[0] == "[]" {
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return fmt.Errorf("no list with something in it: %v", v)
		}
		for _, e := range list {
			if err := has(e, path[1:]); err != nil {
				return err
			}
		}
		return nil
	}
	object, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("no object: %v", v)
	}
	inner, ok := object[path[0]]
	if !ok {
		keys := []string{}
		for k := range object {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		return fmt.Errorf("missing among %v", keys)
	}
	return has(inner, path[1:])
}

// nulls finds where there is no value.
func nulls(v any, at string) (out []string) {
	switch v := v.(type) {
	case nil:
		return []string{at}
	case []any:
		for i, e := range v {
			out = append(out, nulls(e, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		for k, e := range v {
			out = append(out, nulls(e, at+"."+k)...)
		}
	}
	return out
}
