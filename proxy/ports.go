package proxy

import (
	"slices"

	micronet "github.com/micro/micro-net"
)

// webPort is where http services answer besides their own ports.
const webPort = 80

// Port is a port that a name wants at its VIP.
type Port struct {
	Number   uint16
	Optional bool // had where it can be had; nobody is told when it cannot
}

// Ports lists the TCP ports that a service answers on: the service ports of all its instances,
// and 80 for http where it can be had. The result is sorted by number.
func Ports(instances []micronet.Instance) []Port {
	var out []Port
	web := false
	for i := range instances {
		in := &instances[i]
		if in.Protocol == micronet.UDP || in.ServicePort == 0 {
			continue
		}
		web = web || in.Protocol == micronet.HTTP
		out = append(out, Port{Number: in.ServicePort})
	}
	if web {
		out = append(out, Port{Number: webPort, Optional: true})
	}
	slices.SortStableFunc(out, func(a, b Port) int { return int(a.Number) - int(b.Number) })
	return slices.CompactFunc(out, func(a, b Port) bool { return a.Number == b.Number })
}
