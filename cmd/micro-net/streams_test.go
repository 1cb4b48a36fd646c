package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
)

// newPipe is a reader that never ends.
func newPipe(t *testing.T) (*io.PipeReader, *io.PipeWriter) {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() })
	return r, w
}

// tcpPair is a connection that can half-close: our end, and the service's.
func tcpPair() (ours, theirs net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if ours, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	theirs, err = ln.Accept()
	return ours, theirs, err
}

// serving makes connections to a service that a func plays.
func serving(service func(net.Conn)) func() (net.Conn, error) {
	return func() (net.Conn, error) {
		ours, theirs, err := tcpPair()
		if err == nil {
			go service(theirs)
		}
		return ours, err
	}
}

// silence is a service that says nothing until its caller is gone.
func silence() (net.Conn, error) {
	return serving(func(c net.Conn) { _, _ = io.Copy(io.Discard, c); _ = c.Close() })()
}

// lastWord answers with what it read, once its caller has half-closed.
func lastWord(c net.Conn) {
	defer c.Close()
	all, err := io.ReadAll(c)
	if err == nil {
		fmt.Fprintf(c, "read %s", all)
	}
}

func TestDialHalfCloses(t *testing.T) {
	w := newWorld(t).start()
	w.backend.dial = serving(lastWord)
	w.stdin = strings.NewReader("hello")
	if r := w.run("dial", "web"); r.code != 0 || r.out != "read hello" {
		t.Errorf("dial: exit %d, %q, %q", r.code, r.out, r.err)
	}
}

// TestDialEndsWithTheService: standard input may stay open.
func TestDialEndsWithTheService(t *testing.T) {
	w := newWorld(t).start()
	w.backend.dial = serving(func(c net.Conn) { fmt.Fprint(c, "bye"); _ = c.Close() })
	w.stdin, _ = newPipe(t)
	if r := w.run("dial", "web"); r.code != 0 || r.out != "bye" {
		t.Errorf("dial: exit %d, %q, %q", r.code, r.out, r.err)
	}
}

// cutConn is a connection of which the daemon knows why it was cut.
type cutConn struct {
	*net.TCPConn
	why error
}

func (c cutConn) WhyCut(context.Context, error) error { return c.why }

// TestCutByTheMesh: a connection that was cut is a failure, with the reason and its exit code.
func TestCutByTheMesh(t *testing.T) {
	refused := micronet.E("dial", micronet.Refused, "web: the connection was cut: the policy says no").WithFix("look")
	broken := micronet.E("dial", micronet.Unreachable, "web: the connection to b was cut: reset")
	for _, c := range []struct {
		verb string
		why  error
		code int
		says string
	}{
		{"dial", refused, 4, "micro-net: dial: web: the connection was cut: the policy says no; look\n"},
		{"dial", broken, 5, "micro-net: dial: web: the connection to b was cut: reset\n"},
		{"call", refused, 4, "micro-net: call: web: the connection was cut: the policy says no; look\n"},
	} {
		w := newWorld(t).start()
		play := serving(func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096)) // the request, or its absence
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		})
		w.backend.dial = func() (net.Conn, error) {
			conn, err := play()
			return cutConn{conn.(*net.TCPConn), c.why}, err
		}
		if r := w.run(c.verb, "web"); r.code != c.code || r.err != c.says {
			t.Errorf("%s: exit %d, %q, want %d, %q", c.verb, r.code, r.err, c.code, c.says)
		}
	}
}

func TestForward(t *testing.T) {
	w := newWorld(t).start()
	w.backend.dial = serving(lastWord)
	var out, errs output
	done := make(chan int, 1)
	go func() { done <- w.app(&out, &errs).run(context.Background(), []string{"forward", "web", "8080"}) }()
	eventually(t, func() bool { return strings.HasSuffix(out.String(), "\n") })
	for i := range 3 {
		c, err := net.Dial("tcp", strings.TrimSpace(out.String()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "request %d", i)
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if want := fmt.Sprintf("read request %d", i); err != nil || string(got) != want {
			t.Errorf("through the forward: %q, %v, want %q", got, err, want)
		}
		_ = c.Close()
	}
	w.exec.signals <- syscall.SIGINT
	if code := <-done; code != micronet.ExitInterrupted {
		t.Errorf("after Ctrl-C: exit %d, want 130", code)
	}
}

func TestForwardAddress(t *testing.T) {
	for _, c := range []struct {
		word  string
		allow []string
		want  string // "" refused
	}{
		{"", nil, "127.0.0.1:0"},
		{"80", nil, "127.0.0.1:80"},
		{":80", nil, "127.0.0.1:80"},
		{"localhost:80", nil, "127.0.0.1:80"},
		{"[::1]:80", nil, "[::1]:80"},
		{"0.0.0.0:80", nil, ""},
		{"0.0.0.0:80", []string{"10.0.0.0/8"}, "0.0.0.0:80"},
		{"0.0.0.0:80", []string{"ten"}, ""},
		{"65536", nil, ""},
		{"host:80", nil, ""},
	} {
		got, _, err := forwardAddress(c.word, c.allow)
		if c.want == "" {
			if micronet.KindOf(err) != micronet.Invalid {
				t.Errorf("forwardAddress(%q, %v) = %v, %v, want a refusal", c.word, c.allow, got, err)
			}
			continue
		}
		if err != nil || got.String() != c.want {
			t.Errorf("forwardAddress(%q, %v) = %v, %v, want %s", c.word, c.allow, got, err, c.want)
		}
	}
}

func TestForwardUnknownService(t *testing.T) {
	if r := newWorld(t).start().run("forward", "nope"); r.code != micronet.ExitNotFound || r.out != "" {
		t.Errorf("forward nope: exit %d, %q", r.code, r.out)
	}
}

// web plays an HTTP service: it tells what it was asked, and answers with the status in the path.
func web() func() (net.Conn, error) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		status := http.StatusOK
		if r.URL.Path == "/503" {
			w.Header().Set(reasonHeader, "no healthy instance")
			status = http.StatusServiceUnavailable
		}
		w.Header().Set("Date", "today")
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s %s host=%s type=%s x=%s body=%s", r.Method, r.URL, r.Host, r.Header.Get("Content-Type"), r.Header.Get("X"), body)
	})
	return serving(func(c net.Conn) {
		ln := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
		ln.conn <- c
		_ = (&http.Server{Handler: handler, ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				close(ln.closed)
			}
		}}).Serve(ln)
	})
}

// oneConn is a listener with one connection.
type oneConn struct {
	net.Listener
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error { return nil }

func TestCall(t *testing.T) {
	w := newWorld(t).start()
	w.backend.dial = web()
	file := w.dir + "/body"
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want result
	}{
		"get":       {[]string{"web"}, result{out: "GET / host=web type= x= body="}},
		"path":      {[]string{"web", "a/b?q=1"}, result{out: "GET /a/b?q=1 host=web type= x= body="}},
		"data":      {[]string{"web", "/p", "--data", "k=v"}, result{out: "POST /p host=web type=application/x-www-form-urlencoded x= body=k=v"}},
		"json":      {[]string{"web", "/p", "-X", "PUT", "--data", `{"a":1}`}, result{out: `PUT /p host=web type=application/json x= body={"a":1}`}},
		"file":      {[]string{"web", "/p", "--data", "@" + file}, result{out: "POST /p host=web type=application/x-www-form-urlencoded x= body=from a file"}},
		"stdin":     {[]string{"web", "/p", "--data", "@-"}, result{out: "POST /p host=web type=application/x-www-form-urlencoded x= body=typed"}},
		"headers":   {[]string{"web", "-H", "X: y", "-H", "Host: other"}, result{out: "GET / host=other type= x=y body="}},
		"failure":   {[]string{"web", "/503"}, result{1, "GET /503 host=web type= x= body=", "micro-net: call: web answered 503 Service Unavailable: no healthy instance\n"}},
		"include":   {[]string{"web", "-i"}, result{out: "HTTP/1.1 200 OK\nContent-Length: 29\r\nContent-Type: text/plain; charset=utf-8\r\nDate: today\r\n\nGET / host=web type= x= body="}},
		"header":    {[]string{"web", "-H", "nonsense"}, result{2, "", "micro-net: call: -H \"nonsense\" is not of the form 'NAME: VALUE'\n"}},
		"no file":   {[]string{"web", "--data", "@" + w.dir + "/none"}, result{2, "", "micro-net: call: $DIR/none: no such file\n"}},
		"odd name":  {[]string{"go.micro.srv_x"}, result{out: "GET / host=go.micro.srv_x type= x= body="}},
		"no method": {[]string{"web", "-X", "A B"}, result{2, "", "micro-net: call: net/http: invalid method \"A B\"\n"}},
	} {
		w.stdin = strings.NewReader("typed")
		got := w.run(append([]string{"call"}, c.args...)...)
		if name == "include" {
			// Go's server closes because we said we would.
			got.out = strings.Replace(got.out, "Connection: close\r\n", "", 1)
		}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestCallBroken: a service that hangs up is unreachable, whatever it speaks.
func TestCallBroken(t *testing.T) {
	w := newWorld(t).start()
	w.backend.dial = serving(func(c net.Conn) { _ = c.Close() })
	if r := w.run("call", "web"); r.code != micronet.ExitUnreachable || !strings.HasPrefix(r.err, "micro-net: call: web: ") {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
}

// TestCallBinary: the body arrives byte for byte.
func TestCallBinary(t *testing.T) {
	w := newWorld(t).start()
	body := bytes.Repeat([]byte{0, 1, 2, 255, '\n'}, 50000)
	w.backend.dial = serving(func(c net.Conn) {
		defer c.Close()
		buf := make([]byte, 4096)
		if _, err := c.Read(buf); err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	})
	if r := w.run("call", "web"); r.code != 0 || r.out != string(body) {
		t.Errorf("exit %d, %d bytes, want %d", r.code, len(r.out), len(body))
	}
}
