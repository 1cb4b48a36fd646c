package sim

import (
	"context"
	"net/netip"

	"github.com/micro/micro-net/internal/portmap/portmaptest"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

// addRouter lets the nodes behind a device ask it for ports, where the scenario says that it takes such wishes.
func (m *mesh) addRouter(g *scenario.Group, nat *netsim.NAT) {
	if g.NAT.PortMap == scenario.NoPortMap {
		return
	}
	inside := nat.Gateway(g.Name+"-gateway", netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 0, 1}), 16))
	box := portmaptest.NewBox(nat, inside, func(r *portmaptest.Router) {
		r.UPnP = g.NAT.PortMap == scenario.UPnP
		r.NoNATPMP = r.UPnP
		r.NoPCP = r.UPnP || g.NAT.PortMap == scenario.NATPMP
	})
	m.routers = append(m.routers, box)
	m.boxes[g.Name] = box
}

// startRouters has them answer until ctx ends.
func (m *mesh) startRouters(ctx context.Context) (wait func()) {
	done := make(chan struct{}, len(m.routers))
	for _, b := range m.routers {
		go func() {
			if err := b.Run(ctx); err != nil {
				m.recorder.add("", "error", "", err.Error())
			}
			done <- struct{}{}
		}()
	}
	return func() {
		for range m.routers {
			<-done
		}
	}
}
