package quic

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
	quicgo "github.com/quic-go/quic-go"
)

// heard returns what a socket that nobody reads has got so far: packets, and bytes.
func (c *memConn) heard() (packets [][]byte, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.queue {
		packets = append(packets, p.data)
		bytes += len(p.data)
	}
	return packets, bytes
}

// initial returns the first packet that a guest sends.
func initial(t *testing.T, m *memNet, to *testNode) []byte {
	t.Helper()
	who := tunneltest.NewIdentity(t, 200)
	m.silence(to.conn, true) // it hears the packet by its queue alone
	sink := m.socket(tunneltest.NewIdentity(t, 201).ID, "10.99.0.1:8085", true)
	tr := &quicgo.Transport{Conn: m.socket(who.ID, "10.99.0.2:1", true)}
	defer tr.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := tr.Dial(ctx, net.UDPAddrFromAddrPort(sink.real), tunnel.Harden(who.Client(to.ID), tunnel.ALPNJoin), guestConfig())
	if err == nil {
		t.Fatal("nobody has answered, and the dial succeeds")
	}
	m.silence(to.conn, false)
	packets, _ := sink.heard()
	if len(packets) == 0 || len(packets[0]) < 1200 {
		t.Fatalf("%d packets were sent", len(packets))
	}
	return packets[0]
}

// TestH2_SpoofedInitials: whoever forges addresses leaves no state behind, and the owners of the addresses
// get less than was sent in their name.
func TestH2_SpoofedInitials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", joinable(&greeter{Identity: tunneltest.NewIdentity(t, 2)}))
		packet := initial(t, m, b)
		var victims []*memConn
		for i := range 2000 {
			v := m.socket(micronet.NodeID{9, byte(i), byte(i >> 8)}, fmt.Sprintf("10.%d.%d.7:443", 1+i>>8, i&255), true)
			m.send(v, packet, b.conn.real)
			victims = append(victims, v)
			if i%100 == 99 {
				time.Sleep(time.Millisecond) // the net's queues are bounded
			}
		}
		time.Sleep(100 * time.Millisecond)
		if total, peers := b.open(); total != 0 || peers != 0 || b.guests.Here() != 0 {
			t.Errorf("%d handshakes of %d peers and %d guests are kept", total, peers, b.guests.Here())
		}
		answered := 0
		for _, v := range victims {
			packets, bytes := v.heard()
			if len(packets) > 1 || bytes > len(packet) {
				t.Fatalf("%s got %d packets of %d bytes for %d", v.real, len(packets), bytes, len(packet))
			}
			answered += len(packets)
		}
		if answered == 0 {
			t.Error("no address was asked whether it is there")
		}
		time.Sleep(10 * time.Second)
		for _, v := range victims {
			if packets, _ := v.heard(); len(packets) > 1 {
				t.Fatalf("%s got %d packets in the end", v.real, len(packets))
			}
		}
	})
}

// longHeader begins a QUIC packet of a version (RFC 8999 section 5.1), of the kind that is a Handshake packet
// in version 1, filled up to a size.
func longHeader(version uint32, size int) []byte {
	b := append(make([]byte, 0, size), 0xe0)
	b = binary.BigEndian.AppendUint32(b, version)
	b = append(b, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1)
	return append(b, make([]byte, size-len(b))...)
}

// TestH3_UnknownVersions: a version that is not spoken is answered with those that are, in fewer bytes than
// were sent, and what is too short or is such an answer itself, not at all.
func TestH3_UnknownVersions(t *testing.T) {
	const version1, version2, grease = 1, 0x6b3343cf, 0x1a2a3a4a
	for _, c := range []struct {
		name     string
		packet   []byte
		answered bool
	}{
		{"grease", longHeader(grease, 1200), true},
		{"a version of tomorrow", longHeader(0x00000099, 1200), true},
		{"a draft", longHeader(0xff00001d, 1200), true},
		{"all ones", longHeader(0xffffffff, 1200), true},
		{"grease, too short", longHeader(grease, 1199), false},
		{"a negotiation", longHeader(0, 1200), false},
		{"version 2, no Initial", longHeader(version2, 1200), false},
		{"version 1, no Initial", longHeader(version1, 1200), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet(10 * time.Millisecond)
				b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", joinable(&greeter{Identity: tunneltest.NewIdentity(t, 2)}))
				from := m.socket(micronet.NodeID{9}, "10.0.0.9:443", true)
				m.send(from, c.packet, b.conn.real)
				time.Sleep(10 * time.Second)
				packets, bytes := from.heard()
				if c.answered != (len(packets) == 1) || bytes > len(c.packet) {
					t.Fatalf("%d packets of %d bytes came back", len(packets), bytes)
				}
				if !c.answered {
					return
				}
				spoken := versionsIn(t, packets[0])
				if !slices.Contains(spoken, version1) || slices.Contains(spoken, binary.BigEndian.Uint32(c.packet[1:])) {
					t.Errorf("the answer offers %x", spoken)
				}
			})
		})
	}
}

// versionsIn reads a version negotiation packet (RFC 8999 section 6).
func versionsIn(t *testing.T, b []byte) (out []uint32) {
	t.Helper()
	if len(b) < 23 || b[0]&0x80 == 0 || binary.BigEndian.Uint32(b[1:]) != 0 {
		t.Fatalf("%x is no version negotiation", b)
	}
	for b = b[5+1+8+1+8:]; len(b) >= 4; b = b[4:] {
		out = append(out, binary.BigEndian.Uint32(b))
	}
	return out
}

// muteAfter loses what a socket sends after its next n packets.
func (m *memNet) muteAfter(c *memConn, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left[c] = n
}

// TestH4_StalledHandshakes: whoever stops at some packet of a handshake, as a member or as a guest, is gone
// after five seconds of silence, and does not keep those who go on from getting in.
func TestH4_StalledHandshakes(t *testing.T) {
	for n := 1; n <= 4; n++ {
		t.Run(fmt.Sprintf("member after %d packets", n), func(t *testing.T) {
			bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
				m.muteAfter(a.conn, n)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				go func() { _, _ = a.connect(ctx, b.ID) }()
				time.Sleep(time.Second)
				began, _ := b.open()
				time.Sleep(handshakeIdle)
				if total, peers := b.open(); total != 0 || peers != 0 {
					t.Errorf("after 6s %d handshakes are open, after one %d", total, began)
				}
				cancel()
				m.muteAfter(a.conn, 1<<30)
				time.Sleep(silence + keepAlive) // a may believe that it got through
				ping(t, a, b)
			})
		})
		t.Run(fmt.Sprintf("guest after %d packets", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet(10 * time.Millisecond)
				g := &greeter{Identity: tunneltest.NewIdentity(t, 2)}
				b := startNode(t, m, g.Identity, "10.0.0.2:8085", joinable(g))
				j := joiner(t, m, 1, "10.0.0.9:40000")
				m.muteAfter(j.conn, n)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				go func() { _, _ = j.DialGuest(ctx, b.conn.real, j.Client(b.ID)) }()
				time.Sleep(time.Second)
				began := b.guests.Here()
				time.Sleep(handshakeIdle)
				if open := b.guests.Here(); open != 0 {
					t.Errorf("after 6s %d guests are here, after one %d", open, began)
				}
			})
		})
	}
}

// TestH4_TrickledHandshake: whoever never falls silent and never comes to an end is gone after ten seconds.
func TestH4_TrickledHandshake(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		m.deafen(a.conn, true) // it repeats its first packet, and never hears that it was understood
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			_, _ = a.transport.Dial(ctx, b.ID.UDPAddr(), tunnel.Harden(a.Client(b.ID), ALPN), &quicgo.Config{HandshakeIdleTimeout: time.Minute})
		}()
		time.Sleep(7500 * time.Millisecond)
		if total, _ := b.open(); total != 1 {
			t.Errorf("%d handshakes are open in the middle, want the one that goes on", total)
		}
		time.Sleep(3 * time.Second)
		if total, _ := b.open(); total != 0 {
			t.Errorf("%d handshakes are open after ten seconds", total)
		}
		m.deafen(a.conn, false)
	})
}

// TestQ28_NothingIsResumed: a client that asks for it gets no ticket, resumes nothing, and none of its bytes
// are taken before the handshake is done.
func TestQ28_NothingIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(10 * time.Millisecond)
		b := startNode(t, m, tunneltest.NewIdentity(t, 2), "10.0.0.2:8085", nil)
		b.serveEcho(t)
		who := tunneltest.NewIdentity(t, 1)
		tr := &quicgo.Transport{Conn: m.socket(who.ID, "10.0.0.1:8085", false)}
		defer tr.Close()
		cache := &ticketCounter{ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		conf := who.Client(b.ID)
		conf.NextProtos, conf.ServerName, conf.ClientSessionCache = []string{ALPN}, "b", cache
		for range 3 {
			conn, err := tr.DialEarly(t.Context(), b.ID.UDPAddr(), conf, quicConfig(false))
			if err != nil {
				t.Fatal(err)
			}
			<-conn.HandshakeComplete()
			time.Sleep(time.Second) // for a ticket to arrive
			if s := conn.ConnectionState(); s.Used0RTT || s.TLS.DidResume || cache.tickets != 0 {
				t.Errorf("0-RTT %v, resumed %v, %d tickets", s.Used0RTT, s.TLS.DidResume, cache.tickets)
			}
			_ = conn.CloseWithError(0, "")
		}
		if cache.asked != 3 {
			t.Errorf("the client looked for a ticket %d times, want 3", cache.asked)
		}
	})
}

// ticketCounter is a cache of a client that would resume if it could.
type ticketCounter struct {
	tls.ClientSessionCache
	tickets, asked int
}

func (c *ticketCounter) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		c.tickets++
	}
	c.ClientSessionCache.Put(key, s)
}

func (c *ticketCounter) Get(key string) (*tls.ClientSessionState, bool) {
	c.asked++
	return c.ClientSessionCache.Get(key)
}

// TestQ29_LimitsOfEachRole: every limit that quic-go has is set, those of a guest far below those of a
// member, nothing is taken early, and strangers prove their address before any state is kept.
func TestQ29_LimitsOfEachRole(t *testing.T) {
	for role, c := range map[string]*quicgo.Config{"member": quicConfig(true), "guest": guestConfig()} {
		v := reflect.ValueOf(*c)
		for _, name := range []string{
			"HandshakeIdleTimeout", "MaxIdleTimeout", "InitialStreamReceiveWindow", "MaxStreamReceiveWindow", "InitialConnectionReceiveWindow",
			"MaxConnectionReceiveWindow", "MaxIncomingStreams", "MaxIncomingUniStreams", "InitialPacketSize",
		} {
			if v.FieldByName(name).IsZero() {
				t.Errorf("%s: %s is quic-go's default", role, name)
			}
		}
		if c.Allow0RTT || c.HandshakeIdleTimeout > 5*time.Second || c.MaxIncomingUniStreams != -1 {
			t.Errorf("%s: %+v", role, c)
		}
	}
	if g := guestConfig(); g.MaxIncomingStreams != 1 || g.MaxConnectionReceiveWindow > 64<<10 || g.EnableDatagrams {
		t.Errorf("guest: %+v", g)
	}
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		stranger := m.socket(micronet.NodeID{9}, "10.0.0.9:443", true)
		if !b.mustAnswer(net.UDPAddrFromAddrPort(stranger.real)) || b.mustAnswer(a.ID.UDPAddr()) {
			t.Error("strangers have to prove their address, members not")
		}
		if b.transport.VerifySourceAddress == nil || b.transport.ConnContext == nil {
			t.Error("quic-go does not ask")
		}
	})
}

// TestQ1_RefusedHandshakesAreCounted: by whether the other side proved nothing or said nothing, and by whom
// its address stands for.
func TestQ1_RefusedHandshakesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, m *memNet, a, b *testNode) {
		conf := tunnel.Harden(a.Client(b.ID), ALPN)
		conf.Certificates = nil
		conn, err := a.transport.Dial(t.Context(), b.ID.UDPAddr(), conf, quicConfig(false))
		if err == nil { // in TLS 1.3 a client is done before the server has looked at it
			<-conn.Context().Done()
			err = context.Cause(conn.Context())
		}
		if micronet.KindOf(explain("test", b.ID, err)) != micronet.Unauthorized {
			t.Errorf("who shows no certificate: %v", err)
		}
		time.Sleep(time.Second)
		if got := b.dropped("handshake refused"); got != 1 {
			t.Errorf("%d refused handshakes, want 1", got)
		}
		m.muteAfter(a.conn, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = a.connect(ctx, b.ID) // it may believe that it got through: its last packet is not answered
		time.Sleep(2 * handshakeIdle)
		if got := b.dropped("handshake not finished"); got != 1 {
			t.Errorf("%d handshakes that stopped, want 1", got)
		}
		m.muteAfter(a.conn, 1<<30)
		ping(t, a, b)
		if refused, stopped := b.dropped("handshake refused"), b.dropped("handshake not finished"); refused != 1 || stopped != 1 {
			t.Errorf("a good one counts: %d, %d", refused, stopped)
		}
	})
}
