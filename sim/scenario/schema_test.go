package scenario

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// node is a JSON schema.
type node = map[string]any

func schemaRoot(t *testing.T) node {
	t.Helper()
	var root node
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// object finds the mapping that a schema allows, behind references and alternatives.
func object(root, s node) node {
	if name, ok := s["$ref"].(string); ok {
		return object(root, root["$defs"].(node)[strings.TrimPrefix(name, "#/$defs/")].(node))
	}
	for _, one := range alternatives(s) {
		if o := object(root, one); o != nil {
			return o
		}
	}
	if s["type"] == "object" {
		return s
	}
	return nil
}

func alternatives(s node) (out []node) {
	list, _ := s["anyOf"].([]any)
	for _, one := range list {
		out = append(out, one.(node))
	}
	return out
}

// parsed are the keys that the parser knows, by the name of the mapping in the schema. A name
// with a dot is a property of a definition.
func parsed() map[string][]string {
	r := newReader("f")
	step, expect := r.rhythmFields(&rhythm{}), r.convergedFields(&Converged{})
	for name := range r.verbs {
		step[name] = nil
	}
	for name := range r.conds {
		expect[name] = nil
	}
	out := map[string][]string{}
	for name, f := range map[string]fields{
		"": r.head(), "group": r.groupFields(&Group{}), "nat": r.natFields(&NAT{}), "link": r.linkFields(&Link{}),
		"burst": r.burstFields(&Burst{}), "link_rule": r.linkRuleFields(&LinkRule{}), "service": r.serviceFields(&Service{}),
		"check": r.checkFields(&Check{}), "traffic": r.trafficFields(&Traffic{}), "step": step, "expectation": expect,
		"expectation.success_rate": r.successRateFields(&SuccessRate{}), "expectation.latency": r.latencyFields(&Latency{}),
		"expectation.resolves": r.resolvesFields(&Resolves{}), "expectation.status": r.statusFields(&Status{}),
		"expectation.fails_within":   r.failsWithinFields(&FailsWithin{}),
		"expectation.path":           r.pathFields(&Path{}),
		"expectation.warns":          r.warnsFields(&Warns{}),
		"expectation.gone_within":    r.goneWithinFields(&GoneWithin{}),
		"expectation.known_within":   r.knownWithinFields(&KnownWithin{}),
		"expectation.revoked_within": r.revokedWithinFields(&RevokedWithin{}),
	} {
		out[name] = sortedKeys(f)
	}
	for name, v := range r.verbs {
		out["step."+name] = sortedKeys(v.parts(r).fields)
	}
	return out
}

// described finds the mapping of that name in the schema.
func described(root node, name string) node {
	if name == "" {
		return root
	}
	def, property, nested := strings.Cut(name, ".")
	s, _ := root["$defs"].(node)[def].(node)
	if nested && s != nil {
		s, _ = s["properties"].(node)[property].(node)
	}
	if s == nil {
		return nil
	}
	return object(root, s)
}

func TestSchemaHasTheKeysOfTheParser(t *testing.T) {
	root := schemaRoot(t)
	if root["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("it calls itself %v", root["$schema"])
	}
	known := parsed()
	for name, keys := range known {
		o := described(root, name)
		if o == nil {
			t.Errorf("the schema has no %q", name)
			continue
		}
		if got := sortedKeys(o["properties"].(node)); !slices.Equal(got, keys) {
			t.Errorf("%q: the schema has %v, the parser %v", name, got, keys)
		}
		if o["additionalProperties"] != false {
			t.Errorf("%q: the schema takes unknown keys", name)
		}
	}
	for name, def := range root["$defs"].(node) { // no mapping but those above
		if s := def.(node); s["type"] == "object" && known[name] == nil && name != "nodes" {
			t.Errorf("the schema has %q, the parser does not", name)
		}
	}
}

// The short form of a verb, and what it demands.
func TestSchemaHasTheFormsOfVerbs(t *testing.T) {
	root := schemaRoot(t)
	for name, v := range verbs() {
		p := v.parts(newReader("f"))
		s := root["$defs"].(node)["step"].(node)["properties"].(node)[name].(node)
		if short := len(alternatives(s)) == 2; short != (p.short != nil) {
			t.Errorf("%s: a short form in the schema is %t, in the parser %t", name, short, p.short != nil)
		}
		var required []string
		list, _ := object(root, s)["required"].([]any)
		for _, key := range list {
			required = append(required, key.(string))
		}
		slices.Sort(required)
		if want := slices.Sorted(slices.Values(p.required)); !slices.Equal(required, want) {
			t.Errorf("%s: the schema demands %v, the parser %v", name, required, want)
		}
	}
}

func TestSchemaTakesWhatTheParserTakes(t *testing.T) {
	root := schemaRoot(t)
	files := []string{design, everything}
	for text := range verbCases(t) {
		files = append(files, verbFile(text))
	}
	for _, file := range files {
		parse(t, file)
		v, m := parseTree("f", []byte(file))
		if m != nil {
			t.Fatal(m)
		}
		if what := violation(root, root, v); what != "" {
			t.Errorf("%s\nin\n%s", what, file)
		}
	}
	for _, file := range []string{
		"name: a\nduration: 1m\nnode: 3\n", "name: a\nnodes: 3\n", "name: a\nduration: 1 minute\n",
		"name: a\nduration: 1m\ntimeline: [{at: 1s, slow: 3}]\n", "name: a\nduration: 1m\nnodes: 3000\n", "name: a\nduration: 1m\nexpect: [{always: [x]}]\n",
	} {
		v, m := parseTree("f", []byte(file))
		if m != nil {
			t.Fatal(m)
		}
		if violation(root, root, v) == "" {
			t.Errorf("the schema takes\n%s", file)
		}
	}
}

// violation checks v against the part of JSON schema that ours uses, and says what is wrong.
func violation(root, s node, v *value) string {
	if name, ok := s["$ref"].(string); ok {
		return violation(root, root["$defs"].(node)[strings.TrimPrefix(name, "#/$defs/")].(node), v)
	}
	if any := alternatives(s); any != nil {
		var all []string
		for _, one := range any {
			what := violation(root, one, v)
			if what == "" {
				return ""
			}
			all = append(all, what)
		}
		return strings.Join(all, ", and ")
	}
	if what := violates(s, v); what != "" {
		return fmt.Sprintf("%d: %s: %s", v.line, v.key, what)
	}
	for i := range v.pairs {
		p := &v.pairs[i]
		if property, ok := s["properties"].(node)[p.name].(node); !ok {
			return p.value.key + ": unknown"
		} else if what := violation(root, property, p.value); what != "" {
			return what
		}
	}
	for _, item := range v.items {
		if what := violation(root, s["items"].(node), item); what != "" {
			return what
		}
	}
	return ""
}

// violates checks what concerns v alone.
func violates(s node, v *value) string {
	for _, keyword := range slices.Sorted(maps.Keys(s)) {
		want, ok := s[keyword], true
		n, _ := want.(float64)
		x := number64(v)
		switch keyword {
		case "type":
			ok = isType(want, v)
		case "enum":
			ok = slices.Contains(want.([]any), any(v.raw))
		case "const":
			ok = v.raw == fmt.Sprint(want)
		case "pattern":
			ok = v.kind != text || regexp.MustCompile(want.(string)).MatchString(v.raw)
		case "minimum":
			ok = v.kind != number || x >= n
		case "maximum":
			ok = v.kind != number || x <= n
		case "minLength":
			ok = v.kind != text || utf8.RuneCountInString(v.raw) >= int(n)
		case "maxLength":
			ok = v.kind != text || utf8.RuneCountInString(v.raw) <= int(n)
		case "minItems":
			ok = len(v.items) >= int(n)
		case "maxItems":
			ok = len(v.items) <= int(n)
		case "required":
			for _, key := range want.([]any) {
				ok = ok && v.get(key.(string)) != nil
			}
		case "properties", "additionalProperties", "items", "description", "title", "$schema", "$defs":
		default:
			return "this test does not know " + keyword
		}
		if !ok {
			return fmt.Sprintf("%q is not %s %v", v.raw, keyword, want)
		}
	}
	return ""
}

func number64(v *value) float64 {
	var x float64
	if _, err := fmt.Sscan(v.raw, &x); err != nil {
		return math.NaN()
	}
	return x
}

func isType(want any, v *value) bool {
	if list, ok := want.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return isType(one, v) })
	}
	switch want {
	case "string":
		return v.kind == text
	case "integer":
		return v.kind == number && number64(v) == math.Trunc(number64(v))
	case "number":
		return v.kind == number
	case "boolean":
		return v.kind == boolean
	case "array":
		return v.kind == list
	}
	return want == "object" && v.kind == mapping
}
