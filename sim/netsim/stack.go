package netsim

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	micronet "github.com/micro/micro-net"
)

const (
	ephemeralFirst = 32768 // Linux's default range of local ports
	ephemeralCount = 28232

	privilegedPorts = 1024 // lower ones are for root
)

// stack is the network of one life of a host. A crash throws it away as a whole.
type stack struct {
	// Constant.
	w    *World
	host *Host
	gone chan struct{} // closed by the crash

	// Guarded by World.mu.
	down      bool
	udp       bindings[*udpConn]
	tcp       bindings[*listener]
	unix      map[string]*listener
	streams   map[uint64]*stream
	streamSeq uint64
	redirects []redirect
	watchers  watchers
	nextPort  uint16
	pmtu      map[netip.Addr]pmtu // what the network said of destinations
}

var (
	_ micronet.Network         = (*stack)(nil)
	_ micronet.PeerCredentials = (*stack)(nil)
	_ micronet.Redirector      = (*stack)(nil)
	_ micronet.ProcessFinder   = (*stack)(nil)
)

func newStack(h *Host) *stack {
	return &stack{
		w:        h.w,
		host:     h,
		gone:     make(chan struct{}),
		unix:     map[string]*listener{},
		streams:  map[uint64]*stream{},
		nextPort: uint16(nth(hashOf(h.w.seed, "ports", h.name), h.life) % ephemeralCount),
	}
}

// cutLocked ends everything at once and tells nobody outside the host.
func (s *stack) cutLocked() {
	s.down = true
	close(s.gone)
	for _, c := range sortedSockets(&s.udp) {
		c.shutLocked()
	}
	for _, l := range sortedSockets(&s.tcp) {
		l.shutLocked()
	}
	for _, path := range slices.Sorted(maps.Keys(s.unix)) {
		s.unix[path].shutLocked()
	}
	for _, id := range slices.Sorted(maps.Keys(s.streams)) {
		s.streams[id].shutLocked(net.ErrClosed)
	}
	s.watchers = nil
}

// sortedSockets lists all sockets of a protocol by port and address.
func sortedSockets[S any](b *bindings[S]) []S {
	var out []S
	for _, port := range slices.Sorted(maps.Keys(b.ports)) {
		list := slices.SortedFunc(slices.Values(b.ports[port]), func(x, y binding[S]) int {
			return cmp.Compare(x.addr.String(), y.addr.String())
		})
		for _, o := range list {
			out = append(out, o.socket)
		}
	}
	return out
}

// checkBindLocked reports why addr cannot be bound on this host, nil when it can.
func (s *stack) checkBindLocked(addr netip.AddrPort) error {
	switch {
	case s.down:
		return net.ErrClosed
	case !addr.Addr().IsValid():
		return syscall.EINVAL
	case !addr.Addr().IsUnspecified() && !s.ownsLocked(addr.Addr()):
		return syscall.EADDRNOTAVAIL
	case addr.Port() != 0 && addr.Port() < privilegedPorts && s.host.Credentials().UID != 0:
		return syscall.EACCES
	}
	return nil
}

// ownsLocked reports whether a is an address of this host.
func (s *stack) ownsLocked(a netip.Addr) bool {
	return a.IsLoopback() || s.host.realm.owners[a].host == s.host
}

// sourceLocked picks the local address for packets to dst: the loopback address, one in the
// same network, or the first of the family.
func (s *stack) sourceLocked(dst netip.Addr) (netip.Addr, error) {
	if dst.IsLoopback() && dst.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if dst.IsLoopback() || s.ownsLocked(dst) {
		return dst, nil
	}
	var first netip.Addr
	for _, p := range s.host.addrs {
		if p.Contains(dst) {
			return p.Addr(), nil
		}
		if !first.IsValid() && p.Addr().Is4() == dst.Is4() {
			first = p.Addr()
		}
	}
	if !first.IsValid() {
		return first, syscall.ENETUNREACH
	}
	return first, nil
}

// checkSourceLocked reports why packets from src to dst cannot leave this host.
func (s *stack) checkSourceLocked(src, dst netip.Addr) error {
	switch {
	case !s.ownsLocked(src):
		return syscall.EADDRNOTAVAIL
	case src.Is4() != dst.Is4():
		return syscall.EAFNOSUPPORT
	case src.IsLoopback() && !s.ownsLocked(dst):
		return syscall.EINVAL // Linux: a loopback source never leaves the host
	}
	return nil
}

// freePortLocked finds an ephemeral port at addr for which taken reports false.
func (s *stack) freePortLocked(addr netip.Addr, taken func(netip.AddrPort) bool) (netip.AddrPort, error) {
	for range ephemeralCount {
		s.nextPort = (s.nextPort + 1) % ephemeralCount
		ap := netip.AddrPortFrom(addr, ephemeralFirst+s.nextPort)
		if !taken(ap) {
			return ap, nil
		}
	}
	return netip.AddrPort{}, syscall.EADDRINUSE
}

// normal returns addr with IPv4 in its own form and without a zone, as all addresses here are.
func normal(addr netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(addr.Addr().Unmap().WithZone(""), addr.Port())
}

// opError gives an error the form that package net gives it.
func opError(op, network string, src, dst net.Addr, err error) error {
	if errno, ok := err.(syscall.Errno); ok {
		err = os.NewSyscallError(op, errno)
	}
	return &net.OpError{Op: op, Net: network, Source: src, Addr: dst, Err: err}
}
