package api

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/osenv"
)

// What is at the daemon's address and speaks otherwise is no daemon; what says nothing may be one.
func TestStrangers(t *testing.T) {
	for _, c := range []struct {
		what, says string
		want       micronet.Kind
		words      string
	}{
		{"a web server", "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno", micronet.NoDaemon, "which is not micro-net"},
		{"a page", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi", micronet.NoDaemon, "which is not micro-net"},
		{"no HTTP", "-ERR unknown command\r\n", micronet.NoDaemon, "which is not micro-net"},
		{"a hang-up", "", micronet.NoDaemon, "went away"},
		{"silence", "-", micronet.Timeout, "in time"},
		{"a daemon that refuses", "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\nContent-Length: 33\r\n\r\n" + `{"kind":"refused","detail":"no!"}`, micronet.Refused, "no!"},
	} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go serveWords(ln, c.says)
		client := NewClient(osenv.Network{}, "http://"+ln.Addr().String())
		for call, f := range map[string]func(context.Context) error{
			"status": func(ctx context.Context) error { _, err := client.Status(ctx); return err },
			"dial":   func(ctx context.Context) error { _, err := client.Dial(ctx, "web"); return err },
		} {
			limit := 10 * time.Second
			if c.want == micronet.Timeout {
				limit = 50 * time.Millisecond // a real socket, and nothing to wait for but time
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			if err := f(ctx); micronet.KindOf(err) != c.want || !strings.Contains(err.Error(), c.words) {
				t.Errorf("%s, %s: %v, want %v with %q", c.what, call, err, c.want, c.words)
			}
			cancel()
		}
		_ = ln.Close()
	}
}

// serveWords reads a request and answers all of them with the same words; "-" stands for nothing, and
// no end either.
func serveWords(ln net.Listener, says string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			buf := make([]byte, http.DefaultMaxHeaderBytes)
			if _, err := c.Read(buf); err != nil {
				return
			}
			if says == "-" {
				_, _ = c.Read(buf)
				return
			}
			_, _ = c.Write([]byte(says))
		}()
	}
}
