package sim

import (
	"encoding/binary"
	"sync"

	"github.com/micro/micro-net/sim/netsim"
)

// quicBit is set in the first byte of every QUIC packet (RFC 9000 section 17), and never in ours.
const quicBit = 0x40

// meter counts what hosts send to each other. The world tells it from a goroutine of its own.
type meter struct {
	mu     sync.Mutex
	hosts  map[string]*usage
	steps  uint64
	hash   uint64 // over every step: when, what, between whom, how large
	gossip uint64 // bytes of all
	told   uint64 // of gossip, by fresh

	strangers   map[string]uint64    // bytes to addresses that no host has, by sender
	inward      map[string]uint64    // bytes from the mesh port to other ports of the same host
	between     map[[2]string]uint64 // bytes from host to host
	sealed      []sealed             // the first ones
	keepsSealed bool
}

func newMeter() meter {
	return meter{hosts: map[string]*usage{}, strangers: map[string]uint64{}, inward: map[string]uint64{}, between: map[[2]string]uint64{}}
}

// usage is what one host sent and received.
type usage struct{ gossip, sent, received, dropped uint64 }

// packet counts one step of a packet.
func (m *meter) packet(e netsim.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.catch(e)
	if e.Src.Addr().IsLoopback() {
		return
	}
	m.steps++
	m.mix(e)
	switch e.Step {
	case netsim.Sent:
		u := m.of(e.From)
		u.sent++
		if e.Proto == netsim.UDP && len(e.Data) > 0 && e.Data[0]&quicBit == 0 {
			u.gossip += uint64(e.Size)
			m.gossip += uint64(e.Size)
		}
	case netsim.Delivered:
		m.of(e.To).received++
	case netsim.Dropped:
		m.of(e.From).dropped++
	}
}

func (m *meter) of(host string) *usage {
	u := m.hosts[host]
	if u == nil {
		u = &usage{}
		m.hosts[host] = u
	}
	return u
}

// fresh returns the bytes of gossip since it was asked last.
func (m *meter) fresh() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.gossip - m.told
	m.told = m.gossip
	return n
}

// mix takes a step into the hash.
func (m *meter) mix(e netsim.Event) {
	src, dst := e.Src.Addr().As16(), e.Dst.Addr().As16()
	for _, x := range [...]uint64{
		uint64(e.At), uint64(e.Step)<<8 | uint64(e.Proto), uint64(e.Size), uint64(e.Src.Port())<<16 | uint64(e.Dst.Port()),
		binary.BigEndian.Uint64(src[8:]), binary.BigEndian.Uint64(dst[8:]),
	} {
		m.hash = (m.hash ^ x) * 0x9e3779b97f4a7c15
		m.hash ^= m.hash >> 29
	}
}

// sum returns the hash over all steps so far.
func (m *meter) sum() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hash
}

// count returns how many steps packets have taken.
func (m *meter) count() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.steps
}

// usage returns what a host has sent and received so far.
func (m *meter) usage(host string) usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	return *m.of(host)
}
