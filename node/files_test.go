package node

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

const filesDir = "/etc/micro-net/" + servicesFolder

// write replaces a service file.
func (b *bubble) write(n *simNode, name, content string) {
	b.t.Helper()
	if err := n.host.FS().MkdirAll(filesDir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := micronet.WriteFile(n.host.FS(), filesDir+"/"+name, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// offers checks what a node has from files: "name:port", sorted by id.
func (b *bubble) offers(n *simNode, want ...string) {
	b.t.Helper()
	got := []string{}
	for _, e := range n.node.registry.all() {
		if e.source.kind == "file" {
			got = append(got, fmt.Sprintf("%s:%d", e.service.Name, e.service.Port))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.t.Errorf("files offer %v, want %v", got, want)
	}
}

func TestServiceFiles(t *testing.T) {
	inBubble(t, 90, func(t *testing.T, b *bubble) {
		log := &recorder{}
		n := b.prepare("a")
		b.write(n, "first.yaml", "services:\n  - {name: web, port: 8080, checks: none}\n")
		b.start("a", "", func(c *Config) { c.Env.Log = log.logger() })
		const soon = 200 * time.Millisecond // by watching, not by looking every ten seconds
		time.Sleep(soon)
		b.offers(n, "web:8080")

		b.write(n, "second.json", `{"service": {"name": "api", "port": 9000, "checks": []}}`)
		b.write(n, "readme.txt", "services: [{name: no, port: 1}]")
		time.Sleep(soon)
		b.offers(n, "api:9000", "web:8080")

		b.write(n, "first.yaml", "services:\n  - {name: web, port: 8082, checks: none}\n  - {name: more, port: 1, checks: none}\n")
		time.Sleep(soon)
		b.offers(n, "api:9000", "more:1", "web:8082")

		// Half an edit takes nothing away, and what is whole counts.
		errors := log.count("level=ERROR")
		b.write(n, "first.yaml", "services:\n  - {name: web, po")
		time.Sleep(soon)
		b.offers(n, "api:9000", "more:1", "web:8082")
		b.write(n, "first.yaml", "services:\n  - {name: web, port: 70000}\n  - {name: more, port: 2, checks: none}\n")
		time.Sleep(soon)
		b.offers(n, "api:9000", "more:2", "web:8082")
		if got := log.count("level=ERROR") - errors; got != 2 {
			t.Errorf("two edits with an error each were told %d times", got)
		}
		time.Sleep(time.Minute)
		if got := log.count("level=ERROR") - errors; got != 2 {
			t.Errorf("after a minute two errors were told %d times", got)
		}
		if log.count("first.yaml:2") == 0 {
			t.Error("no error names file and line")
		}

		if err := n.host.FS().Remove(filesDir + "/second.json"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(soon)
		b.offers(n, "more:2", "web:8082")
		b.halt(n)
	})
}

// A service that was in the way of a file's goes: the file's is taken then, and the log is not full.
func TestServiceFileWaitsForItsID(t *testing.T) {
	inBubble(t, 91, func(t *testing.T, b *bubble) {
		log := &recorder{}
		n := b.start("a", "", func(c *Config) { c.Env.Log = log.logger() })
		if _, err := n.backend().Register(0, withoutChecks("web", 80)); err != nil {
			t.Fatal(err)
		}
		b.write(n, "x.yaml", "services:\n  - {name: web, port: 8080, checks: none}\n  - {name: other, port: 1, checks: none}\n")
		time.Sleep(time.Minute)
		b.offers(n, "other:1")
		if got := log.count("not taken"); got != 1 {
			t.Errorf("it was told %d times in a minute, want once", got)
		}
		if err := n.backend().Deregister(0, "web"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * filesEvery)
		b.offers(n, "other:1", "web:8080")
		wantError(t, "deregister a file's", n.backend().Deregister(0, "web"), micronet.Refused, "x.yaml")
	})
}

// micro-net's own listeners are no instances, wherever somebody names them.
func TestOwnListenersAreNoInstances(t *testing.T) {
	inBubble(t, 92, func(t *testing.T, b *bubble) {
		n := b.start("a", "")
		for _, port := range []int{8500, 8600, 8081} {
			_, err := n.backend().Register(0, withoutChecks("loop", port))
			wantError(t, fmt.Sprint(port), err, micronet.Refused, "listener of micro-net itself")
			_, _, err = n.backend().Hold(0, withoutChecks("loop", port))
			wantError(t, fmt.Sprint("hold ", port), err, micronet.Refused, "listener of micro-net itself")
		}
		vip := withoutChecks("loop", 80)
		vip[0].Address = "127.80.0.9"
		_, err := n.backend().Register(0, vip)
		wantError(t, "a VIP", err, micronet.Refused, "micro-net itself")
		elsewhere := withoutChecks("neighbour", 8500)
		elsewhere[0].Address = "10.0.0.77"
		if _, err := n.backend().Register(0, elsewhere); err != nil {
			t.Errorf("the same port of another host: %v", err)
		}
		b.write(n, "loop.yaml", "services:\n  - {name: loop, port: 8500, checks: none}\n  - {name: fine, port: 1, checks: none}\n")
		time.Sleep(time.Second)
		b.offers(n, "fine:1")
		b.halt(n)
		b.launch("a", "", func(c *Config) { c.Services = withoutChecks("loop", 8081) })
		wantError(t, "by flag", b.ended(n, time.Minute), micronet.Refused, "micro-net itself")
		b.start("a", "", func(c *Config) { c.Daemon.API = netip.MustParseAddrPort("0.0.0.0:8500"); c.Services = nil })
		_, err = n.backend().Register(0, withoutChecks("loop", 8500))
		wantError(t, "a listener on all addresses", err, micronet.Refused, "micro-net itself")
		own := withoutChecks("loop", 8500)
		own[0].Address = "10.0.0.1"
		_, err = n.backend().Register(0, own)
		wantError(t, "the same by another address", err, micronet.Refused, "micro-net itself")
	})
}

// What ends with the process or with its holder is not there after a restart; what was registered is.
func TestWhatSurvivesARestart(t *testing.T) {
	inBubble(t, 93, func(t *testing.T, b *bubble) {
		flagged := func(c *Config) { c.Services = withoutChecks("flagged", 1) }
		n := b.start("a", "", flagged)
		if _, err := n.backend().Register(1000, withoutChecks("registered", 2)); err != nil {
			t.Fatal(err)
		}
		_, held, err := n.backend().Hold(1000, withoutChecks("held", 3))
		if err != nil {
			t.Fatal(err)
		}
		if got := listing(n.node.registry); got != "flagged:1 passing flag 0; held:3 passing hold 1 1000; registered:2 passing api 1000; " {
			t.Errorf("before: %s", got)
		}
		b.halt(n)
		_ = held
		b.start("a", "")
		if got := listing(n.node.registry); got != "registered:2 passing api 1000; " {
			t.Errorf("after: %s", got)
		}
		_, first, err := n.backend().Hold(0, withoutChecks("one", 4))
		if err != nil {
			t.Fatal(err)
		}
		_, second, err := n.backend().Hold(0, withoutChecks("two", 5))
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if got := listing(n.node.registry); !strings.Contains(got, "two:5") || strings.Contains(got, "one:4") {
			t.Errorf("after the first holder has gone: %s", got)
		}
		_ = second.Close()
		wantError(t, "deregister nothing", n.backend().Deregister(0, "one"), micronet.NotFound, "one")
	})
}

func TestWarnings(t *testing.T) {
	inBubble(t, 94, func(t *testing.T, b *bubble) {
		codes := func(n *simNode) string {
			out := ""
			for _, w := range n.backend().Status().Warnings {
				if w.Text == "" || w.Fix == "" {
					t.Errorf("%s says %q, %q", w.Code, w.Text, w.Fix)
				}
				out += w.Code + " "
			}
			return out
		}
		a := b.start("a", "")
		if got := codes(a); got != "" {
			t.Errorf("a node alone warns of %s", got)
		}
		other := b.start("b", b.invite(a))
		b.await(5*time.Second, "a sees b", b.alive(2, a))
		if got := codes(a); got != "one-authority " {
			t.Errorf("the only authority of two nodes warns of %s", got)
		}
		if got := codes(other); got != "" {
			t.Errorf("the other node warns of %s", got)
		}
		a.node.registry.merge(source{"file", "consul"}, 0, []config.Service{{Name: "my_svc", ID: "odd", Port: 1, ServicePort: 1, Address: "127.0.0.1", Protocol: "tcp", Weight: 1, Checks: config.Checks{None: true}}})
		if _, err := a.backend().Register(0, checked("sick", 6000)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := codes(a); got != "one-authority no-dns-name critical " {
			t.Errorf("with two services that want attention it warns of %s", got)
		}
		// A port of a VIP that a program holds on all addresses.
		b.listen(other.host, "0.0.0.0:7000")
		b.serve(a, "echo", "a")
		b.await(5*time.Second, "b knows echo", func() error { _, err := other.backend().Services("echo"); return err })
		if _, err := b.lookup(context.Background(), other, "echo"); err == nil {
			t.Error("an address was told that leads to a stranger")
		}
		if got := codes(other); got != "vip-port " {
			t.Errorf("with a port in the way it warns of %s", got)
		}
		// Time passes, and nobody renews.
		other.host.SetSkew(11 * 24 * time.Hour)
		if got := codes(other); !strings.HasPrefix(got, "certificate-expires ") {
			t.Errorf("three days before the end it warns of %s", got)
		}
		other.host.SetSkew(20 * 24 * time.Hour)
		if got := codes(other); !strings.HasPrefix(got, "certificate-expired ") {
			t.Errorf("after the end it warns of %s", got)
		}
		other.host.SetSkew(0)
	})
}

func TestFirstLine(t *testing.T) {
	for in, want := range map[string]string{"": "not checked yet", "one": "one", "one\ntwo": "one", "one\r\ntwo": "one"} {
		if got := firstLine(in); got != want {
			t.Errorf("firstLine(%q) = %q, want %q", in, got, want)
		}
	}
}
