package main

import (
	"strings"
	"testing"
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
	if r := w.run("__complete", "policy", "delete", ""); !strings.HasPrefix(r.out, "no-c\ntry-v2\nnewer\n:4") {
		t.Errorf("completion: %q", r.out)
	}
}
