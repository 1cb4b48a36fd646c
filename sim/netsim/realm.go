package netsim

import (
	"fmt"
	"net/netip"
	"slices"
)

// realm is one address space: the internet, or what is behind one NAT. Two realms may use the
// same addresses for different hosts.
type realm struct {
	nat    *NAT // the way out; nil: the internet, there is none
	owners map[netip.Addr]owner
}

// owner is who has an address: a host, or a NAT with its outer side.
type owner struct {
	host *Host
	nat  *NAT
}

func newRealm(nat *NAT) *realm { return &realm{nat: nat, owners: map[netip.Addr]owner{}} }

// checkFree panics if somebody else than o has the address: a mistake of the caller.
func (r *realm) checkFree(a netip.Addr, o owner) {
	if has, taken := r.owners[a]; taken && has != o {
		panic(fmt.Sprintf("netsim: %s belongs to %s, %s cannot have it", a, has.name(), o.name()))
	}
}

func (o owner) name() string {
	if o.nat != nil {
		return o.nat.place.name
	}
	return o.host.name
}

// giveAddrsLocked makes addrs the addresses of h in its realm, and no others.
func (w *World) giveAddrsLocked(h *Host, addrs []netip.Prefix) {
	for _, p := range addrs {
		h.realm.checkFree(p.Addr(), owner{host: h})
	}
	for _, p := range h.addrs {
		delete(h.realm.owners, p.Addr())
	}
	for _, p := range addrs {
		h.realm.owners[p.Addr()] = owner{host: h}
	}
	h.addrs = slices.Clone(addrs)
}

// Move takes the host to another network: behind a NAT, or to the internet if that is nil. Its
// addresses there are addrs. Sockets on old addresses stay open and hear nothing, and whoever
// watches the host's interfaces is told.
func (h *Host) Move(behind *NAT, addrs ...netip.Prefix) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.w.giveAddrsLocked(h, nil)
	h.realm = h.w.internet
	if behind != nil {
		h.realm = behind.inside
	}
	h.w.giveAddrsLocked(h, addrs)
	h.stack.watchers.tell()
}

// Behind returns the NAT that the host is behind, nil on the internet.
func (h *Host) Behind() *NAT {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.realm.nat
}
