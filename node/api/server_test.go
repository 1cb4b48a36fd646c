package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// TestProblems: each kind has its status, and arrives at the client as what it was.
func TestProblems(t *testing.T) {
	w := newWorld(t, Config{}).start()
	for kind, want := range map[micronet.Kind]int{
		micronet.Internal: 500, micronet.Invalid: 400, micronet.NotFound: 404, micronet.Refused: 403, micronet.Unauthorized: 403,
		micronet.Unreachable: 503, micronet.Timeout: 504, micronet.Overloaded: 503, micronet.Closed: 503, micronet.NoDaemon: 500,
	} {
		w.backend.fail = micronet.E("some.op", kind, "the cause").WithFix("the remedy")
		got := w.do(request{method: "GET", path: "/api/v1/services"})
		var p Problem
		if err := json.Unmarshal([]byte(got.body), &p); err != nil {
			t.Fatal(err)
		}
		wanted := Problem{"about:blank", http.StatusText(want), want, "the cause", kind.String(), "some.op", "the remedy"}
		if got.status != want || p != wanted || got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v: %d %+v, want %+v", kind, got.status, p, wanted)
		}
		_, err := w.client().Services(t.Context(), "")
		if err == nil || err.Error() != "some.op: the cause; the remedy" || micronet.KindOf(err) != kind {
			t.Errorf("%v arrives as %v, kind %v", kind, err, micronet.KindOf(err))
		}
	}
	w.backend.fail = errors.New("no kind")
	if _, err := w.client().Services(t.Context(), ""); err == nil || err.Error() != "api: no kind" || micronet.KindOf(err) != micronet.Internal {
		t.Errorf("a plain error arrives as %v", err)
	}
}

func TestUnknownPaths(t *testing.T) {
	w := newWorld(t, Config{}).start()
	for _, q := range []request{
		{method: "GET", path: "/nothing"},
		{method: "POST", path: "/api/v1/status"},
		{method: "GET", path: "/api/v1/invite"},
		{method: "GET", path: "/debug/pprof/"},
		{method: "DELETE", path: "/api/v1/instances/"},
	} {
		if got := w.do(q); got.status != 404 || !strings.Contains(got.body, `"kind":"not-found"`) {
			t.Errorf("%s %s = %d %s", q.method, q.path, got.status, got.body)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t, Config{}).start()
	got := w.do(request{method: "GET", path: "/api/v1/openapi.json"})
	if got.status != 200 || got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Content-Security-Policy") == "" || !json.Valid([]byte(got.body)) {
		t.Errorf("%d %v", got.status, got.header)
	}
}

// TestOpenAPIIsComplete: every route is described, and nothing else.
func TestOpenAPIIsComplete(t *testing.T) {
	var doc struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for path, methods := range map[string]string{
		"/api/v1/status": "get", "/api/v1/nodes": "get", "/api/v1/services": "get", "/api/v1/services/{name}": "get", "/api/v1/routes": "get",
		"/api/v1/connections": "get", "/api/v1/graph": "get", "/api/v1/config": "get", "/api/v1/resolve": "get", "/api/v1/ping": "get", "/api/v1/clocks": "get", "/api/v1/reach": "get",
		"/api/v1/dial": "get", "/api/v1/dial/{stream}/end": "get", "/api/v1/instances": "post", "/api/v1/instances/{id}": "delete", "/api/v1/invite": "post", "/api/v1/join": "post",
		"/api/v1/leave": "post", "/api/v1/node/log": "get", "/api/v1/node/root/export": "post", "/api/v1/node/root/remove": "post", "/api/v1/node/root/kept": "post",
		"/api/v1/node/root/import": "post", "/api/v1/node/revoke": "post", "/api/v1/node/forget": "post",
		"/api/v1/node/promote": "post", "/api/v1/node/demote": "post", "/api/v1/node/root/rotate": "post",
		"/api/v1/policies": "get", "/api/v1/policies/{name}": "delete", "/api/v1/policy-test": "get", "/api/v1/explain": "get",
	} {
		if _, ok := doc.Paths[path][methods]; !ok {
			t.Errorf("%s %s is not described", methods, path)
		}
	}
}

func TestH31_Bodies(t *testing.T) {
	w := newWorld(t, Config{}).start()
	for name, c := range map[string]struct {
		path, body string
		want       int
	}{
		"invite":             {"/api/v1/invite", `{"ttl":"1h","uses":2,"name":"b","addresses":["x:1"]}`, 200},
		"invite, empty":      {"/api/v1/invite", "", 200},
		"unknown field":      {"/api/v1/invite", `{"tll":"1h"}`, 400},
		"wrong type":         {"/api/v1/invite", `{"uses":"2"}`, 400},
		"two values":         {"/api/v1/invite", `{} {}`, 400},
		"no JSON":            {"/api/v1/invite", `{`, 400},
		"too large":          {"/api/v1/invite", `{"ttl":"` + strings.Repeat("x", maxBody) + `"}`, 400},
		"too large services": {"/api/v1/instances", `{"name":"` + strings.Repeat("x", maxBody) + `"}`, 400},
		"join":               {"/api/v1/join", `{"token":"mnj1_x"}`, 204},
	} {
		got := w.do(request{method: "POST", path: c.path, body: c.body, from: "unix"})
		if got.status != c.want {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.body, c.want)
		}
	}
	if w.backend.joined != "mnj1_x" {
		t.Errorf("joined with %q", w.backend.joined)
	}
}

// TestClientRoundTrip: every call of the client reaches the backend and comes back.
func TestClientRoundTrip(t *testing.T) {
	w := newWorld(t, Config{}).start()
	ctx, c := t.Context(), w.client()
	if s, err := c.Status(ctx); err != nil || s.Node.Name != "a" {
		t.Errorf("Status: %+v, %v", s, err)
	}
	g, err := c.Graph(ctx)
	if err != nil || g.Nodes == nil || g.Edges == nil {
		t.Errorf("Graph: %+v, %v: lists of an answer are never nil", g, err)
	}
	for name, call := range map[string]func() error{
		"Nodes":       func() error { _, err := c.Nodes(ctx); return err },
		"Services":    func() error { _, err := c.Services(ctx, "a/b c?d"); return err },
		"Routes":      func() error { _, err := c.Routes(ctx, "a&b"); return err },
		"Connections": func() error { _, err := c.Connections(ctx); return err },
		"Settings":    func() error { _, err := c.Settings(ctx); return err },
		"Deregister":  func() error { return c.Deregister(ctx, "a/../b") },
		"Leave": func() error {
			f, err := c.Leave(ctx, LeaveRequest{})
			if err == nil && f.Warning != "nobody was told" {
				err = fmt.Errorf("it brought %+v", f)
			}
			return err
		},
		"Invite": func() error { _, err := c.Invite(ctx, InviteRequest{Uses: 2}); return err },
		"Join":   func() error { return c.Join(ctx, "mnj1_x") },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := c.Resolve(ctx, "we b", "SRV"); err != nil || r.Name != "we b" || r.Type != "SRV" {
		t.Errorf("Resolve: %+v, %v", r, err)
	}
	if got, err := c.Clocks(ctx); err != nil || len(got) != 1 || got[0].OffsetMs != 1500 {
		t.Errorf("Clocks: %+v, %v", got, err)
	}
	if r, err := c.Reach(ctx); err != nil || r.Port != 8085 || r.NATs == nil || r.Nodes == nil {
		t.Errorf("Reach: %+v, %v", r, err)
	}
	if p, err := c.Ping(ctx, "a+b"); err != nil || p.Node != "a+b" {
		t.Errorf("Ping: %+v, %v", p, err)
	}
	s, err := config.Complete(config.Service{Name: "web", Port: 80, Checks: config.Checks{None: true}, Tags: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Register(ctx, []config.Service{s}); err != nil || len(r.IDs) != 1 || r.IDs[0] != "web" || len(r.Replaced) != 1 || len(r.Withheld) != 1 || !w.backend.registered[0].Checks.None {
		t.Errorf("Register: %v, %v, %+v", r, err, w.backend.registered)
	}
}

func TestHoldEnds(t *testing.T) {
	w := newWorld(t, Config{}).start()
	services := []config.Service{{Name: "web", Port: 80}}
	w.backend.ended = make(chan struct{})
	reg, held, err := w.client().Hold(t.Context(), services)
	if err != nil || len(reg.IDs) != 1 || len(reg.Withheld) != 1 {
		t.Fatalf("Hold: %v, %v", reg, err)
	}
	select {
	case <-w.backend.ended:
		t.Fatal("the hold ended by itself")
	case <-time.After(20 * time.Millisecond): // a real socket: nothing to wait for but time
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	<-w.backend.ended

	w.backend.ended = make(chan struct{})
	_, held, err = w.client().Hold(t.Context(), services)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	<-w.backend.ended
	if _, err := held.Read(make([]byte, 1)); err == nil {
		t.Error("the holder is not told that the daemon went away")
	}
	_ = held.Close()
}

func TestHoldRefused(t *testing.T) {
	w := newWorld(t, Config{}).start()
	w.backend.fail = micronet.E("register", micronet.Refused, "no")
	if _, _, err := w.client().Hold(t.Context(), []config.Service{{Name: "web", Port: 80}}); micronet.KindOf(err) != micronet.Refused {
		t.Errorf("Hold: %v", err)
	}
}

// tcpPair is a connection that can half-close.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// dialed opens a stream through the API: the caller's end, and the service's.
func dialed(t *testing.T, w *world) (caller net.Conn, service *net.TCPConn) {
	t.Helper()
	near, far := tcpPair(t)
	w.backend.dialed = func() (net.Conn, error) { return near, nil }
	c, err := w.client().Dial(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, far
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != want {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

func TestDialCallerClosesFirst(t *testing.T) {
	w := newWorld(t, Config{}).start()
	caller, service := dialed(t, w)
	fmt.Fprint(caller, "question")
	if err := caller.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantRead(t, service, "question")
	fmt.Fprint(service, "answer")
	_ = service.Close()
	wantRead(t, caller, "answer")
}

func TestDialServiceClosesFirst(t *testing.T) {
	w := newWorld(t, Config{}).start()
	caller, service := dialed(t, w)
	fmt.Fprint(service, "greeting")
	if err := service.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantRead(t, caller, "greeting")
	fmt.Fprint(caller, "still here")
	_ = caller.Close()
	wantRead(t, service, "still here")
}

// TestDialSaysWhyItEnded: a raw stream just ends; whether it was cut is told to who asks for it by its name.
func TestDialSaysWhyItEnded(t *testing.T) {
	w := newWorld(t, Config{}).start()
	for what, c := range map[string]struct {
		end  func(*net.TCPConn) error
		want string
	}{
		"closed": {func(c *net.TCPConn) error { return c.Close() }, ""},
		"reset":  {func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }, "connection reset by peer"},
	} {
		caller, service := dialed(t, w)
		if err := c.end(service); err != nil {
			t.Fatal(err)
		}
		wantRead(t, caller, "")
		id := caller.(interface{ ID() string }).ID()
		err := w.client().End(t.Context(), id)
		if len(id) != 2*streamID || (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: stream %q has ended with %v, want %q", what, id, err, c.want)
		}
	}
}

// TestEndsAreBounded: the oldest gives way.
func TestEndsAreBounded(t *testing.T) {
	var e ends
	for i := range maxEnds + 1 {
		e.put(fmt.Sprint(i), whyOf(nil, io.ErrUnexpectedEOF))
	}
	if e.get("0") != nil || e.get("1") == nil || len(e.of) != maxEnds || len(e.order) != maxEnds {
		t.Errorf("%d ends are remembered", len(e.of))
	}
}

func TestDialBulk(t *testing.T) {
	w := newWorld(t, Config{}).start()
	caller, service := dialed(t, w)
	const amount = 4 << 20
	go func() { _, _ = io.Copy(service, service); _ = service.CloseWrite() }()
	go func() {
		_, _ = io.Copy(caller, io.LimitReader(zeros{}, amount))
		_ = caller.(interface{ CloseWrite() error }).CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, caller); n != amount || err != nil {
		t.Errorf("%d bytes came back, %v, want %d", n, err, amount)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestDialErrors(t *testing.T) {
	w := newWorld(t, Config{}).start()
	if got := w.do(request{method: "GET", path: "/api/v1/dial?service=web"}); got.status != 400 {
		t.Errorf("without Upgrade: %d %s", got.status, got.body)
	}
	w.backend.fail = micronet.E("router.pick", micronet.NotFound, "no %q", "web")
	if _, err := w.client().Dial(t.Context(), "web"); micronet.KindOf(err) != micronet.NotFound || err.Error() != `router.pick: no "web"` {
		t.Errorf("Dial: %v", err)
	}
}

// TestRunEndsStreams: Run does not return before the streams have ended, and ends them.
func TestRunEndsStreams(t *testing.T) {
	w := newWorld(t, Config{}).start()
	caller, service := dialed(t, w)
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	wantRead(t, caller, "")
	wantRead(t, service, "")
}

// failing is a listener that cannot accept.
type failing struct{ *memListener }

func (failing) Accept() (net.Conn, error) { return nil, errors.New("broken") }

func TestRunTellsOfABrokenListener(t *testing.T) {
	w := newWorld(t, Config{})
	if err := w.server.Run(t.Context(), failing{newMemListener()}, w.tcp); err == nil || err.Error() != "broken" {
		t.Errorf("Run = %v", err)
	}
}

// TestH31_SlowClients are cut: one that does not finish its header, its body, or says nothing more.
func TestH31_SlowClients(t *testing.T) {
	for name, c := range map[string]struct {
		send string
		cut  time.Duration
	}{
		"header": {"GET /api/v1/status HTTP/1.1\r\n", headerTimeout},
		"body":   {"POST /api/v1/instances HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", bodyTimeout},
		"idle":   {"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{}).serve(nil)
				conn, err := w.tcp.dial("")
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				go func() { _, _ = io.WriteString(conn, c.send) }()
				_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
				if took := time.Since(begin); took < c.cut || took > c.cut+time.Second {
					t.Errorf("cut after %v, want %v", took, c.cut)
				}
				_ = conn.Close()
			})
		})
	}
}

// TestHeldBodyHasNoDeadline: what bounds a body does not bound a hold.
func TestHeldBodyHasNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{}).serve(nil)
		w.backend.ended = make(chan struct{})
		conn, err := w.tcp.dial("")
		if err != nil {
			t.Fatal(err)
		}
		go fmt.Fprintf(conn, "POST /api/v1/instances?hold=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(webService), webService)
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		time.Sleep(10 * bodyTimeout)
		select {
		case <-w.backend.ended:
			t.Error("the hold ended by a deadline")
		default:
		}
		_ = conn.Close()
		<-w.backend.ended
	})
}

func TestClientAddresses(t *testing.T) {
	w := newWorld(t, Config{}).start()
	nowhere := "unix://" + w.socket + ".none"
	here := "unix://" + w.socket
	for name, c := range map[string]struct {
		addresses []string
		denied    bool
		want      string // part of the error
		kind      micronet.Kind
	}{
		"the second answers": {addresses: []string{nowhere, here}},
		"nobody":             {[]string{nowhere, "http://127.0.0.1:1"}, false, "no daemon answers on " + nowhere + " or http://127.0.0.1:1", micronet.NoDaemon},
		"denied":             {[]string{here, "http://localhost:1"}, true, "permission denied", micronet.Refused},
		"no address":         {[]string{"tcp://127.0.0.1:1"}, false, `"tcp://127.0.0.1:1" is no API address`, micronet.Invalid},
		"a name":             {[]string{"http://example.com:80"}, false, "is no API address", micronet.Invalid},
	} {
		w.net.denied = c.denied
		_, err := NewClient(w.net, c.addresses...).Status(t.Context())
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || micronet.KindOf(err) != c.kind {
			t.Errorf("%s: %v, kind %v, want %q, kind %v", name, err, micronet.KindOf(err), c.want, c.kind)
		}
	}
	w.net.denied = false
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client().Status(ctx); micronet.KindOf(err) != micronet.Timeout {
		t.Errorf("with an ended context: %v", err)
	}
}
