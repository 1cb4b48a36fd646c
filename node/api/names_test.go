package api

import (
	"encoding/json"
	"fmt"
	"testing"

	micronet "github.com/micro/micro-net"
)

// Who may offer what is for all to read, and for root and the daemon's user to change, on the socket alone.
func TestQ36_RightsOverNames(t *testing.T) {
	requests := []request{
		{method: "GET", path: "/api/v1/node/names"},
		{method: "POST", path: "/api/v1/node/names", body: `{"mode":"open"}`},
		{method: "POST", path: "/api/v1/node/grants", body: `{"node":"b","patterns":["web"]}`},
	}
	for _, c := range []struct {
		name string
		cred micronet.Credentials
		tcp  bool
		want [3]int
	}{
		{"root", micronet.Credentials{UID: 0}, false, [3]int{200, 200, 200}},
		{"group", micronet.Credentials{UID: 7, Groups: []string{serviceGroup}}, false, [3]int{200, 403, 403}},
		{"other", micronet.Credentials{UID: 7}, false, [3]int{200, 403, 403}},
		{"tcp", micronet.Credentials{}, true, [3]int{200, 403, 403}},
	} {
		w := newWorld(t, Config{Write: WriteServices})
		w.net.cred = c.cred
		w.start()
		for i, q := range requests {
			if q.from = "unix"; c.tcp {
				q.from = ""
			}
			if got := w.do(q); got.status != c.want[i] {
				t.Errorf("%s: %s %s = %d %s, want %d", c.name, q.method, q.path, got.status, got.body, c.want[i])
			}
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	w := newWorld(t, Config{}).start()
	ctx, c := t.Context(), w.client()
	if n, err := c.Names(ctx); err != nil || n.Mode != "open" || n.Grants == nil {
		t.Errorf("Names = %+v, %v", n, err)
	}
	if n, err := c.SetNames(ctx, NamesRequest{Mode: "granted", Force: true}); err != nil || n.Mode != "granted" || !w.backend.named.Force {
		t.Errorf("SetNames = %+v, %v", n, err)
	}
	n, err := c.GrantNames(ctx, GrantRequest{Node: "b", Patterns: []string{"web", "api-*"}})
	if err != nil || len(n.Grants) != 1 || fmt.Sprint(n.Grants[0].Patterns, w.backend.granted.Patterns) != "[web api-*] [web api-*]" {
		t.Errorf("GrantNames = %+v, %v", n, err)
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Paths["/api/v1/node/names"]) != 2 || len(doc.Paths["/api/v1/node/grants"]) != 1 {
		t.Error("a route is not described")
	}
}
