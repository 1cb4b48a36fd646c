package netsim

import "net/netip"

// bindings says which socket has which local address, for one protocol of one host, the way
// Linux does it for sockets without SO_REUSEADDR and SO_REUSEPORT.
type bindings[S any] struct {
	ports map[uint16][]binding[S]
}

type binding[S any] struct {
	addr   netip.Addr
	socket S
}

// conflicts reports whether addr cannot be bound (EADDRINUSE): an unspecified address and a
// single one it covers exclude each other, whichever came first.
func (b *bindings[S]) conflicts(addr netip.AddrPort) bool {
	for _, o := range b.ports[addr.Port()] {
		if covers(o.addr, addr.Addr()) || covers(addr.Addr(), o.addr) {
			return true
		}
	}
	return false
}

// covers reports whether a socket bound to addr gets what is meant for one. [::] takes IPv4 too.
func covers(addr, one netip.Addr) bool {
	if addr == one {
		return true
	}
	return addr.IsUnspecified() && (addr.Is6() || one.Is4())
}

func (b *bindings[S]) add(addr netip.AddrPort, s S) {
	if b.ports == nil {
		b.ports = map[uint16][]binding[S]{}
	}
	b.ports[addr.Port()] = append(b.ports[addr.Port()], binding[S]{addr.Addr(), s})
}

func (b *bindings[S]) remove(addr netip.AddrPort) {
	list := b.ports[addr.Port()]
	for i, o := range list {
		if o.addr != addr.Addr() {
			continue
		}
		if len(list) == 1 {
			delete(b.ports, addr.Port())
		} else {
			b.ports[addr.Port()] = append(list[:i:i], list[i+1:]...)
		}
		return
	}
}

// lookup returns the socket that gets what is meant for dst. There is one at most, as bindings
// that overlap conflict.
func (b *bindings[S]) lookup(dst netip.AddrPort) (S, bool) {
	for _, o := range b.ports[dst.Port()] {
		if covers(o.addr, dst.Addr()) {
			return o.socket, true
		}
	}
	var none S
	return none, false
}
