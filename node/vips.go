package node

import (
	"encoding/json"
	"maps"
	"net/netip"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/proxy"
)

// vips gives out the local addresses that stand for services and for calling nodes. A new one is
// on disk before anybody is told, as it is never given to another name.
type vips struct {
	disk disk
	// turn is a lock that may be held while the file is written: a mutex must not be.
	turn    chan struct{}
	table   *proxy.VIPs
	unsaved map[netip.Addr]bool // what the disk has not
}

func loadVIPs(d disk, prefix netip.Prefix) (*vips, error) {
	v := &vips{disk: d, turn: make(chan struct{}, 1), unsaved: map[netip.Addr]bool{}}
	found, err := d.read(fileVIPs, func(raw []byte) (err error) {
		var table json.RawMessage
		if err = openEnvelope(raw, &table); err == nil {
			v.table, err = proxy.LoadVIPs(prefix, table)
		}
		return err
	})
	if err == nil && !found {
		v.table, err = proxy.NewVIPs(prefix)
	}
	return v, err
}

func (v *vips) lock()   { v.turn <- struct{}{} }
func (v *vips) unlock() { <-v.turn }

// of returns the VIP of a destination.
func (v *vips) of(d micronet.Destination) (netip.Addr, error) {
	v.lock()
	defer v.unlock()
	addr, fresh, err := v.table.Of(d)
	if err != nil {
		return netip.Addr{}, err
	}
	return addr, v.keep(addr, fresh)
}

// ofServices returns the VIPs of services, in one write; a service without one is left out, and so is
// one whose VIP could not be kept.
func (v *vips) ofServices(names []string) (map[string]netip.Addr, error) {
	v.lock()
	defer v.unlock()
	out := make(map[string]netip.Addr, len(names))
	for _, name := range names {
		addr, fresh, err := v.table.Of(micronet.Destination{Service: name})
		if err == nil {
			out[name] = addr
		}
		if fresh {
			v.unsaved[addr] = true
		}
	}
	err := v.save()
	maps.DeleteFunc(out, func(_ string, a netip.Addr) bool { return v.unsaved[a] })
	return out, err
}

// ofNode returns the address that stands for a calling node. When there is none left, or it cannot
// be kept, that is the first of the prefix, which stands for no name: never 127.0.0.1, which programs
// trust.
func (v *vips) ofNode(id micronet.NodeID) netip.Addr {
	v.lock()
	defer v.unlock()
	addr, fresh, err := v.table.OfNode(id)
	if err != nil || v.keep(addr, fresh) != nil {
		return proxy.FirstVIP(v.table.Prefix())
	}
	return addr
}

// keep makes sure that an address is on disk. One that is there already is good whatever the disk
// does to others.
func (v *vips) keep(addr netip.Addr, fresh bool) error {
	if fresh {
		v.unsaved[addr] = true
	}
	err := v.save()
	if !v.unsaved[addr] {
		return nil
	}
	return err
}

// save writes the table if it has something that the disk has not.
func (v *vips) save() error {
	if len(v.unsaved) == 0 {
		return nil
	}
	raw, err := v.table.Snapshot()
	if err == nil {
		err = v.disk.save(fileVIPs, rawJSON(raw))
	}
	if err == nil {
		clear(v.unsaved)
	}
	return err
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
