package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// FuzzBodies: whatever a client sends, the answer is a success or a problem of the client's, and
// what was registered survives being sent again.
func FuzzBodies(f *testing.F) {
	paths := []string{"/api/v1/instances", "/api/v1/invite", "/api/v1/join", "/api/v1/node/root/remove"}
	for i, body := range []string{
		webService, `{"ttl":"1h","uses":2}`, `{"token":"mnj1_x"}`, `[]`, `{}`, `null`, `"x"`, `{"services":[{"name":"a","port":1,"checks":"none"}]}`,
		`{"service":{"Name":"x","Port":1,"Check":{"HTTP":"http://127.0.0.1/"}}}`, `{"uses":1e999}`, "\x00", strings.Repeat("[", 1000),
	} {
		f.Add(i, body)
	}
	w := newWorld(f, Config{})
	handler := w.server.routes()
	ctx := context.WithValue(context.Background(), accessKey{}, access{socket: true, right: mayAll})
	f.Fuzz(func(t *testing.T, which int, body string) {
		w.backend.registered = nil
		path := paths[(which%len(paths)+len(paths))%len(paths)]
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)).WithContext(ctx)
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		if rec.Code >= http.StatusInternalServerError {
			t.Fatalf("POST %s %q = %d %s", path, body, rec.Code, rec.Body)
		}
		if rec.Code >= http.StatusBadRequest {
			var p Problem
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || micronet.ParseKind(p.Kind) == micronet.Internal {
				t.Fatalf("POST %s %q: the problem %s: %v", path, body, rec.Body, err)
			}
		}
		again(t, w.backend.registered)
	})
}

// again sends services the way the client does.
func again(t *testing.T, services []config.Service) {
	t.Helper()
	for i := range services {
		if micronet.CheckName(services[i].Name) != nil {
			return // Consul's names pass in Consul's form only
		}
	}
	sent, err := json.Marshal(services)
	if err != nil {
		t.Fatal(err)
	}
	got, errs := config.ParseServices("again", sent)
	if len(services) > 0 && (len(errs) > 0 || !reflect.DeepEqual(got, services)) {
		t.Fatalf("%s comes back as %+v, %v, want %+v", sent, got, errs, services)
	}
}
