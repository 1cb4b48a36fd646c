package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/sim/netsim"
)

func TestCheckCore(t *testing.T) {
	const p, w, c = micronet.Passing, micronet.Warning, micronet.Critical
	for _, test := range []struct {
		failures, successes int
		in, want            []micronet.Health
	}{
		{1, 1, []micronet.Health{p, c, p, w, c}, []micronet.Health{p, c, p, w, c}},
		{2, 1, []micronet.Health{p, c, c, p}, []micronet.Health{p, p, c, p}},
		{2, 1, []micronet.Health{p, c, p, c, p}, []micronet.Health{p, p, p, p, p}}, // never two in a row
		{1, 3, []micronet.Health{p, p, p, c, p, p, p}, []micronet.Health{c, c, p, c, c, c, p}},
		{2, 2, []micronet.Health{p, w, w, c, p, p}, []micronet.Health{c, w, w, w, w, p}}, // a warning is no failure
		{0, 0, []micronet.Health{p, c}, []micronet.Health{p, c}},
	} {
		core := newCheckCore(&config.Check{FailuresBeforeCritical: test.failures, SuccessesBeforePassing: test.successes})
		if core.state != c {
			t.Errorf("it begins %v, want critical", core.state)
		}
		var got []micronet.Health
		for _, h := range test.in {
			got = append(got, core.step(h))
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%d failures, %d successes, %v: %v, want %v", test.failures, test.successes, test.in, got, test.want)
		}
	}
}

func TestWorst(t *testing.T) {
	p, w, c, c2 := verdict{micronet.Passing, "p"}, verdict{micronet.Warning, "w"}, verdict{micronet.Critical, "c"}, verdict{micronet.Critical, "c2"}
	for _, test := range []struct {
		in   []verdict
		want verdict
	}{
		{[]verdict{p}, p},
		{[]verdict{p, w}, w},
		{[]verdict{w, c, p}, c},
		{[]verdict{c, c2, w}, c},
	} {
		if got := worst(test.in); got != test.want {
			t.Errorf("worst(%v) = %v, want %v", test.in, got, test.want)
		}
	}
}

// checkWorld is a host with the programs that checks ask.
func checkWorld(t *testing.T, f func(t *testing.T, b *bubble, env micronet.Env)) {
	inBubble(t, 40, func(t *testing.T, b *bubble) {
		h := b.host("h")
		b.accept(b.listen(h, "127.0.0.1:80"), webServer)
		b.accept(b.listen(h, "[::1]:80"), webServer)
		b.accept(b.listen(h, "127.0.0.1:50051"), grpcServer(b))
		b.accept(b.listen(h, "127.0.0.1:99"), func(c net.Conn) { _, _ = io.ReadAll(c) }) // takes all and says nothing
		exits := func(code int, says string) netsim.CommandFunc {
			return func(_ context.Context, _ io.Reader, out, errs io.Writer, args []string) int {
				_, _ = fmt.Fprintf(out, "%s%s", says, strings.Join(args, ","))
				_, _ = fmt.Fprint(errs, "!")
				return code
			}
		}
		h.Command("good", exits(0, "fine "))
		h.Command("poor", exits(1, "slow "))
		h.Command("bad", exits(2, "broken "))
		h.Command("loud", exits(0, strings.Repeat("x", 3*maxCheckBody)))
		h.Command("stuck", func(ctx context.Context, _ io.Reader, _, _ io.Writer, _ []string) int { <-ctx.Done(); return 0 })
		f(t, b, h.Env())
	})
}

// webServer answers by path; /slow never does.
func webServer(c net.Conn) {
	request := make([]byte, 4096)
	n, err := c.Read(request)
	if err != nil {
		return
	}
	path := strings.Fields(string(request[:n]))[1]
	status := map[string]string{"/ok": "200 OK", "/busy": "429 Too Many Requests", "/moved": "302 Found\r\nLocation: /ok", "/no": "503 Service Unavailable"}[path]
	if status == "" {
		_, _ = io.ReadAll(c)
		return
	}
	_, _ = fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody", status)
}

// grpcServer is the standard health service: "up" serves, "down" does not.
func grpcServer(b *bubble) func(net.Conn) {
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		name := ""
		if len(body) > 7 && int(binary.BigEndian.Uint32(body[1:5])) == len(body)-5 && int(body[6]) == len(body)-7 {
			name = string(body[7:])
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		status := "0"
		switch {
		case r.URL.Path != "/grpc.health.v1.Health/Check" || r.Method != http.MethodPost || r.Header.Get("Te") != "trailers":
			status = "12"
		case name == "" || name == "up":
			_, _ = io.WriteString(w, grpcServing)
		case name == "down":
			_, _ = io.WriteString(w, "\x00\x00\x00\x00\x02\x08\x02")
		default:
			status = "5"
		}
		w.Header().Set("Grpc-Status", status)
		w.Header().Set("Grpc-Message", "about "+name)
	})
	return func(c net.Conn) {
		srv := &http.Server{Handler: handler, Protocols: &h2c, IdleTimeout: time.Second}
		ln := newOneConn(c)
		_ = srv.Serve(ln)
		<-ln.done
		_ = srv.Close()
	}
}

// oneConn is a listener with one connection, over when that is.
type oneConn struct {
	first chan net.Conn
	done  chan struct{}
}

type watchedConn struct {
	net.Conn
	done chan struct{}
}

func newOneConn(c net.Conn) *oneConn {
	o := &oneConn{first: make(chan net.Conn, 1), done: make(chan struct{})}
	o.first <- &watchedConn{c, o.done}
	close(o.first)
	return o
}

func (w *watchedConn) Close() error {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
	return w.Conn.Close()
}

func (o *oneConn) Accept() (net.Conn, error) {
	if c, ok := <-o.first; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (o *oneConn) Close() error   { return nil }
func (o *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func TestRunCheck(t *testing.T) {
	checkWorld(t, func(t *testing.T, _ *bubble, env micronet.Env) {
		for _, c := range []struct {
			check  config.Check
			health micronet.Health
			words  string
		}{
			{config.Check{TCP: "127.0.0.1:80"}, micronet.Passing, "connected to 127.0.0.1:80"},
			{config.Check{TCP: "localhost:80"}, micronet.Passing, "connected"},
			{config.Check{TCP: "[::1]:80"}, micronet.Passing, "connected"},
			{config.Check{TCP: "127.0.0.1:81"}, micronet.Critical, "refused"},
			{config.Check{TCP: "example.com:80"}, micronet.Critical, "no address:port"},
			{config.Check{TCP: "10.0.9.9:80"}, micronet.Critical, ""}, // no such host
			{config.Check{HTTP: "http://127.0.0.1/ok"}, micronet.Passing, "200 OK body"},
			{config.Check{HTTP: "http://[::1]:80/ok"}, micronet.Passing, "200 OK body"},
			{config.Check{HTTP: "http://localhost:80/busy"}, micronet.Warning, "429"},
			{config.Check{HTTP: "http://127.0.0.1/moved"}, micronet.Critical, "302"},
			{config.Check{HTTP: "http://127.0.0.1/no"}, micronet.Critical, "503"},
			{config.Check{HTTP: "http://127.0.0.1/slow"}, micronet.Critical, "deadline"},
			{config.Check{HTTP: "http://127.0.0.1:81/"}, micronet.Critical, "refused"},
			{config.Check{GRPC: "127.0.0.1:50051"}, micronet.Passing, "SERVING"},
			{config.Check{GRPC: "127.0.0.1:50051/up"}, micronet.Passing, "SERVING"},
			{config.Check{GRPC: "127.0.0.1:50051/down"}, micronet.Critical, "grpc status 0 about down"},
			{config.Check{GRPC: "127.0.0.1:50051/none"}, micronet.Critical, "grpc status 5 about none"},
			{config.Check{GRPC: "127.0.0.1:99"}, micronet.Critical, ""},
			{config.Check{Script: []string{"/bin/good", "a", "b"}}, micronet.Passing, "fine a,b!"},
			{config.Check{Script: []string{"poor"}}, micronet.Warning, "slow !"},
			{config.Check{Script: []string{"bad"}}, micronet.Critical, "exit code 2: broken !"},
			{config.Check{Script: []string{"stuck"}}, micronet.Critical, "did not end in time"},
			{config.Check{Script: []string{"missing"}}, micronet.Critical, "missing"},
			{config.Check{}, micronet.Critical, "no name"},
		} {
			c.check.Timeout = time.Second
			begin := time.Now()
			v := runCheck(context.Background(), env, &c.check)
			if v.health != c.health {
				t.Errorf("%+v = %v %q, want %v", c.check, v.health, v.output, c.health)
			}
			contains(t, fmt.Sprintf("%+v", c.check), v.output, c.words)
			if took := time.Since(begin); took > c.check.Timeout {
				t.Errorf("%+v took %v, its timeout is %v", c.check, took, c.check.Timeout)
			}
		}
		loud := runCheck(context.Background(), env, &config.Check{Script: []string{"loud"}, Timeout: time.Second})
		if len(loud.output) != maxCheckBody {
			t.Errorf("%d bytes of a loud script are kept, want %d", len(loud.output), maxCheckBody)
		}
	})
}

// The checker follows the registry: checks begin at once, failures at first are looked at soon, and
// the state changes after as many results as the check says.
func TestCheckerTimes(t *testing.T) {
	inBubble(t, 41, func(t *testing.T, b *bubble) {
		h := b.host("h")
		env := h.Env()
		var r *registry
		var c *checker
		r = newRegistry(func() {
			if c != nil {
				c.notify()
			}
		})
		c = newChecker(env, r)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		b.wg.Go(func() { _ = c.Run(ctx) })
		since := func(what string, begin time.Time, want micronet.Health, least, most time.Duration) {
			t.Helper()
			b.await(time.Minute, what, func() error {
				if got := r.all()[0].health; got != want {
					return fmt.Errorf("it is %v", got)
				}
				return nil
			})
			if took := time.Since(begin); took < least || took > most {
				t.Errorf("%s after %v, want %v to %v", what, took, least, most)
			}
		}
		begin := time.Now()
		if _, err := r.add(source{kind: "api"}, 0, checked("web", 80)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if e := r.all()[0]; e.health != micronet.Critical || !strings.Contains(e.output, "refused") {
			t.Errorf("nobody listens, and it is %v %q", e.health, e.output)
		}
		// The program comes up two seconds after it was registered.
		ln := b.listen(h, "127.0.0.1:80")
		b.accept(ln, func(net.Conn) {})
		since("passing", begin, micronet.Passing, 2*time.Second, 2*time.Second+firstRetry+50*time.Millisecond)
		begin = time.Now()
		if err := ln.Close(); err != nil {
			t.Fatal(err)
		}
		// Two failures in a row, five seconds apart; the first is up to five seconds away.
		since("critical", begin, micronet.Critical, config.DefaultInterval, 2*config.DefaultInterval+50*time.Millisecond)
		ln = b.listen(h, "127.0.0.1:80")
		b.accept(ln, func(net.Conn) {})
		since("passing again", time.Now(), micronet.Passing, 0, config.DefaultInterval+50*time.Millisecond)
		// Other checks take the place of these, whose verdicts count no more.
		s := checked("web", 80)
		s[0].Checks.List = []config.Check{{TCP: "127.0.0.1:81", Interval: time.Second, Timeout: time.Second}, {TCP: "127.0.0.1:80", Interval: time.Second, Timeout: time.Second}}
		if _, err := r.add(source{kind: "api"}, 0, s); err != nil {
			t.Fatal(err)
		}
		since("critical by one of two checks", time.Now(), micronet.Critical, 0, 50*time.Millisecond)
		time.Sleep(3500 * time.Millisecond)
		if e := r.all()[0]; !strings.Contains(e.output, "refused") {
			t.Errorf("the words are %q, want those of the check that fails", e.output)
		}
		r.removeSource(source{kind: "api"})
		time.Sleep(time.Second)
		if n := len(r.all()); n != 0 {
			t.Errorf("%d instances are left", n)
		}
	})
}

// While a script hangs, its checker ends at once.
func TestCheckerEndsWithScripts(t *testing.T) {
	checkWorld(t, func(t *testing.T, b *bubble, env micronet.Env) {
		r := newRegistry(func() {})
		s := checked("web", 80)
		s[0].Checks.List = []config.Check{{Script: []string{"stuck"}, Interval: time.Second, Timeout: time.Minute}}
		if _, err := r.add(source{kind: "api"}, 0, s); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		b.wg.Go(func() { _ = newChecker(env, r).Run(ctx); close(done) })
		time.Sleep(time.Second)
		begin := time.Now()
		cancel()
		<-done
		if took := time.Since(begin); took > 10*time.Millisecond {
			t.Errorf("the checker took %v to end", took)
		}
	})
}
