package node

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// hostileTargets are programs that answer checks, by port.
var hostileTargets = []struct {
	what   string
	says   func(io.Writer)
	health micronet.Health
	words  string
}{
	{"a redirect to secrets", words("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:200/secret\r\nContent-Length: 0\r\n\r\n"), micronet.Critical, "302"},
	{"a redirect of the method", words("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:200/secret\r\nContent-Length: 0\r\n\r\n"), micronet.Critical, "307"},
	{"a body without end", flood("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 4096)), micronet.Passing, "200 OK xxx"},
	{"a body of chunks without end", flood("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nxxxx\r\n"), micronet.Passing, "200 OK xxx"},
	{"a byte a second", trickle("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + strings.Repeat("x", 100)), micronet.Critical, "deadline"},
	{"headers without end", flood("HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("y", 1000)+"\r\n"), micronet.Critical, "exceeded"},
	{"interim answers without end", flood("", "HTTP/1.1 100 Continue\r\n\r\n"), micronet.Critical, ""},
	{"a long status", words("HTTP/1.1 200 " + strings.Repeat("OK", 20_000) + "\r\nContent-Length: 0\r\n\r\n"), micronet.Passing, "200 OKOK"},
	{"a status that is none", words("HTTP/1.1 " + strings.Repeat("9", 20_000) + "\r\n\r\n"), micronet.Critical, "malformed"},
	{"HTTP/0.9", words("hello\r\n"), micronet.Critical, "malformed"},
	{"another protocol", words("\x15\x03\x01\x00\x02\x02\x28"), micronet.Critical, "malformed"},
	{"a hang-up", words(""), micronet.Critical, "EOF"},
	{"a body cut short", words("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"), micronet.Critical, "EOF"},
	{"packed zeros", words("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"), micronet.Critical, ""},
}

func words(s string) func(io.Writer) {
	return func(w io.Writer) { _, _ = io.WriteString(w, s) }
}

func flood(first, again string) func(io.Writer) {
	return func(w io.Writer) {
		_, err := io.WriteString(w, first)
		for err == nil {
			_, err = io.WriteString(w, again)
		}
	}
}

func trickle(s string) func(io.Writer) {
	return func(w io.Writer) {
		for i := range s {
			if _, err := io.WriteString(w, s[i:i+1]); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
}

// A program that answers checks costs no more than its timeout and a few kilobytes, and sends the daemon
// nowhere.
func TestH25_HostileHealthTargets(t *testing.T) {
	inBubble(t, 43, func(t *testing.T, b *bubble) {
		h := b.host("h")
		led := 0
		b.accept(b.listen(h, "127.0.0.1:200"), func(net.Conn) { led++ })
		for i, target := range hostileTargets {
			b.accept(b.listen(h, fmt.Sprintf("127.0.0.1:%d", 300+i)), func(c net.Conn) {
				buf := make([]byte, 4096)
				if _, err := c.Read(buf); err == nil {
					target.says(c)
				}
			})
		}
		for i, target := range hostileTargets {
			begin := time.Now()
			v := runCheck(context.Background(), h.Env(), &config.Check{HTTP: fmt.Sprintf("http://127.0.0.1:%d/", 300+i), Timeout: 5 * time.Second})
			if v.health != target.health || !strings.Contains(v.output, target.words) {
				t.Errorf("%s: %v %.100q, want %v with %q", target.what, v.health, v.output, target.health, target.words)
			}
			if took := time.Since(begin); took > 5*time.Second || len(v.output) > maxCheckBody {
				t.Errorf("%s: took %v, %d bytes are kept", target.what, took, len(v.output))
			}
		}
		if led != 0 {
			t.Errorf("the daemon was led to a program %d times", led)
		}
	})
}
