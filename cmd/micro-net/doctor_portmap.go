package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/micro/micro-net/node/api"
)

// portMapping says whether the router lets others in. Without it nothing is wrong: most hosts reach each other all the same.
func (d *doctor) portMapping(m *api.PortMapping) {
	const check = "port mapping"
	switch m.State {
	case "": // an older daemon
	case api.PortMapOff:
		d.add(good, check, "switched off", "")
	case api.PortMapNone:
		d.add(good, check, "none: "+m.Reason, "")
	case "asking":
		d.add(good, check, fmt.Sprintf("none yet: the router %s is being asked", m.Router), "")
	case "granted":
		d.add(good, check, fmt.Sprintf("granted as %s until %s, by the router %s (%s)%s",
			m.Address, m.Until.UTC().Format(time.RFC3339), m.Router, m.Protocol, behindAnother(m.Address)), "")
	case "silent":
		d.add(good, check, fmt.Sprintf("none: the router %s answers none of PCP, NAT-PMP and UPnP", m.Router), "")
	case "unusable":
		d.add(good, check, fmt.Sprintf("none: nobody can reach the address of the router %s, %s: there is another NAT behind it", m.Router, m.Address), "")
	default:
		d.add(warn, check, fmt.Sprintf("none: the router %s says no (%s): %s", m.Router, m.Protocol, m.Reason),
			"allow port mappings by PCP, NAT-PMP or UPnP in the router, or do not ask: --port-map off")
	}
}

// behindAnother says what a private outer address means: hosts between the two routers reach it, and nobody else.
func behindAnother(address string) string {
	if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().IsPrivate() {
		return ""
	}
	return ": a private address, there is another NAT behind it"
}
