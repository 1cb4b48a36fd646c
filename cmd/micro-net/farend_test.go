package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// routed is a connection of which the daemon knows where it leads.
type routed struct {
	net.Conn
	node string
}

func (r routed) Route() micronet.Route { return micronet.Route{NodeName: r.node} }

// TestSilentNode: a stream that ends does not say why; the verbs ask whether the node is still there.
func TestSilentNode(t *testing.T) {
	alive, silent, dead := api.Node{Status: micronet.Alive, AgeMs: 400}, api.Node{Status: micronet.Alive, AgeMs: 3500}, api.Node{Status: micronet.Dead, AgeMs: 12_000}
	for _, c := range []struct {
		what  string
		verb  string
		says  string // before the end
		node  api.Node
		code  int
		words string
	}{
		{"no answer, node there", "call", "", alive, 5, "micro-net: call: web on b: the connection was closed before the answer was complete; try again"},
		{"no answer, node silent", "call", "", silent, 5, "micro-net: call: web: b fell silent; try again"},
		{"no answer, node dead", "call", "", dead, 5, "micro-net: call: web: b fell silent; try again"},
		{"half an answer, node dead", "call", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", dead, 5, "micro-net: call: web: b fell silent; try again"},
		{"a whole answer, node dead", "call", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone", dead, 0, ""},
		{"the end, node there", "dial", "bye", alive, 0, ""},
		{"the end, node silent", "dial", "bye", silent, 0, ""},
		{"the end, node dead", "dial", "bye", dead, 0, ""},
	} {
		w := newWorld(t)
		w.backend.nodes[1].Status, w.backend.nodes[1].AgeMs = c.node.Status, c.node.AgeMs
		play := serving(func(conn net.Conn) {
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 4096)) // the request, or its absence
			_, _ = io.WriteString(conn, c.says)
		})
		w.backend.dial = func() (net.Conn, error) {
			conn, err := play()
			return routed{conn, "b"}, err
		}
		if r := w.start().run(c.verb, "web"); r.code != c.code || !strings.HasPrefix(r.err, c.words) || (c.words == "") != (r.err == "") {
			t.Errorf("%s: exit %d, %q, want %d, %q", c.what, r.code, r.err, c.code, c.words)
		}
	}
}

// TestUnheardGoodbye: leave has done what it can, and says what is left to do.
func TestUnheardGoodbye(t *testing.T) {
	w := newWorld(t)
	w.backend.unheard = "nobody was told; the name stays taken"
	if r := w.start().run("leave"); r.code != 0 || !strings.Contains(r.err, "its daemon stops\nWarning: nobody was told; the name stays taken\n") {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
}

// TestRegisterSaysWhatItReplaced: to people; scripts read the ids.
func TestRegisterSaysWhatItReplaced(t *testing.T) {
	w := newWorld(t)
	w.backend.replaced = []string{"web"}
	if r := w.start().run("register", "--service", "web", "--port", "80"); r.code != 0 || r.out != "web\n" || r.err != "web replaced one that had other values\n" {
		t.Errorf("exit %d, %q, %q", r.code, r.out, r.err)
	}
}

// TestInnerErrors: whatever part of the program an error comes from, the user reads the verb.
func TestInnerErrors(t *testing.T) {
	inner := micronet.E("tunnel.dial", micronet.Timeout, "no reply")
	for _, c := range []struct {
		err  error
		want string
	}{
		{micronet.E("router.pick", micronet.NotFound, "no service"), "forward: no service"},
		{micronet.E("dial", micronet.Invalid, "bad"), "forward: bad"},
		{micronet.E("node", micronet.NotFound, "no node").WithFix("look"), "forward: no node; look"},
		{micronet.E("proxy.dial", micronet.Timeout, "web: the last: %w", inner), "forward: web: the last: no reply"},
		{fmt.Errorf("plain (tunnel.dial: no reply)"), "forward: plain (no reply)"},
		{micronet.E("x", micronet.NotFound, "%s: nothing", "v2.web"), "forward: v2.web: nothing"},
	} {
		if got := describe("forward", c.err); got != c.want {
			t.Errorf("%v reads %q, want %q", c.err, got, c.want)
		}
	}
}

// TestAnotherProgramAnswers: where a daemon's address leads to somebody else, no daemon answers.
func TestAnotherProgramAnswers(t *testing.T) {
	page := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for what, h := range map[string]http.Handler{
		"not found":     page(404, "text/plain", "404"),
		"a web page":    page(200, "text/html", "<html>"),
		"other JSON":    page(200, "application/json", `{"hello": 1}`),
		"JSON problems": page(500, "application/json", `{"error": "x"}`),
	} {
		t.Run(what, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			srv := &http.Server{Handler: h}
			go func() { _ = srv.Serve(ln) }()
			t.Cleanup(func() { _ = srv.Close() })
			stranger(t, "http://"+ln.Addr().String())
		})
	}
	t.Run("no HTTP", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				_, _ = c.Read(make([]byte, 4096))
				_, _ = io.WriteString(c, "-ERR unknown command\r\n")
				_ = c.Close()
			}
		}()
		stranger(t, "http://"+ln.Addr().String())
	})
}

func stranger(t *testing.T, address string) {
	t.Helper()
	w := newWorld(t)
	w.vars[apiVariable] = address
	w.net.holder = "nginx (pid 12)"
	for _, args := range [][]string{{"status"}, {"call", "web"}, {"dial", "web"}} {
		r := w.run(args...)
		want := "micro-net: " + args[0] + ": no daemon answers: at " + address + " is nginx (pid 12), which is not micro-net; "
		if r.code != micronet.ExitNoDaemon || !strings.HasPrefix(r.err, want) {
			t.Errorf("%v: exit %d, %q, want 6, %q", args, r.code, r.err, want)
		}
	}
	by, _ := w.findings()
	w.wantFinding(by, "daemon", warn, "nginx (pid 12), which is not micro-net", "micro-net up")
	w.wantFinding(by, "port tcp/8081", good, "is free", "")
}
