package node

import (
	"net/netip"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/proxy"
)

// vips gives out the local addresses that stand for services and for calling nodes. A new one is
// on disk before anybody is told, as it is never given to another name.
type vips struct {
	disk disk
	// turn is a lock that may be held while the file is written: a mutex must not be.
	turn  chan struct{}
	table *proxy.VIPs
}

func loadVIPs(d disk, prefix netip.Prefix) (*vips, error) {
	v := &vips{disk: d, turn: make(chan struct{}, 1)}
	raw, found, err := d.loadRaw(fileVIPs)
	if err != nil {
		return nil, err
	}
	if !found {
		v.table, err = proxy.NewVIPs(prefix)
		return v, err
	}
	if v.table, err = proxy.LoadVIPs(prefix, raw); err != nil {
		return nil, damaged(d.path(fileVIPs), err.Error())
	}
	return v, nil
}

func (v *vips) lock()   { v.turn <- struct{}{} }
func (v *vips) unlock() { <-v.turn }

// of returns the VIP of a destination.
func (v *vips) of(d micronet.Destination) (netip.Addr, error) {
	v.lock()
	defer v.unlock()
	addr, fresh, err := v.table.Of(d)
	return v.kept(addr, fresh, err)
}

// ofNode returns the address that stands for a calling node; invalid when there is none left.
func (v *vips) ofNode(id micronet.NodeID) netip.Addr {
	v.lock()
	defer v.unlock()
	addr, fresh, err := v.table.OfNode(id)
	if addr, err = v.kept(addr, fresh, err); err != nil {
		return netip.Addr{}
	}
	return addr
}

func (v *vips) kept(addr netip.Addr, fresh bool, err error) (netip.Addr, error) {
	if err != nil || !fresh {
		return addr, err
	}
	raw, err := v.table.Snapshot()
	if err != nil {
		return netip.Addr{}, err
	}
	return addr, v.disk.saveRaw(fileVIPs, raw)
}

// destination tells what an address stands for.
func (v *vips) destination(a netip.Addr) (micronet.Destination, bool) {
	v.lock()
	defer v.unlock()
	return v.table.Destination(a)
}

// node tells which calling node an address stands for.
func (v *vips) node(a netip.Addr) (micronet.NodeID, bool) {
	v.lock()
	defer v.unlock()
	return v.table.Node(a)
}

func (v *vips) prefix() netip.Prefix { return v.table.Prefix() }
