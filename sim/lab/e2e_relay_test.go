//go:build linux

package lab

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// pathTo is the path of a daemon to another one, as ping shows it, "" while there is none.
func (d *daemon) pathTo(node string) string {
	out, err := d.run("ping", node, "-c", "1", "--json")
	var pinged struct{ Replies []struct{ Path string } }
	if err != nil || json.Unmarshal([]byte(out), &pinged) != nil || len(pinged.Replies) != 1 {
		return ""
	}
	return pinged.Replies[0].Path
}

// TestE2ERelay: a caller and a service sit behind devices of the kernel that let nobody meet. Two hosts in the open carry
// their packets; the one in use is killed.
func TestE2ERelay(t *testing.T) {
	l := New(t)
	open := l.Host("host1").up(t)
	token := open.token("--uses", "3")
	second := l.Host("host2").up(t, "--join", token)
	var hidden [2]*daemon
	for i, name := range []string{"host3", "host4"} {
		h := l.Host(name)
		h.Symmetric()
		hidden[i] = h.up(t, "--join", token)
	}
	caller, server := hidden[0], hidden[1]
	server.web("web", 8080)
	caller.awaitService("web", 1, "passing")
	took := eventually(t, 10*time.Second, "the call goes over a relay", func() bool { return caller.calls("web", server.Name) })
	t.Logf("reached after %v", took)
	if got := caller.pathTo(server.Name); got != "relay" {
		t.Errorf("ping shows the path %q", got)
	}
	via := ""
	eventually(t, 10*time.Second, "routes name the relay", func() bool {
		via = caller.must("routes", "web")
		return strings.Contains(via, "relay via host")
	})
	if out := caller.must("trace", "web"); !strings.Contains(out, "relay") || !strings.Contains(out, "not direct: none of") || !strings.Contains(out, server.Name) {
		t.Errorf("trace:\n%s", out)
	}
	relay, other := open, second
	if strings.Contains(via, "via host2") {
		relay, other = second, open
	}
	relay.Crash()
	took = eventually(t, 10*time.Second, "the other relay takes over", func() bool { return caller.calls("web", server.Name) })
	t.Logf("reached %v after %s was cut off", took, relay.Name)
	eventually(t, 10*time.Second, "routes name the other relay", func() bool {
		return strings.Contains(caller.must("routes", "web"), "via "+other.Name)
	})
}

// calls reports whether a call of a service is answered by the node.
func (d *daemon) calls(service, node string) bool {
	out, err := d.runInput("GET / HTTP/1.0\r\n\r\n", "dial", service)
	return err == nil && strings.Contains(out, node)
}
