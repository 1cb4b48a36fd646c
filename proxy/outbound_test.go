package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// office is an outbound proxy in a bubble, with services that the test makes up.
type office struct {
	*Outbound
	net *memNet
	// serve plays the instances; what it returns is Dial's error.
	serve func(dest micronet.Destination, c net.Conn) error
	mu    sync.Mutex
	calls []micronet.Caller
}

func newOffice(t *testing.T, change func(*OutboundConfig)) *office {
	t.Helper()
	o := &office{net: newMemNet()}
	cfg := OutboundConfig{
		Env: micronet.Env{Net: o.net}, Addr: netip.MustParseAddrPort("127.0.0.1:8081"), Self: nodeID(1),
		Resolve: func(host string) (micronet.Destination, bool) {
			switch host {
			case "127.80.3.4", "web", "web.micro.internal":
				return web, true
			case "nothing":
				return micronet.Destination{Service: "nothing"}, true
			}
			return micronet.Destination{}, false
		},
		Dial: o.dial,
	}
	if change != nil {
		change(&cfg)
	}
	o.Outbound = NewOutbound(cfg)
	if err := o.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	running(t, o.Run)
	return o
}

// granted is a connection as Dial returns it.
type granted struct{ local }

func (granted) Route() micronet.Route { return micronet.Route{} }

func (o *office) dial(_ context.Context, dest micronet.Destination, caller micronet.Caller) (Conn, error) {
	o.mu.Lock()
	o.calls = append(o.calls, caller)
	o.mu.Unlock()
	if dest.Service == "nothing" {
		return nil, micronet.E("router.pick", micronet.NotFound, "no service %q", dest.Service)
	}
	a, b := memPair(netip.AddrPort{}, netip.AddrPort{})
	if err := o.serve(dest, b); err != nil {
		return nil, err
	}
	return granted{local{a}}, nil
}

func echo(_ micronet.Destination, c net.Conn) error {
	go func() {
		io.Copy(c, c)
		c.Close()
	}()
	return nil
}

func (o *office) client(t *testing.T) net.Conn {
	t.Helper()
	c, err := o.net.Dial(t.Context(), netip.Addr{}, o.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSOCKS(t *testing.T) {
	ask := func(kind byte, addr string) []byte {
		return append(append([]byte{5, 1, 0, 5, 1, 0, kind}, addr...), 0, 80)
	}
	ok := []byte{5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	no := func(code byte) []byte { return []byte{5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0} }
	for _, c := range []struct {
		name string
		send []byte
		dial error // what Dial returns
		want []byte
	}{
		{"name", append(ask(3, "\x03web"), "hi"...), nil, append(ok, "hi"...)},
		{"long name in capitals", append(ask(3, "\x13WEB.micro.internal."), "hi"...), nil, append(ok, "hi"...)},
		{"VIP", append(ask(1, "\x7f\x50\x03\x04"), "hi"...), nil, append(ok, "hi"...)},
		{"VIP in IPv6", append(ask(4, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x7f\x50\x03\x04"), "hi"...), nil, append(ok, "hi"...)},
		{"foreign name", ask(3, "\x0bexample.com"), nil, no(2)},
		{"foreign address", ask(1, "\x01\x01\x01\x01"), nil, no(2)},
		{"unknown service", ask(3, "\x07nothing"), nil, no(4)},
		{"no healthy instance", ask(3, "\x03web"), micronet.E("x", micronet.Unreachable, "all critical"), no(4)},
		{"timeout", ask(3, "\x03web"), micronet.E("x", micronet.Timeout, "silent"), no(4)},
		{"refused", ask(3, "\x03web"), micronet.E("x", micronet.Unreachable, "%w", syscall.ECONNREFUSED), no(5)},
		{"policy", ask(3, "\x03web"), micronet.E("x", micronet.Refused, "policy"), no(2)},
		{"our fault", ask(3, "\x03web"), errors.New("oops"), no(1)},
		{"bind", []byte{5, 1, 0, 5, 2, 0, 3, 3, 'w', 'e', 'b', 0, 80}, nil, no(7)},
		{"udp", []byte{5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0}, nil, no(7)},
		{"address type", []byte{5, 1, 0, 5, 1, 0, 9}, nil, no(8)},
		{"empty name", ask(3, "\x00"), nil, no(1)},
		{"password only", []byte{5, 1, 2}, nil, []byte{5, 0xff}},
		{"many methods", append([]byte{5, 3, 2, 1, 0}, ask(3, "\x03web")[3:]...), nil, ok},
		{"torn", []byte{5, 1, 0, 5, 1}, nil, []byte{5, 0}},
		{"version", []byte{5, 1, 0, 4, 1, 0, 1, 1, 1, 1, 1, 0, 1}, nil, []byte{5, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t, nil)
				o.serve = func(d micronet.Destination, conn net.Conn) error {
					if c.dial != nil {
						return c.dial
					}
					return echo(d, conn)
				}
				x := o.client(t)
				defer x.Close()
				x.Write(c.send)
				closeWrite(x)
				if got, err := io.ReadAll(x); !bytes.Equal(got, c.want) || err != nil {
					t.Errorf("answer = %v, %v, want %v", got, err, c.want)
				}
			})
		})
	}
}

// A client that says nothing, or only a part, is gone after ten seconds.
func TestH24_OutboundGreetingTimeout(t *testing.T) {
	for _, send := range []string{"", "\x05", "\x05\x01\x00\x05", "GET http://web/ HT"} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, nil)
			x := o.client(t)
			defer x.Close()
			io.WriteString(x, send)
			began := time.Now()
			io.ReadAll(x)
			if took := time.Since(began); took < greetingWait || took > greetingWait+time.Second {
				t.Errorf("after %q the client was let go after %v, want %v", send, took, greetingWait)
			}
		})
	}
}

// browser is an HTTP client that uses the proxy.
func (o *office) browser(t *testing.T) *http.Client {
	proxy := &url.URL{Scheme: "http", Host: o.Addr().String()}
	tr := &http.Transport{
		Proxy:              http.ProxyURL(proxy),
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return o.net.Dial(ctx, netip.Addr{}, netip.MustParseAddrPort(addr))
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// webServer lets instances speak HTTP.
func webServer(h http.HandlerFunc) func(micronet.Destination, net.Conn) error {
	return func(_ micronet.Destination, c net.Conn) error {
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			rec := &rawResponse{header: http.Header{}, w: c}
			h(rec, req)
		}()
		return nil
	}
}

// rawResponse writes an answer that ends with the connection.
type rawResponse struct {
	header http.Header
	w      io.Writer
	sent   bool
}

func (r *rawResponse) Header() http.Header { return r.header }
func (r *rawResponse) WriteHeader(code int) {
	r.sent = true
	fmt.Fprintf(r.w, "HTTP/1.1 %d X\r\n", code)
	r.header.Write(r.w)
	io.WriteString(r.w, "\r\n")
}

func (r *rawResponse) Write(p []byte) (int, error) {
	if !r.sent {
		r.WriteHeader(200)
	}
	return r.w.Write(p)
}

func TestHTTPForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		o.serve = webServer(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s|%v|%v", r.Method, r.Host, r.URL, body, r.Header["X-Forwarded-For"], r.Header["X-Own"])
			for _, name := range []string{"Proxy-Connection", "Proxy-Authorization", "Upgrade", "Http2-Settings", "X-Hop", "Keep-Alive"} {
				if v := r.Header.Get(name); v != "" {
					fmt.Fprintf(w, " %s=%s", name, v)
				}
			}
		})
		const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		req, _ := http.NewRequest("POST", "http://web.micro.internal:9/a%2Fb?x=1;y", strings.NewReader("body"))
		for k, v := range map[string]string{
			"X-Forwarded-For": "10.0.0.1", "X-Own": "1", "Proxy-Authorization": "s", "X-Hop": "1", "Keep-Alive": "5",
			"Connection": "X-Hop, Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABk", "Traceparent": trace,
		} {
			req.Header.Set(k, v)
		}
		resp, err := o.browser(t).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := "POST web.micro.internal:9 /a%2Fb?x=1;y body|[10.0.0.1]|[1]"; string(got) != want {
			t.Errorf("the instance saw %q, want %q", got, want)
		}
		if c := o.calls[0]; c.Trace != trace || c.Node != nodeID(1) || !c.Addr.Addr().IsLoopback() {
			t.Errorf("caller = %+v", c)
		}
	})
}

// Two requests on one client connection are two connections to instances.
func TestHTTPForwardPerRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		o.serve = webServer(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
		b := o.browser(t)
		for i := range 3 {
			resp, err := b.Get(fmt.Sprint("http://web/", i))
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(got) != fmt.Sprint("/", i) {
				t.Errorf("answer %d = %q", i, got)
			}
		}
		if len(o.calls) != 3 || o.calls[0].Addr != o.calls[2].Addr {
			t.Errorf("calls = %v, want 3 from one client connection", o.calls)
		}
	})
}

// An answer arrives as it is made, not when it is complete.
func TestHTTPForwardStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		o.serve = webServer(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "first")
			time.Sleep(time.Hour)
			io.WriteString(w, "second")
		})
		resp, err := o.browser(t).Get("http://web/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		began := time.Now()
		buf := make([]byte, 5)
		if _, err := io.ReadFull(resp.Body, buf); err != nil || time.Since(began) > time.Second {
			t.Errorf("the first part came after %v, %v", time.Since(began), err)
		}
		if rest, err := io.ReadAll(resp.Body); string(rest) != "second" || err != nil {
			t.Errorf("the rest = %q, %v", rest, err)
		}
	})
}

func TestHTTPErrors(t *testing.T) {
	for _, c := range []struct {
		url  string
		dial error
		code int
		says string
	}{
		{"http://nothing/", nil, 404, `no service "nothing"`},
		{"http://example.com/", nil, 403, `"example.com" is not a name of this mesh`},
		{"http://web/", micronet.E("router.pick", micronet.Unreachable, "3 instances, all critical"), 503, "all critical"},
		{"http://web/", micronet.E("proxy.dial", micronet.Timeout, "silent"), 504, "silent"},
		{"http://web/", micronet.E("proxy.dial", micronet.Refused, "policy no-c"), 403, "policy no-c"},
		{"http://web/", micronet.E("proxy.dial", micronet.Unreachable, "two\r\nlines"), 503, "two lines"},
		{"http://web/", errors.New("oops"), 502, "oops"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, nil)
			o.serve = func(micronet.Destination, net.Conn) error { return c.dial }
			resp, err := o.browser(t).Get(c.url)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			text := resp.Header.Get("Micro-Net-Error")
			if resp.StatusCode != c.code || !strings.Contains(text, c.says) || string(body) != text+"\n" {
				t.Errorf("%s: %d %q with body %q, want %d with %q", c.url, resp.StatusCode, text, body, c.code, c.says)
			}
		})
	}
}

// What goes wrong after the request was sent along is told as well.
func TestHTTPErrorsAfterDial(t *testing.T) {
	for does, want := range map[behaviour]int{silent: 504, breaks: 503, refuses: 503, denies: 403} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh(t, does).allFresh()
			m.run(t, func(d *Dialer) {
				o := newOffice(t, func(c *OutboundConfig) { c.Dial = d.Dial })
				resp, err := o.browser(t).Get("http://web/")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if text := resp.Header.Get("Micro-Net-Error"); resp.StatusCode != want || text == "" {
					t.Errorf("behaviour %d: %d %q, want %d", does, resp.StatusCode, text, want)
				}
				synctest.Wait()
			})
			m.wg.Wait()
		})
	}
}

func TestHTTPOriginForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		x := o.client(t)
		defer x.Close()
		io.WriteString(x, "GET /index.html HTTP/1.1\r\nHost: web\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(x), nil)
		if err != nil || resp.StatusCode != 400 || !strings.Contains(resp.Header.Get("Micro-Net-Error"), "http_proxy=http://127.0.0.1:8081") {
			t.Errorf("answer = %v, %v, want 400 with advice", resp, err)
		}
	})
}

// What the client sends along with CONNECT, before the answer, is not lost: neither a little nor
// more than any buffer holds.
func TestHTTPConnect(t *testing.T) {
	for _, size := range []int{2, 3000, 20_000} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, nil)
			o.serve = echo
			x := o.client(t)
			defer x.Close()
			payload := strings.Repeat("ab", size/2)
			io.WriteString(x, "CONNECT web:443 HTTP/1.1\r\nHost: web:443\r\n\r\n"+payload)
			closeWrite(x)
			got, err := io.ReadAll(x)
			if want := "HTTP/1.1 200 Connection established\r\n\r\n" + payload; string(got) != want || err != nil {
				t.Errorf("%d bytes: answer = %.80q (%d bytes), %v", size, got, len(got), err)
			}
		})
	}
}

func TestHTTPConnectErrors(t *testing.T) {
	for target, want := range map[string]int{"nothing:80": 404, "example.com:443": 403, "web": 400, "web:99999": 400} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t, nil)
			x := o.client(t)
			defer x.Close()
			fmt.Fprintf(x, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
			resp, err := http.ReadResponse(bufio.NewReader(x), &http.Request{Method: "CONNECT"})
			if err != nil || resp.StatusCode != want {
				t.Errorf("CONNECT %s = %v, %v, want %d", target, resp, err, want)
			}
		})
	}
}

// A WebSocket-like upgrade passes.
func TestHTTPUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		o.serve = func(_ micronet.Destination, c net.Conn) error {
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				if req, err := http.ReadRequest(r); err != nil || req.Header.Get("Upgrade") != "websocket" {
					return
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				io.Copy(c, r)
			}()
			return nil
		}
		x := o.client(t)
		defer x.Close()
		io.WriteString(x, "GET http://web/chat HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		r := bufio.NewReader(x)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 101 {
			t.Fatalf("answer = %v, %v", resp, err)
		}
		io.WriteString(x, "ping")
		buf := make([]byte, 4)
		if _, err := io.ReadFull(r, buf); string(buf) != "ping" || err != nil {
			t.Errorf("echo = %q, %v", buf, err)
		}
	})
}

func TestPassThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, func(c *OutboundConfig) {
			c.Lookup = func(_ context.Context, host string) ([]netip.Addr, error) {
				switch host {
				case "example.com":
					return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}, nil
				case "rebound.example":
					return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")}, nil
				}
				return nil, errors.New("no such host")
			}
		})
		ln, _ := o.net.Listen(t.Context(), netip.MustParseAddrPort("192.0.2.2:80"))
		defer ln.Close()
		go func() {
			c, err := ln.Accept()
			if err == nil {
				http.ReadRequest(bufio.NewReader(c))
				io.WriteString(c, "HTTP/1.0 200 OK\r\n\r\nexample")
				c.Close()
			}
		}()
		for host, want := range map[string]string{
			"example.com": "200 example", "rebound.example": "403", "127.0.0.1": "403", "169.254.169.254": "403", "unknown.example": "404",
		} {
			resp, err := o.browser(t).Get("http://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := fmt.Sprint(resp.StatusCode, " ", string(body)); !strings.HasPrefix(got, want) {
				t.Errorf("%s = %q, want %q", host, got, want)
			}
		}
	})
}

func TestOutboundClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t, nil)
		c, _ := o.net.Dial(t.Context(), netip.MustParseAddr("10.0.0.7"), o.Addr())
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a stranger reads %v, want a reset", err)
		}
	})
}

func TestOutboundPortTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		n.Listen(t.Context(), netip.MustParseAddrPort("0.0.0.0:8081"))
		o := NewOutbound(OutboundConfig{Env: micronet.Env{Net: n}, Addr: netip.MustParseAddrPort("127.0.0.1:8081")})
		err := o.Listen(t.Context())
		if micronet.KindOf(err) != micronet.Refused || !strings.Contains(err.Error(), "redis-server (pid 812)") || !strings.Contains(err.Error(), "--proxy-addr") {
			t.Errorf("Listen = %v, want holder and flag", err)
		}
	})
}

// The end of Run resets what is open, of every kind.
func TestOutboundEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newOffice(t, nil)
		n.serve = func(micronet.Destination, net.Conn) error { return nil } // silent instances
		for _, hello := range []string{
			"", "GET http://web/ HTTP/1.1\r\nHost: web\r\n\r\n", "CONNECT web:1 HTTP/1.1\r\nHost: web:1\r\n\r\n",
			"\x05\x01\x00\x05\x01\x00\x03\x03web\x00\x50",
		} {
			io.WriteString(n.client(t), hello)
		}
		synctest.Wait()
		// The cleanup ends Run; the bubble checks that nothing is left.
	})
}
