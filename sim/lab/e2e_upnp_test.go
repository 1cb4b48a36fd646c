//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// upnpBox is a router at home: a host that has another one behind it, gives each of its connections another port, and runs miniupnpd.
type upnpBox struct {
	*Host
	inner *Host
	outer string // the address that others see
}

const (
	boxInside = "192.168.77.1"
	boxClient = "192.168.77.20"
)

// upnpHome makes a home. The outer address is one of those that nobody reserved: miniupnpd does not open ports at others. Here it leads nowhere else.
// Searches that are sent to deaf do not get through.
func (l *Lab) upnpHome(t *testing.T, name, deaf, settings string) *upnpBox {
	t.Helper()
	b := &upnpBox{Host: l.Host(name + "-box"), inner: l.Host(name)}
	b.outer = fmt.Sprintf("9.88.%d.1", b.number)
	link := b.link + "i"
	l.run("ip", "-n", b.inner.ns, "link", "del", "eth0")
	l.run("ip", "link", "add", link, "netns", b.ns, "type", "veth", "peer", "name", "eth0", "netns", b.inner.ns)
	l.run("ip", "-n", b.ns, "addr", "add", boxInside+"/24", "dev", link)
	l.run("ip", "-n", b.ns, "addr", "add", b.outer+"/32", "dev", "eth0")
	l.run("ip", "-n", b.ns, "link", "set", link, "up")
	l.run("ip", "-n", l.router, "route", "add", b.outer, "via", b.Addr)
	l.run("ip", "-n", b.inner.ns, "addr", "add", boxClient+"/24", "dev", "eth0")
	l.run("ip", "-n", b.inner.ns, "link", "set", "eth0", "up")
	l.run("ip", "-n", b.inner.ns, "route", "add", "default", "via", boxInside)
	l.run("ip", "netns", "exec", b.ns, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
	l.run("ip", "netns", "exec", b.ns, "nft", fmt.Sprintf(`table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname %[1]q accept
		jump opened
	}
	chain opened { }
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		jump mapped
	}
	chain mapped { }
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 192.168.77.0/24 oifname "eth0" snat ip to %[2]s fully-random
	}
	chain peers { }
	chain input {
		type filter hook input priority filter; policy accept;
		ip daddr %[3]s udp dport 1900 drop
	}
}`, link, b.outer, deaf))
	b.write("/etc/upnp.conf", fmt.Sprintf(`ext_ifname=eth0
ext_ip=%s
listening_ip=%s
enable_upnp=yes
upnp_forward_chain=opened
upnp_nat_chain=mapped
upnp_nat_postrouting_chain=peers
secure_mode=yes
uuid=00000000-0000-0000-0000-00000000000%d
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
%s
`, b.outer, link, b.number, settings))
	b.begin(t)
	return b
}

// begin starts miniupnpd.
func (b *upnpBox) begin(t *testing.T) {
	t.Helper()
	p := b.Start("/usr/sbin/miniupnpd", "-d", "-f", "/etc/upnp.conf", "-P", "/run/upnp.pid")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("miniupnpd of %s said:\n%s", b.Name, tail(p.Output(), 60))
		}
	})
	eventually(t, 10*time.Second, "miniupnpd listens", func() bool { return strings.Contains(p.Output(), "HTTP listening on port") || !p.Running() })
	if !p.Running() {
		t.Fatalf("miniupnpd has ended:\n%s", p.Output())
	}
}

// open lists what leads inside.
func (b *upnpBox) open() string {
	out, err := b.Run(5*time.Second, "nft", "list", "chain", "inet", "filter", "mapped")
	if err != nil {
		return err.Error()
	}
	var rules []string
	for _, line := range strings.Split(out, "\n") {
		if strings.Contains(line, "dnat") {
			rules = append(rules, strings.TrimSpace(line))
		}
	}
	return strings.Join(rules, "\n")
}

// needMiniUPnPd skips the test where the program is missing; it lies where users have no path to.
func needMiniUPnPd(t *testing.T) {
	t.Helper()
	Need(t, "nft")
	if _, err := os.Stat(filepath.Join("/usr/sbin", "miniupnpd")); err != nil {
		t.Skip("needs /usr/sbin/miniupnpd: not installed")
	}
}

// mapping is what status shows.
func (d *daemon) mapping() (m struct{ State, Protocol, Address, Router, Reason string }) {
	out, err := d.run("status", "--json")
	var s struct {
		PortMapping *struct{ State, Protocol, Address, Router, Reason string } `json:"port_mapping"`
	}
	if err == nil && json.Unmarshal([]byte(out), &s) == nil && s.PortMapping != nil {
		m = *s.PortMapping
	}
	return m
}

// TestE2EUPnP: the caller and the service of TestE2EPortMapping behind routers that run miniupnpd, with UPnP alone: as a router of the first version
// in one home, of the second in the other, and one that hears only searches for all devices, one only those for itself. A third home has PCP
// besides, and is asked by that. Who stops gives its port back.
func TestE2EUPnP(t *testing.T) {
	needMiniUPnPd(t)
	l := New(t)
	open := l.Host("host1").up(t, "--relay", "off", "--port-map", "off")
	token := open.token("--uses", "3")
	boxes := []*upnpBox{
		l.upnpHome(t, "home", boxInside, "enable_natpmp=no\nforce_igd_desc_v1=yes"),
		l.upnpHome(t, "office", "239.255.255.250", "enable_natpmp=no\nforce_igd_desc_v1=no"),
		l.upnpHome(t, "cabin", "239.255.255.250", "enable_natpmp=yes"),
	}
	protocols := []string{"UPnP", "UPnP", "PCP"}
	var homes [3]*daemon
	for i, b := range boxes {
		homes[i] = b.inner.up(t, "--relay", "off", "--tcp-addr", "off", "--join", token)
	}
	for i, d := range homes {
		want := boxes[i].outer + ":8085"
		took := eventually(t, 40*time.Second, d.Name+" is let in", func() bool { return d.mapping().Address == want })
		t.Logf("%s: %+v after %v; %s", d.Name, d.mapping(), took, boxes[i].open())
		if out := d.must("doctor"); !strings.Contains(out, "granted as "+want) || !strings.Contains(out, "by the router "+boxInside+" ("+protocols[i]+")") {
			t.Errorf("doctor of %s:\n%s", d.Name, out)
		}
		if n := len(lines(boxes[i].open())); n != 1 {
			t.Errorf("%s: %d ports are open", d.Name, n)
		}
	}
	caller, server := homes[0], homes[1]
	server.web("web", 8080)
	caller.awaitService("web", 1, "passing")
	eventually(t, 10*time.Second, "the call goes through", func() bool { return caller.calls("web", server.Name) })
	eventually(t, 10*time.Second, "directly", func() bool { return caller.pathTo(server.Name) == "direct" })

	for i, d := range homes {
		d.must("leave")
		eventually(t, 10*time.Second, d.Name+" gives its port back", func() bool { return boxes[i].open() == "" })
	}
}
