package sim

import (
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

// packetCost is what a packet costs a host of usual speed; see netsim.Host.Slow.
const packetCost = 20 * time.Microsecond

// stall stops the programs of machines for a time.
func (m *mesh) stall(a scenario.Stall, d time.Duration) (undo func()) {
	list := m.selected(a.Nodes)
	each(list, func(x *machine) {
		if x.state != running {
			return
		}
		x.host.Stall(d)
		if end := time.Now().Add(d); end.After(x.stalled) {
			x.stalled = end
		}
		m.depart(x, a.Verb())
	})
	m.oracle.changed()
	return m.oracle.changed
}

func (m *mesh) slow(a scenario.Slow) (undo func()) {
	list := m.selected(a.Nodes)
	each(list, func(x *machine) { x.host.Slow(a.Factor, packetCost) })
	return func() { each(list, func(x *machine) { x.host.Slow(0, 0) }) }
}

// setClocks makes clocks wrong. One that drifts keeps what it showed, unless the step sets it too.
func (m *mesh) setClocks(a scenario.Clock) (undo func()) {
	list := m.selected(a.Nodes)
	each(list, func(x *machine) {
		if a.Skew != 0 || a.Drift == 0 {
			x.host.SetSkew(a.Skew)
		}
		if a.Drift != 0 {
			x.host.SetDrift(a.Drift)
		}
	})
	return func() {
		each(list, func(x *machine) {
			x.host.SetDrift(0)
			x.host.SetSkew(0)
		})
	}
}

// breakDisks gives disks a fault, in place of the one they had.
func (m *mesh) breakDisks(a scenario.Disk) (undo func()) {
	list := m.selected(a.Nodes)
	each(list, func(x *machine) {
		x.diskFailed = true
		setDiskFault(x.host, a.Fault)
	})
	return func() { each(list, func(x *machine) { setDiskFault(x.host, scenario.DiskWhole) }) }
}

func setDiskFault(h *netsim.Host, fault scenario.DiskFault) {
	h.SetTorn(fault == scenario.DiskTorn)
	switch fault {
	case scenario.DiskFull:
		h.Disk().SetFault(netsim.DiskFull)
	case scenario.DiskEIO:
		h.Disk().SetFault(netsim.DiskEIO)
	case scenario.DiskReadOnly:
		h.Disk().SetFault(netsim.DiskReadOnly)
	default:
		h.Disk().SetFault(nil)
	}
}

// remember keeps the disks of machines for a restart that rolls them back.
func (m *mesh) remember(list []*machine) {
	each(list, func(x *machine) {
		image := x.host.Disk().Snapshot()
		x.image = &image
	})
}

// changeDisk makes the disk of a machine that is down what a restart finds.
func (m *mesh) changeDisk(x *machine, fate scenario.DiskFate) error {
	switch {
	case fate == scenario.Lost:
		x.host.Disk().Restore(netsim.DiskImage{})
		x.wipes++
		x.revoked = micronet.NodeID{} // it draws another key
	case fate == scenario.RolledBack && x.image == nil:
		return fmt.Errorf("there is no snapshot of the disk of %s", x.name)
	case fate == scenario.RolledBack:
		x.host.Disk().Restore(*x.image)
		return m.clearFiles(x)
	}
	return nil
}

// clearFiles takes the files of services away that are not meant to run on a machine any more: an
// older disk has them still.
func (m *mesh) clearFiles(x *machine) error {
	x.host.Restart() // a machine that is down has no file system
	for _, s := range m.services {
		if s.on[x] == nil {
			if err := deregister(x.host.FS(), s.spec.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
