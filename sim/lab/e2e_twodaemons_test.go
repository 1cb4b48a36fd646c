//go:build linux

package lab

import (
	"path/filepath"
	"testing"
)

// second starts another daemon on a host that has one, with places of its own.
func (h *Host) second(t testing.TB, listen string, flags ...string) *daemon {
	t.Helper()
	dir := filepath.Join(h.Dir, "home", "second")
	socket := filepath.Join(dir, "api.sock")
	d := &daemon{Host: h, t: t, api: []string{"--api", "unix://" + socket}, flags: append([]string{
		"--name", "second", "--data-dir", dir, "--config-dir", filepath.Join(dir, "config"), "--api-socket", socket, "--listen", listen,
		"--api-addr", "127.0.0.1:9500", "--dns-addr", "127.0.0.1:9600", "--proxy-addr", "127.0.0.1:9081", "--vip-cidr", "127.96.0.0/12",
	}, flags...)}
	d.start()
	return d
}

// TestE2ETwoDaemonsOnOneHost: they are members of one cluster with a third on another host.
func TestE2ETwoDaemonsOnOneHost(t *testing.T) {
	Need(t, "curl")
	l := New(t)
	h1, h2 := l.Host("host1"), l.Host("host2")
	one := h1.up(t)
	other := h2.up(t, "--join", one.token())
	second := h1.second(t, "[::]:9085", "--join", one.token())
	for _, d := range []*daemon{one, second, other} {
		d.await(3)
	}
	one.web("web", 8080)
	second.must("register", "--service", "api", "--port", "8080", "--protocol", "http")
	for _, d := range []*daemon{one, second, other} {
		d.awaitService("web", 1, "passing")
		d.awaitService("api", 1, "passing")
		for _, service := range []string{"web", "api"} {
			if out, err := d.Run(cliTime, "curl", "-sS", "--max-time", "10", "http://"+d.vip(service)+":8080/"); err != nil || out != "host1\n" {
				t.Errorf("%s calls %s: %q, %v", d.Name, service, out, err)
			}
		}
	}
	second.end()
	one.sees("second", "left", stopTime)
	if out, err := one.Run(cliTime, "curl", "-sS", "--max-time", "10", "http://"+one.vip("web")+":8080/"); err != nil || out != "host1\n" {
		t.Errorf("after the second ended the first calls web: %q, %v", out, err)
	}
}

// TestE2ETwoDaemonsOverLoopback: a cluster that no other host can reach.
func TestE2ETwoDaemonsOverLoopback(t *testing.T) {
	h := New(t).Host("host1")
	one := h.up(t, "--listen", "127.0.0.1:8085")
	second := h.second(t, "127.0.0.1:9085", "--join", one.token())
	one.await(2)
	second.await(2)
	one.web("web", 8080)
	second.awaitService("web", 1, "passing")
	if out := second.must("call", "web"); out != "host1\n" {
		t.Errorf("call web = %q", out)
	}
}
