package tunnel

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// flow is what the paths of QUIC packets, in and out, need of a peer. Everything in it may be
// read without a lock.
type flow struct {
	id       micronet.NodeID
	identity *net.UDPAddr // never changed: quic-go keeps it
	peer     *peer        // whose it is; guarded by the core's lock

	// Times since the Underlay was made, in nanoseconds, 0 for never.
	heard   atomic.Int64 // last authenticated frame
	arrived atomic.Int64 // last QUIC packet from the peer
	used    atomic.Int64 // last QUIC packet to it
	asked   atomic.Int64 // the first one since anything arrived
	unmet   atomic.Int64 // the first one since a QUIC packet arrived
	strange atomic.Int64 // when the last QUIC packet came that took another way than the one before

	route atomic.Pointer[route]   // nil: no way is known
	over  atomic.Pointer[binding] // of the way that the last QUIC packet came, halves aside

	sizes  sizes       // of QUIC's large packets to the peer
	narrow atomic.Bool // large packets have to be cut

	wide   atomic.Int32 // the largest size that a test of the way in use found to pass
	copied atomic.Bool  // QUIC packets go over other ways as well
}

// comes takes note of a QUIC packet from the peer, and reports whether it came another way than the one before.
func (f *flow) comes(b *binding, now int64) (another bool) {
	f.arrived.Store(now)
	b.came.Store(now)
	before := f.over.Load()
	if before == b {
		return false
	}
	f.over.Store(b)
	if before != nil {
		f.strange.Store(now)
	}
	return before != nil
}

// route is where packets to a peer go now. It is never changed, only replaced.
type route struct {
	remote    netip.AddrPort
	udp       *net.UDPAddr
	confirmed bool
	relayed   bool   // the core knows the way
	source    []byte // control message that names our own address, nil: the system chooses
	left      *tally
}

// binding says that authenticated frames of a peer came from an address.
type binding struct {
	flow     *flow
	firm     atomic.Bool  // a reply proved it
	received atomic.Int64 // QUIC bytes that came
	came     atomic.Int64 // when the last did, as in flow
	credited int64        // those that have made an allowance; guarded by the core's lock, as is count
	count    uint32       // tells this count of bytes from others that began at zero, 0: not drawn yet
	// local is our own address its packets arrive at. The read loop alone reads and writes it.
	local netip.Addr
}

// directory finds peers by the two kinds of address. Its lock is a leaf, held for lookups and
// single changes only.
type directory struct {
	mu         sync.RWMutex
	identities map[netip.Addr]*flow
	nodes      map[micronet.NodeID]*flow // the same: an identity address costs a hash
	bound      map[netip.AddrPort]*binding
}

func newDirectory() *directory {
	return &directory{identities: map[netip.Addr]*flow{}, nodes: map[micronet.NodeID]*flow{}, bound: map[netip.AddrPort]*binding{}}
}

func newFlow(id micronet.NodeID) *flow { return &flow{id: id, identity: id.UDPAddr()} }

func (d *directory) add(f *flow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.identities[f.identity.AddrPort().Addr()] = f
	d.nodes[f.id] = f
}

func (d *directory) remove(f *flow) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.identities, f.identity.AddrPort().Addr())
	delete(d.nodes, f.id)
}

// byNode returns the flow of a peer, nil when it is none.
func (d *directory) byNode(id micronet.NodeID) *flow {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.nodes[id]
}

// byIdentity returns the peer that an identity address stands for, nil for none.
func (d *directory) byIdentity(a netip.Addr) *flow {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.identities[a]
}

// byAddress returns who speaks from a real address, nil for nobody.
func (d *directory) byAddress(a netip.AddrPort) *binding {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.bound[a]
}

// bind gives an address to a peer, and returns the binding it has then. An address that another
// peer has proved stays with it until this one proves it too: a replayed frame with a forged
// source steals nothing. The result is nil in that case.
func (d *directory) bind(a netip.AddrPort, f *flow, proved bool) *binding {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.bound[a]
	switch {
	case b != nil && b.flow == f:
	case b != nil && b.firm.Load() && !proved:
		return nil
	default:
		b = &binding{flow: f}
		d.bound[a] = b
	}
	if proved {
		b.firm.Store(true)
	}
	return b
}

// unbind takes a binding away, unless the address has another by now.
func (d *directory) unbind(a netip.AddrPort, b *binding) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if b != nil && d.bound[a] == b {
		delete(d.bound, a)
	}
}

// moment turns a time into what flow stores, relative to the start of an Underlay.
func moment(start, now time.Time) int64 { return max(int64(now.Sub(start)), 1) }

// instant turns it back.
func instant(start time.Time, m int64) time.Time {
	if m == 0 {
		return time.Time{}
	}
	return start.Add(time.Duration(m))
}
