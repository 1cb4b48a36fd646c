package netsim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

const (
	// udpTimeout is how long an unused mapping for datagrams lives (RFC 4787, REQ-5).
	udpTimeout = 2 * time.Minute

	// tcpTimeout and tcpTransitory are how long the mapping of a connection lives unused: an
	// established one, and one that is opening or has ended (RFC 5382, REQ-5).
	tcpTimeout    = 2*time.Hour + 4*time.Minute
	tcpTransitory = 4 * time.Minute

	// The external ports of a NAT are those from natPortFirst on (RFC 4787, REQ-3).
	natPortFirst = 1024
	natPorts     = 1<<16 - natPortFirst
)

// NATKind says how a NAT treats datagrams. The names are those of RFC 3489, section 5; what they
// mean in the words of RFC 4787, sections 4.1 and 5, is in brackets.
type NATKind uint8

// The kinds of NATs, from the most open one. All but Symmetric give a socket behind them one
// external port, whomever it sends to (endpoint-independent mapping).
const (
	FullCone          NATKind = iota // lets in everybody (endpoint-independent filtering)
	AddressRestricted                // lets in the addresses that the socket sent to (address-dependent filtering)
	PortRestricted                   // lets in the addresses and ports that the socket sent to (address and port-dependent filtering)
	Symmetric                        // a port for each destination, which alone is let in (address and port-dependent mapping and filtering)
)

// String returns the kind's name.
func (k NATKind) String() string {
	switch k {
	case FullCone:
		return "full-cone"
	case AddressRestricted:
		return "address-restricted"
	case PortRestricted:
		return "port-restricted"
	case Symmetric:
		return "symmetric"
	}
	return "unknown"
}

// NATOptions tune a NAT.
type NATOptions struct {
	Kind       NATKind
	Timeout    time.Duration // of a mapping through which nothing was sent from inside; 0: 2 min
	TCPTimeout time.Duration // of an established connection's mapping that nothing used; 0: 2 h 4 min
	Hairpin    bool          // hosts behind the NAT reach each other by its external address
	Ports      int           // how many external ports it has for each protocol; 0: all from 1024 on
	ForwardsIn bool          // datagrams leave by a forwarded port as answers alone; others by a mapping, as if nothing were forwarded
}

// EnsureDefaults returns o with what was left out.
func (o NATOptions) EnsureDefaults() NATOptions {
	if o.Timeout == 0 {
		o.Timeout = udpTimeout
	}
	if o.TCPTimeout == 0 {
		o.TCPTimeout = tcpTimeout
	}
	if o.Ports <= 0 || o.Ports > natPorts {
		o.Ports = natPorts
	}
	return o
}

// NAT is a device in front of hosts. They have private addresses, which other hosts behind other
// NATs may have too, and reach each other by them; they reach the world outside through the
// device, with its external address, and the world does not reach them unless they called first.
// A NAT may be behind another one.
//
// Links are those between hosts, whatever is between them. A datagram to a port that no host has
// takes the default link.
type NAT struct {
	// Constant.
	w      *World
	opts   NATOptions
	inside *realm
	place  *Host // stands for the device in paths and in the trace; nothing runs there
	hash   uint64

	// Guarded by World.mu.
	outside  *realm
	addr     netip.Addr // in outside
	table    mappings
	forwards []forward
	callers  memory[netip.AddrPort] // who came by a forwarded port, with ForwardsIn
	gateway  *Host                  // its inner side; nil: nothing of it can be talked to
	opened   map[netip.Addr]uint64  // counts the mappings, by inner address
}

// NAT puts a device with that external address on the internet. Its name and address must not be
// another's.
func (w *World) NAT(name string, addr netip.Addr, opts NATOptions) *NAT {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.natLocked(w.internet, name, addr, opts)
}

// NAT puts another device behind this one: a home router at a provider that has too few
// addresses (CGNAT). Its external address is an inner address of n.
func (n *NAT) NAT(name string, addr netip.Addr, opts NATOptions) *NAT {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.w.natLocked(n.inside, name, addr, opts)
}

func (w *World) natLocked(outside *realm, name string, addr netip.Addr, opts NATOptions) *NAT {
	w.takeNameLocked(name)
	n := &NAT{
		w: w, opts: opts.EnsureDefaults(), place: newHost(w, name, 0), hash: hashOf(w.seed, "nat", name),
		outside: outside, opened: map[netip.Addr]uint64{},
	}
	n.inside = newRealm(n)
	n.setAddrLocked(addr)
	return n
}

// Host makes a host behind the NAT, like World.Host.
func (n *NAT) Host(name string, addrs ...netip.Prefix) *Host {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.w.hostLocked(n.inside, name, addrs)
}

// Name returns the device's name.
func (n *NAT) Name() string { return n.place.name }

// Addr returns the external address.
func (n *NAT) Addr() netip.Addr {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	return n.addr
}

// SetAddr gives the device another external address, as a provider does at night. All mappings
// are dropped.
func (n *NAT) SetAddr(addr netip.Addr) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.setAddrLocked(addr)
}

func (n *NAT) setAddrLocked(addr netip.Addr) {
	n.outside.checkFree(addr, owner{nat: n})
	delete(n.outside.owners, n.addr)
	n.outside.owners[addr] = owner{nat: n}
	n.addr = addr
	n.table.drop()
}

// Rebind drops all mappings, as a restart of the device does. New ones get other ports than those
// that were dropped, as long as there are any. Forwarded ports stay.
func (n *NAT) Rebind() {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.table.drop()
}

// Mappings returns how many mappings are alive.
func (n *NAT) Mappings() int {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.table.sweep(n.w.Now(), n.opts)
	return len(n.table.byPort)
}

// forward is a port of the device that leads to a host behind it.
type forward struct {
	external externalPort
	to       *Host
	port     uint16
}

// Forward lets everybody in who comes to an external port: it leads to a port of a host directly
// behind the NAT, at the address that the host then has. What the host sends from there comes
// from the external port; see also NATOptions.ForwardsIn. It replaces what was forwarded there; undo takes it back.
func (n *NAT) Forward(proto Proto, external uint16, to *Host, port uint16) (undo func()) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	if to.realm != n.inside {
		panic(fmt.Sprintf("netsim: host %q is not behind %q", to.name, n.place.name))
	}
	f := forward{externalPort{proto, external}, to, port}
	n.unforwardLocked(func(o forward) bool { return o.external == f.external })
	n.forwards = append(n.forwards, f)
	return func() {
		n.w.mu.Lock()
		defer n.w.mu.Unlock()
		n.unforwardLocked(func(o forward) bool { return o == f })
	}
}

func (n *NAT) unforwardLocked(which func(forward) bool) {
	n.forwards = slices.DeleteFunc(n.forwards, which)
}

// forwardedLocked returns where a forwarded port leads, false when it is not forwarded. The zero
// address means that the host is not there any more.
func (n *NAT) forwardedLocked(e externalPort) (netip.AddrPort, bool) {
	for _, f := range n.forwards {
		if f.external == e {
			return netip.AddrPortFrom(f.to.addrInLocked(n.inside, n.addr.Is4()), f.port), true
		}
	}
	return netip.AddrPort{}, false
}

// forwardOfLocked returns the port that is forwarded to an inner address and port.
func (n *NAT) forwardOfLocked(proto Proto, inside netip.AddrPort) (uint16, bool) {
	h := n.inside.owners[inside.Addr()].host
	for _, f := range n.forwards {
		if f.external.proto == proto && f.to == h && f.port == inside.Port() {
			return f.external.port, true
		}
	}
	return 0, false
}

// addrInLocked returns the host's first address of a family, if it is in that realm.
func (h *Host) addrInLocked(r *realm, is4 bool) netip.Addr {
	for _, p := range h.addrs {
		if h.realm == r && p.Addr().Is4() == is4 {
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// leaveLocked takes a packet from inside to outside: it comes from the device then.
func (n *NAT) leaveLocked(p *packet, x header) (header, Why) {
	if n.addr.Is4() != x.src.Addr().Is4() {
		return x, WhyNoRoute
	}
	port, forwarded := n.forwardOfLocked(p.proto, x.src)
	if !forwarded || (n.opts.ForwardsIn && p.proto == UDP && !n.callers.fresh(x.dst, n.w.Now(), n.opts.Timeout)) {
		var ok bool
		if port, ok = n.openLocked(p, x); !ok {
			return x, WhyNAT
		}
	}
	to := n.outside.owners[x.dst.Addr()]
	return header{src: netip.AddrPortFrom(n.addr, port), dst: x.dst, at: n.outside, to: to, out: n}, ""
}

// openLocked finds the mapping for a packet, or makes one, and returns its port. It returns false
// when all ports are taken, or when the mapping has sent to too many others.
func (n *NAT) openLocked(p *packet, x header) (uint16, bool) {
	now, k := n.w.Now(), n.keyLocked(p.proto, x)
	m := n.table.get(k, now, n.opts)
	if m == nil {
		port, ok := n.freePortLocked(p.proto, x.src.Addr())
		if !ok {
			return 0, false
		}
		m = n.table.add(k, port)
	}
	if !m.permit(x.dst, now, n.opts) {
		return 0, false
	}
	m.used = now
	m.ended |= p.closes.outbound()
	return m.port.port, true
}

// keyLocked says what a mapping is for: a socket, or a socket and its peer.
func (n *NAT) keyLocked(proto Proto, x header) mappingKey {
	k := mappingKey{proto: proto, inside: x.src}
	if proto == TCP || n.opts.Kind == Symmetric {
		k.peer = x.dst
	}
	return k
}

// freePortLocked draws an external port that is not in use, from (seed, device, inner address,
// mappings of that address before).
func (n *NAT) freePortLocked(proto Proto, inside netip.Addr) (uint16, bool) {
	if n.table.count(proto) >= n.opts.Ports && !n.table.sweepSometimes(n.w.Now(), n.opts) {
		return 0, false
	}
	n.opened[inside]++
	first := nth(hashOf(n.hash, inside.String()), n.opened[inside]) % uint64(n.opts.Ports)
	for _, again := range []bool{false, true} { // ports of dropped mappings only if there are no others
		for i := range uint64(n.opts.Ports) {
			e := externalPort{proto, natPortFirst + uint16((first+i)%uint64(n.opts.Ports))}
			if _, forwarded := n.forwardedLocked(e); !forwarded && n.table.isFree(e, again) {
				return e.port, true
			}
		}
	}
	return 0, false
}

// enterLocked takes a packet from outside to inside. With look it lets everybody in and remembers
// nothing.
func (n *NAT) enterLocked(p *packet, x header, look bool) (header, Why) {
	if x.out == n && !n.opts.Hairpin {
		return x, WhyNAT
	}
	e := externalPort{p.proto.about(), x.dst.Port()}
	dst, forwarded := n.forwardedLocked(e)
	if forwarded && !look && n.opts.ForwardsIn && p.proto == UDP && !n.callers.see(x.src, n.w.Now(), n.opts.Timeout, permitsMax) {
		return x, WhyNAT
	}
	if !forwarded {
		m := n.table.at(e, n.w.Now(), n.opts)
		if m == nil || !look && !m.admits(p, x.src, n.w.Now(), n.opts) {
			return x, WhyNAT
		}
		dst = m.key.inside
	}
	to, there := n.inside.owners[dst.Addr()]
	if !there {
		return x, WhyNAT
	}
	return header{src: x.src, dst: dst, at: n.inside, to: to}, ""
}
