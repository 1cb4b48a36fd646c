package proxy

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

const (
	// MaxVIPs bounds how many addresses are ever given out. They are never taken back, so the
	// bound is what a data folder can hold, not what is in use.
	MaxVIPs = 65_536

	// maxNodeVIPs is the part of MaxVIPs that calling nodes may take, so that a crowd of callers
	// cannot leave services without an address.
	maxNodeVIPs = MaxVIPs / 4

	minVIPBits = 8  // a prefix wider than this would swallow foreign networks
	maxVIPBits = 29 // a prefix narrower than this holds nothing worth having
)

// DefaultVIPs is the prefix that VIPs come from when nothing else is configured.
func DefaultVIPs() netip.Prefix { return netip.MustParsePrefix("127.80.0.0/12") }

// systemLoopback holds addresses that hosts use themselves: localhost, Debian's 127.0.1.1,
// the stub resolver at 127.0.0.53.
func systemLoopback() netip.Prefix { return netip.MustParsePrefix("127.0.0.0/16") }

// VIPs gives addresses of one prefix to destinations and to calling nodes. An address depends
// on the hash of its owner's name, so that it is nearly always the same on every host, and is
// never given to another owner as long as Snapshot is kept and loaded.
//
// It is pure and not safe for concurrent use. Before an address that Of or OfNode reports as new
// is told to anybody, the caller writes Snapshot to disk.
type VIPs struct {
	prefix netip.Prefix
	size   uint32 // addresses in prefix, reserved ones included

	byOwner map[owner]netip.Addr // addresses in prefix only
	byAddr  map[netip.Addr]owner // all, also those of an earlier prefix
	nodes   int                  // how many of byAddr belong to nodes
}

// owner is who holds an address: a destination, or a node when node is not zero.
type owner struct {
	dest micronet.Destination
	node micronet.NodeID
}

func (o owner) isNode() bool { return !o.node.IsZero() }

// hash is where the search for a free address starts. The fields are separated by a byte that
// no name contains, the kinds by a first byte.
func (o owner) hash() uint32 {
	h := sha256.New()
	if o.isNode() {
		h.Write([]byte{'n'})
		h.Write(o.node[:])
	} else {
		h.Write([]byte("s" + o.dest.Service + "\x00" + o.dest.Tag + "\x00" + o.dest.Cluster))
	}
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// NewVIPs returns an allocator without entries. prefix is IPv4, /8 to /29.
func NewVIPs(prefix netip.Prefix) (*VIPs, error) {
	if !prefix.IsValid() || !prefix.Addr().Is4() || prefix.Bits() < minVIPBits || prefix.Bits() > maxVIPBits {
		return nil, micronet.E("proxy.vips", micronet.Invalid, "%s cannot hold VIPs", prefix).
			WithFix("name an IPv4 prefix between /%d and /%d, such as %s", minVIPBits, maxVIPBits, DefaultVIPs())
	}
	return &VIPs{
		prefix:  prefix.Masked(),
		size:    1 << (32 - prefix.Bits()),
		byOwner: make(map[owner]netip.Addr),
		byAddr:  make(map[netip.Addr]owner),
	}, nil
}

// Prefix returns the prefix that addresses come from.
func (v *VIPs) Prefix() netip.Prefix { return v.prefix }

// Len returns how many addresses were ever given out.
func (v *VIPs) Len() int { return len(v.byAddr) }

// Of returns the address of a destination. fresh says that it was given just now: Snapshot is
// another one then. The error is Overloaded when no address is left, Invalid for a name that
// cannot be kept.
func (v *VIPs) Of(dest micronet.Destination) (addr netip.Addr, fresh bool, err error) {
	if all := dest.Service + dest.Tag + dest.Cluster; dest.Service == "" || !utf8.ValidString(all) || strings.ContainsRune(all, 0) {
		return netip.Addr{}, false, micronet.E("proxy.vips", micronet.Invalid, "%q cannot have an address", dest)
	}
	return v.give(owner{dest: dest})
}

// OfNode returns the address that stands for a calling node towards backends of this host.
func (v *VIPs) OfNode(id micronet.NodeID) (addr netip.Addr, fresh bool, err error) {
	if id.IsZero() {
		return netip.Addr{}, false, micronet.E("proxy.vips", micronet.Invalid, "nobody cannot have an address")
	}
	return v.give(owner{node: id})
}

// Destination returns what an address stands for.
func (v *VIPs) Destination(addr netip.Addr) (micronet.Destination, bool) {
	o, ok := v.byAddr[addr.Unmap()]
	if !ok || o.isNode() {
		return micronet.Destination{}, false
	}
	return o.dest, true
}

// Node returns the calling node that an address stands for.
func (v *VIPs) Node(addr netip.Addr) (micronet.NodeID, bool) {
	o, ok := v.byAddr[addr.Unmap()]
	return o.node, ok && o.isNode()
}

func (v *VIPs) give(o owner) (netip.Addr, bool, error) {
	if a, ok := v.byOwner[o]; ok {
		return a, false, nil
	}
	if len(v.byAddr) >= MaxVIPs || (o.isNode() && v.nodes >= maxNodeVIPs) {
		return netip.Addr{}, false, errNoVIPs(v.prefix, "all %d that are ever given are taken", MaxVIPs)
	}
	a, ok := v.free(o.hash())
	if !ok {
		return netip.Addr{}, false, errNoVIPs(v.prefix, "every address in it is taken")
	}
	v.add(a, o)
	return a, true, nil
}

func errNoVIPs(prefix netip.Prefix, format string, args ...any) error {
	return micronet.E("proxy.vips", micronet.Overloaded, "no VIP is left in %s: %s", prefix, fmt.Sprintf(format, args...)).
		WithFix("give --vip-cidr a wider prefix, or use the outbound proxy")
}

// free returns the first address at or behind start, round the prefix, that nobody ever had.
func (v *VIPs) free(start uint32) (netip.Addr, bool) {
	for i := range v.size {
		a := v.at((start + i) & (v.size - 1))
		if _, taken := v.byAddr[a]; !taken && v.usable(a) {
			return a, true
		}
	}
	return netip.Addr{}, false
}

func (v *VIPs) at(offset uint32) netip.Addr {
	b := v.prefix.Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+offset)
	return netip.AddrFrom4(b)
}

// usable leaves out what programs mistake for a network or broadcast address (.0, .255), the
// first host of the prefix, which is the daemon's own, and what the system itself uses.
func (v *VIPs) usable(a netip.Addr) bool {
	last := a.As4()[3]
	return v.prefix.Contains(a) && last != 0 && last != 255 && a != FirstVIP(v.prefix) && !systemLoopback().Contains(a)
}

// FirstVIP is the first host address of a prefix. It is never given to a name.
func FirstVIP(prefix netip.Prefix) netip.Addr { return prefix.Masked().Addr().Next() }

func (v *VIPs) add(a netip.Addr, o owner) {
	v.byAddr[a] = o
	if o.isNode() {
		v.nodes++
	}
	if _, has := v.byOwner[o]; !has && v.usable(a) {
		v.byOwner[o] = a
	}
}
