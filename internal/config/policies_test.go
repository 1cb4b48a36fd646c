package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/micro/micro-net/internal/policy"
)

const policyFile = `policies:
  - name: no-c
    from: {node: c}
    to: {service: web}
    action: deny
  - name: only-shop
    from: {service: "!shop", tag: v*, cluster: eu-*}
    to: {service: payments, tag: v2}
    action: audit
`

func TestPolicies(t *testing.T) {
	got, errs := ParsePolicies("p.yaml", []byte(policyFile))
	want := []policy.Rule{
		{Name: "no-c", From: policy.Callers{Node: "c"}, To: policy.Targets{Service: "web"}, Action: policy.Deny},
		{
			Name: "only-shop", From: policy.Callers{Service: "!shop", Tag: "v*", Cluster: "eu-*"},
			To: policy.Targets{Service: "payments", Tag: "v2"}, Action: policy.Audit,
		},
	}
	if len(errs) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, errs)
	}
}

// TestPolicyMistakes: each names file, line, key and what would be right, and the file gives no rule.
func TestPolicyMistakes(t *testing.T) {
	for file, want := range map[string]string{
		"":                                       "p.yaml:",
		"policy: []":                             `p.yaml:1: policy: unknown key; did you mean "policies"?`,
		"policies: []":                           "p.yaml:1: policies: the list is empty",
		"policies:\n  - x":                       "p.yaml:2: policies[0]: want a policy",
		"policies:\n  - action: deny":            "p.yaml:2: policies[0].name: is missing; give the policy a name",
		"policies:\n  - name: a":                 "p.yaml:2: policies[0].action: is missing; give allow, deny or audit",
		"policies:\n  - {name: A, action: deny}": `p.yaml:2: policies[0].name: "A" is no DNS label`,
		"policies:\n  - name: a\n    action: deney":                        `p.yaml:3: policies[0].action: "deney" is no action; did you mean "deny"?`,
		"policies:\n  - name: a\n    action: deny\n    form: {node: c}":    `p.yaml:4: policies[0].form: unknown key; did you mean "from"?`,
		"policies:\n  - name: a\n    action: deny\n    from: {nod: c}":     `p.yaml:4: policies[0].from.nod: unknown key; did you mean "node"?`,
		"policies:\n  - name: a\n    action: deny\n    to: {cluster: c}":   `p.yaml:4: policies[0].to.cluster: unknown key;`,
		"policies:\n  - name: a\n    action: deny\n    from: c":            "p.yaml:4: policies[0].from: want a caller, found \"c\"",
		"policies:\n  - name: a\n    action: deny\n    from: {node: \"\"}": "leave the key out where any is meant",
		"policies:\n  - name: a\n    action: deny\n    from: {node: 7}":    "put it in quotes",
		policyFile + "  - {name: no-c, action: deny}\n":                    `the name "no-c" is taken by the policy of line 2`,
	} {
		rules, errs := ParsePolicies("p.yaml", []byte(file))
		if len(errs) != 1 || rules != nil || !strings.Contains(errs[0].Error(), want) {
			t.Errorf("%q: got %v, %v, want %q", file, rules, errs, want)
		}
	}
}

// FuzzPolicyParse: no input makes the reader panic, and what it returns can be signed.
func FuzzPolicyParse(f *testing.F) {
	f.Add([]byte(policyFile))
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, errs := ParsePolicies("p.yaml", data)
		for _, err := range errs {
			checkLine(t, err)
		}
		for i := range rules {
			body, err := policy.Encode(&rules[i])
			if err != nil {
				t.Fatal(err)
			}
			if again := policy.Decode(rules[i].Name, body); again != rules[i] {
				t.Fatalf("%+v became %+v", rules[i], again)
			}
		}
	})
}
