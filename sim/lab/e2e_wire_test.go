//go:build linux

package lab

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestE2EWireIsEncrypted watches the router while marked payload crosses it: the marker never
// appears, and nothing but UDP and TCP 8085 is between the hosts. Nobody asks the router for a port: that is not between them.
func TestE2EWireIsEncrypted(t *testing.T) {
	const marker = "THE-MARKED-PAYLOAD-OF-THIS-TEST"
	l := New(t)
	h1, h2 := l.Host("host1"), l.Host("host2")
	wire := l.capture(marker) // before anything runs: joining is watched too
	host1 := h1.up(t, "--port-map", "off")
	host2 := h2.up(t, "--port-map", "off", "--join", host1.token())
	sink := host1.sink(t, "127.0.0.1:7000")
	host1.must("register", "--service", "sink", "--port", "7000", "--meta", "secret="+marker)
	host2.awaitService("sink", 1, "passing")

	payload := bytes.Repeat([]byte(marker), 1<<16)
	got, err := host2.send(host2.vip("sink")+":7000", payload)
	if want := fmt.Sprintf("%x %d", sha256.Sum256(payload), len(payload)); err != nil || got != want {
		t.Fatalf("the sink got %q, %v; want %q", got, err, want)
	}
	// The first stream goes over QUIC; lanes are ready for the next.
	eventually(t, 10*time.Second, "there are lanes", func() bool {
		return strings.Contains(host2.must("connections", "-o", "json"), `"lanes"`)
	})
	if got, err = host2.send(host2.vip("sink")+":7000", payload); err != nil || !strings.HasSuffix(got, fmt.Sprintf(" %d", len(payload))) {
		t.Fatalf("the sink got %q, %v over a lane", got, err)
	}
	_ = sink.Close()
	if wire.count() < 100 {
		t.Errorf("only %d packets were seen on the wire", wire.count())
	}
	if n := wire.leaked(); n > 0 {
		t.Errorf("the payload is in %d packets in clear text", n)
	}
	if kinds := wire.kinds(); !slices.Equal(kinds, []string{"tcp 8085", "udp 8085"}) {
		t.Errorf("on the wire: %v, want [tcp 8085 udp 8085]", kinds)
	}
	if n := wire.missed(); n > 0 {
		t.Errorf("the capture missed %d packets", n)
	}
}

// sink listens on the host and answers every connection, once it was half-closed, with the
// SHA-256 of what it got and its length.
func (h *Host) sink(t testing.TB, addr string) net.Listener {
	t.Helper()
	ln := h.listen(t, addr)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				sum := sha256.New()
				n, err := io.Copy(sum, c)
				if err == nil {
					fmt.Fprintf(c, "%x %d", sum.Sum(nil), n)
				}
			}()
		}
	}()
	return ln
}

// send connects from the host, sends, half-closes and reads the answer.
func (h *Host) send(addr string, payload []byte) (string, error) {
	c, err := h.dial(addr, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := c.Write(payload); err != nil {
		return "", err
	}
	if err := c.CloseWrite(); err != nil {
		return "", err
	}
	var answer strings.Builder
	_, err = io.Copy(&answer, c)
	return answer.String(), err
}
