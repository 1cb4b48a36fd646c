//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/internal/portmap/portmaptest"
)

// opens has the router open ports for a host behind a device of its own, if it is asked on the host's link: with PCP, or with NAT-PMP
// alone. It returns a function that counts the ports that are open.
func (h *Host) opens(t *testing.T, noPCP bool) (open func() int) {
	t.Helper()
	table, router := "nat_"+h.Name, h.lab.router
	gateway := strings.TrimSuffix(h.Addr, ".2") + ".1"
	nft := func(rule string) { h.lab.run("ip", "netns", "exec", router, "nft", rule) }
	nft(fmt.Sprintf("add chain ip %s opened { type nat hook prerouting priority dstnat; }", table))
	nft(fmt.Sprintf("insert rule ip %s in oifname %q ct status dnat accept", table, h.link))
	r := &portmaptest.Router{
		NoPCP: noPCP, Began: time.Now().Add(-time.Hour), Outer: func() netip.Addr { return netip.MustParseAddr(gateway) },
		Open: func(inner netip.AddrPort, wish uint16) (uint16, bool) {
			nft(fmt.Sprintf("add rule ip %s opened ip daddr %s udp dport %d dnat to %s", table, gateway, wish, inner))
			return wish, true
		},
		Close: func(netip.AddrPort) { nft(fmt.Sprintf("flush chain ip %s opened", table)) },
	}
	var c net.PacketConn
	err := inside(router, func() (err error) {
		c, err = net.ListenPacket("udp4", gateway+":5351")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	questions, counts, done := make(chan func(), 1), make(chan int), make(chan struct{})
	go func() {
		defer close(done)
		for f := range questions {
			f()
		}
	}()
	go answer(c, r, questions)
	t.Cleanup(func() { _ = c.Close(); <-done })
	return func() int {
		questions <- func() { counts <- r.Mappings(time.Now()) }
		return <-counts
	}
}

// answer hands questions to whoever owns the router, until the socket is closed.
func answer(c net.PacketConn, r *portmaptest.Router, owner chan<- func()) {
	defer close(owner)
	for {
		buf := make([]byte, 2048)
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		owner <- func() {
			if b := r.Answer(time.Now(), netip.MustParseAddrPort(from.String()), buf[:n]); b != nil {
				_, _ = c.WriteTo(b, from) // datagrams may get lost
			}
		}
	}
}

// TestE2EPortMapping: the caller and the service of TestE2ERelay reach each other directly if the routers open ports for them, and nobody
// forwards packets. Who stops gives its port back.
func TestE2EPortMapping(t *testing.T) {
	l := New(t)
	open := l.Host("host1").up(t, "--relay", "off")
	token := open.token("--uses", "2")
	var homes [2]*daemon
	var ports [2]func() int
	for i, name := range []string{"host2", "host3"} {
		h := l.Host(name)
		h.Symmetric()
		ports[i] = h.opens(t, i == 1)
		homes[i] = h.up(t, "--relay", "off", "--tcp-addr", "off", "--join", token)
	}
	caller, server := homes[0], homes[1]
	server.web("web", 8080)
	caller.awaitService("web", 1, "passing")
	took := eventually(t, 10*time.Second, "the call goes through", func() bool { return caller.calls("web", server.Name) })
	t.Logf("reached after %v", took)
	if got := caller.pathTo(server.Name); got != "direct" {
		t.Errorf("ping shows the path %q", got)
	}
	for i, by := range []string{"(PCP)", "(NAT-PMP)"} {
		if out := homes[i].must("doctor"); !strings.Contains(out, "granted as 10.88.") || !strings.Contains(out, by) {
			t.Errorf("doctor of %s:\n%s", homes[i].Name, out)
		}
		homes[i].eventuallyAdvised("udp in", "ok", "", "packets get in", "")
		if n := ports[i](); n != 1 {
			t.Errorf("%s: %d ports are open", homes[i].Name, n)
		}
	}
	for i, d := range homes {
		d.must("leave")
		eventually(t, 10*time.Second, d.Name+" gives its port back", func() bool { return ports[i]() == 0 })
	}
}
