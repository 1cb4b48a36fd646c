package main

import (
	"strings"
	"testing"

	"github.com/micro/micro-net/node/api"
)

// TestPolicyApply: what is wrong in a file is told by line, and nothing of it is sent.
func TestPolicyApply(t *testing.T) {
	const good = `policies:
  - name: no-c
    from: {node: c}
    to: {service: web}
    action: deny
  - name: only-shop
    from: {service: "!shop"}
    to: {service: payments}
    action: audit
`
	for name, file := range map[string]string{
		"policy-apply": good,
		"policy-wrong": strings.NewReplacer("action: deny", "action: dney", "service: web", "servcie: web").Replace(good),
		"policy-twice": strings.Replace(good, "only-shop", "no-c", 1),
	} {
		w := newWorld(t).start()
		w.files["rules.yaml"] = file
		r := w.run("policy", "apply", "rules.yaml")
		golden(t, name, r.text())
		if sent := len(w.backend.calls); (sent > 0) != (name == "policy-apply") {
			t.Errorf("%s: %d calls", name, sent)
		}
	}
	w := newWorld(t).start()
	w.files["rules.yaml"], w.files["rules.json"] = good, `{"policies": [{"name": "x", "action": "dney"}]}`
	if r := w.run("validate", "rules.yaml"); r.code != 0 || r.out != "rules.yaml is valid, 2 policies\n" {
		t.Errorf("validate: exit %d, %q, %q", r.code, r.out, r.err)
	}
	if r := w.run("validate", "rules.json"); r.code != 2 || !strings.Contains(r.err, "deny") {
		t.Errorf("validate: exit %d, %q, %q", r.code, r.out, r.err)
	}
	if r := w.run("policy", "delete", "no-c", "nosuch"); r.code != 3 || !strings.Contains(r.err, `no policy "nosuch", and nothing was deleted`) || strings.Contains(w.backend.noted(), "delete") {
		t.Errorf("one of two: %+v, the daemon was asked: %q", r, w.backend.noted())
	}
	if r := w.run("policy", "delete", "try-v2", "no-c", "no-c"); r.code != 0 || r.err != "no-c is deleted\ntry-v2 is deleted\n" {
		t.Errorf("two: %+v", r)
	}
	if r := w.run("policy", "delete"); r.code != 2 {
		t.Errorf("none: %+v", r)
	}
	if r := w.run("__complete", "policy", "delete", ""); !strings.HasPrefix(r.out, "no-c\ntry-v2\nnewer\n:4") {
		t.Errorf("completion: %q", r.out)
	}
}

// TestNoPolicies: what holds without any is said, to people.
func TestNoPolicies(t *testing.T) {
	w := newWorld(t).start()
	w.backend.policies = []api.Policy{}
	if r := w.run("policy", "list"); r.code != 0 || !strings.HasPrefix(r.out, "There is no policy: ") {
		t.Errorf("exit %d, %q", r.code, r.out)
	}
	if r := w.run("policy", "list", "--json"); r.code != 0 || r.out != "[]\n" {
		t.Errorf("exit %d, %q", r.code, r.out)
	}
}
