package main

import (
	"fmt"
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
		d.add(good, check, fmt.Sprintf("granted as %s until %s, by the router %s (%s)", m.Address, m.Until.UTC().Format(time.RFC3339), m.Router, m.Protocol), "")
	case "silent":
		d.add(good, check, fmt.Sprintf("none: the router %s answers neither PCP nor NAT-PMP", m.Router), "")
	case "unusable":
		d.add(good, check, fmt.Sprintf("none: nobody can reach the address of the router %s, %s: there is another NAT behind it", m.Router, m.Address), "")
	default:
		d.add(warn, check, fmt.Sprintf("none: the router %s says no (%s): %s", m.Router, m.Protocol, m.Reason),
			"allow port mappings by PCP or NAT-PMP in the router, or do not ask: --port-map off")
	}
}
