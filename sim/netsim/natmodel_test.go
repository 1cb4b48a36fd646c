package netsim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// sentOut is one datagram that left through a NAT, and the port it got.
type sentOut struct {
	inside, peer netip.AddrPort
	port         uint16
	when         time.Duration
}

// natModel is a NAT that remembers every datagram: slow, and plainly what the RFC says.
type natModel struct {
	kind NATKind
	log  []sentOut
}

// portOf returns the port that a datagram must get, 0 when it must be a new one.
func (m *natModel) portOf(inside, peer netip.AddrPort, now time.Duration) uint16 {
	for _, o := range m.log {
		if o.inside == inside && (m.kind != Symmetric || o.peer == peer) && m.alive(o.port, now) {
			return o.port
		}
	}
	return 0
}

// alive reports whether something was sent from the port lately.
func (m *natModel) alive(port uint16, now time.Duration) bool {
	last := time.Duration(-1)
	for _, o := range m.log {
		if o.port == port {
			last = o.when
		}
	}
	return last >= 0 && now-last < udpTimeout
}

// admits returns who gets a datagram that comes to a port, the zero address for nobody.
func (m *natModel) admits(port uint16, peer netip.AddrPort, now time.Duration) netip.AddrPort {
	if !m.alive(port, now) {
		return netip.AddrPort{}
	}
	for _, o := range m.log {
		fits := o.peer == peer
		switch m.kind {
		case FullCone:
			fits = true
		case AddressRestricted:
			fits = o.peer.Addr() == peer.Addr()
		}
		if o.port == port && fits && (m.kind == FullCone || m.kind == Symmetric || now-o.when < udpTimeout) {
			return o.inside
		}
	}
	return netip.AddrPort{}
}

// TestNATLikeItsModel sends at random, in and out, and compares with a model.
func TestNATLikeItsModel(t *testing.T) {
	for kind := FullCone; kind <= Symmetric; kind++ {
		synctest.Test(t, func(t *testing.T) {
			w := New(3, Options{})
			n := w.NAT("x", outerX, NATOptions{Kind: kind})
			for i := range byte(3) {
				n.Host(string('a'+rune(i)), prefix(netip.AddrFrom4([4]byte{192, 168, 1, i})))
			}
			m, rng := &natModel{kind: kind}, rand.New(rand.NewPCG(1, uint64(kind)))
			peer := func() netip.AddrPort {
				return at(netip.AddrFrom4([4]byte{203, 0, 113, byte(rng.IntN(3))}), uint16(1+rng.IntN(3)))
			}
			in, refused := 0, 0
			p := &packet{proto: UDP}
			w.mu.Lock()
			defer w.mu.Unlock()
			for step := range 2000 {
				time.Sleep(time.Duration(rng.IntN(12)) * time.Second)
				now, who := w.Now(), peer()
				if rng.IntN(2) == 0 {
					inside := at(netip.AddrFrom4([4]byte{192, 168, 1, byte(rng.IntN(3))}), uint16(1+rng.IntN(2)))
					x, why := n.leaveLocked(p, header{src: inside, dst: who, at: n.inside})
					want, got := m.portOf(inside, who, now), x.src.Port()
					if why != "" || want != 0 && got != want || want == 0 && m.alive(got, now) {
						t.Fatalf("%v, step %d: %v to %v got port %d, %q, want %d", kind, step, inside, who, got, why, want)
					}
					if want == 0 { // the port of a dead mapping, perhaps
						m.log = slices.DeleteFunc(m.log, func(o sentOut) bool { return o.port == got })
					}
					m.log = append(m.log, sentOut{inside, who, got, now})
					continue
				}
				if len(m.log) == 0 {
					continue
				}
				port := m.log[max(0, len(m.log)-1-rng.IntN(20))].port
				x, why := n.enterLocked(p, header{src: who, dst: at(outerX, port), to: owner{nat: n}}, false)
				want := m.admits(port, who, now)
				if (why == "") != want.IsValid() || why == "" && x.dst != want {
					t.Fatalf("%v, step %d: %v to port %d reaches %v, %q, want %v", kind, step, who, port, x.dst, why, want)
				}
				if why == "" {
					in++
				} else {
					refused++
				}
			}
			if in < 50 || refused < 50 {
				t.Errorf("%v: %d let in, %d refused: too little was tested", kind, in, refused)
			}
		})
	}
}
