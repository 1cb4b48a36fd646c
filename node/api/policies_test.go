package api

import (
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/policy"
)

// TestPolicies: rules go to the backend as they were written, everybody may look, and only root and the
// daemon's user change anything.
func TestPolicies(t *testing.T) {
	w := newWorld(t, Config{}).start()
	ctx, c := t.Context(), w.client()
	rules := []policy.Rule{
		{Name: "no-c", From: policy.Callers{Node: "c", Tag: "v*"}, To: policy.Targets{Service: "web"}, Action: policy.Deny},
		{Name: "all", Action: policy.Audit},
	}
	if done, err := c.ApplyPolicies(ctx, rules); err != nil || done.Applied == nil || len(w.backend.rules) != 2 || w.backend.rules[0] != rules[0] || w.backend.rules[1] != rules[1] {
		t.Errorf("apply: %+v, %v, %+v", done, err, w.backend.rules)
	}
	if err := c.DeletePolicy(ctx, "a/b"); err != nil || w.backend.rules[0].Name != "a/b" {
		t.Errorf("delete: %v, %+v", err, w.backend.rules)
	}
	if list, err := c.Policies(ctx); err != nil || len(list) != 1 || list[0].From.Node != "c" {
		t.Errorf("list: %+v, %v", list, err)
	}
	if v, err := c.TestPolicy(ctx, "shop@a", "web"); err != nil || v[0].From.Node != "shop@a" || v[0].Service != "web" || v[0].Audited == nil {
		t.Errorf("test: %+v, %v", v, err)
	}
	for body, want := range map[string]string{
		`{"policies":[{"name":"x","action":"dney"}]}`: `did you mean \"deny\"?`,
		`{"policies":[]}`: "the list is empty",
		``:                "a list under the key policies",
	} {
		got := w.do(request{method: "POST", path: "/api/v1/policies", body: body, from: "unix"})
		if got.status != 400 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	const good = `{"policies":[{"name":"x","action":"deny"}]}`
	for method, path := range map[string]string{"POST": "/api/v1/policies", "DELETE": "/api/v1/policies/x"} {
		if got := w.do(request{method: method, path: path, body: good}); got.status != 403 || !strings.Contains(got.body, "unix socket") {
			t.Errorf("%s through TCP: %d %s", method, got.status, got.body)
		}
	}
	if got := w.do(request{method: "GET", path: "/api/v1/policies"}); got.status != 200 {
		t.Errorf("looking through TCP: %d", got.status)
	}
	w.backend.fail = micronet.E("policy.apply", micronet.Refused, "no authority").WithFix("run it on a")
	if _, err := c.ApplyPolicies(ctx, rules); micronet.KindOf(err) != micronet.Refused || !strings.Contains(err.Error(), "run it on a") {
		t.Errorf("elsewhere: %v", err)
	}
}
