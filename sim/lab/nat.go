//go:build linux

package lab

import "fmt"

// Symmetric puts a host behind a device that gives each of its connections another port (what RFC 4787 calls
// address and port-dependent mapping) and lets in only the replies. It is the hardest kind of NAT: two hosts
// behind such devices cannot send each other a packet.
func (h *Host) Symmetric() {
	h.lab.t.Helper()
	h.behindNAT("fully-random")
}

// PortRestricted puts a host behind a device that gives it one port, whomever it sends to (endpoint-independent mapping), and
// lets in only the replies, as most routers at home do.
func (h *Host) PortRestricted() {
	h.lab.t.Helper()
	h.behindNAT("")
}

// behindNAT has the router give what the host sends an address of its own, with ports as the flags of nft's snat say. It is one
// address for all: masquerading would take that of each link.
func (h *Host) behindNAT(flags string) {
	h.lab.t.Helper()
	Need(h.lab.t, "nft")
	outer := fmt.Sprintf("203.0.113.%d", h.number)
	h.lab.run("ip", "-n", h.lab.router, "addr", "add", outer+"/32", "dev", "lo")
	rules := fmt.Sprintf(`table ip %[1]s {
	chain out {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %[2]s oifname != %[3]q snat to %[4]s %[5]s
	}
	chain in {
		type filter hook forward priority filter; policy accept;
		oifname %[3]q ct state established,related accept
		oifname %[3]q drop
	}
}`, "nat_"+h.Name, h.Addr, h.link, outer, flags)
	h.lab.run("ip", "netns", "exec", h.lab.router, "nft", rules)
}
