//go:build linux

package lab

import "fmt"

// Symmetric puts a host behind a device that gives each of its connections another port (what RFC 4787 calls
// address and port-dependent mapping) and lets in only the replies. It is the hardest kind of NAT: two hosts
// behind such devices cannot send each other a packet.
func (h *Host) Symmetric() {
	h.lab.t.Helper()
	Need(h.lab.t, "nft")
	table := "nat_" + h.Name
	rules := fmt.Sprintf(`table ip %[1]s {
	chain out {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %[2]s oifname != %[3]q masquerade fully-random
	}
	chain in {
		type filter hook forward priority filter; policy accept;
		oifname %[3]q ct state established,related accept
		oifname %[3]q drop
	}
}`, table, h.Addr, h.link)
	h.lab.run("ip", "netns", "exec", h.lab.router, "nft", rules)
}
