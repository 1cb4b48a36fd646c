package netsim

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
)

var (
	public  = netip.MustParseAddr("203.0.113.1")
	public2 = netip.MustParseAddr("203.0.113.2")
	outerX  = netip.MustParseAddr("198.51.100.1")
	outerY  = netip.MustParseAddr("198.51.100.2")
	private = netip.MustParseAddr("192.168.1.2")
	second  = netip.MustParseAddr("192.168.1.3")
)

// homes is a world of two public hosts, s and u, and two NATs, x and y, with a host behind each.
// Both hosts have the same private address.
type homes struct {
	*World
	s, u *Host
	x, y *NAT
	a, b *Host
}

func inHomes(t *testing.T, x, y NATOptions, f func(t *testing.T, w *homes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &homes{World: New(1, steady())}
		w.s, w.u = w.Host("s", prefix(public)), w.Host("u", prefix(public2))
		w.x, w.y = w.NAT("x", outerX, x), w.NAT("y", outerY, y)
		w.a, w.b = w.x.Host("a", prefix(private)), w.y.Host("b", prefix(private))
		t.Cleanup(runWorld(t, w.World))
		f(t, w)
	})
}

// tells sends text and returns where it came from, as the receiver sees it; the zero address when
// it did not arrive.
func tells(t *testing.T, from net.PacketConn, to netip.AddrPort, at net.PacketConn) netip.AddrPort {
	t.Helper()
	send(t, from, "x", to)
	_, src := hear(t, at, 10*time.Second)
	return src
}

func TestNATFiltersByItsKind(t *testing.T) {
	for _, c := range []struct {
		kind                            NATKind
		samePort, peer, address, anyone bool // one port for all; who is let in
	}{
		{FullCone, true, true, true, true},
		{AddressRestricted, true, true, true, false},
		{PortRestricted, true, true, false, false},
		{Symmetric, false, true, false, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			inHomes(t, NATOptions{Kind: c.kind}, NATOptions{}, func(t *testing.T, w *homes) {
				a := listenPacket(t, w.a, wild(5))
				s, s2, u := listenPacket(t, w.s, wild(1)), listenPacket(t, w.s, wild(2)), listenPacket(t, w.u, wild(1))
				seen := tells(t, a, at(public, 1), s)
				if seen.Addr() != outerX || seen.Port() < natPortFirst {
					t.Fatalf("s sees %v, want a port of %v", seen, outerX)
				}
				for _, in := range []struct {
					from net.PacketConn
					src  netip.AddrPort
					want bool
				}{{s, at(public, 1), c.peer}, {s2, at(public, 2), c.address}, {u, at(public2, 1), c.anyone}} {
					src := tells(t, in.from, seen, a)
					if src.IsValid() != in.want || in.want && src != in.src {
						t.Errorf("from %v: a hears %v, let in must be %v", in.src, src, in.want)
					}
				}
				if again := tells(t, a, at(public, 1), s); again != seen {
					t.Errorf("s sees %v, then %v", seen, again)
				}
				if other := tells(t, a, at(public2, 1), u); (other == seen) != c.samePort {
					t.Errorf("s sees %v, u sees %v; the same must be %v", seen, other, c.samePort)
				}
				if s := w.Stats(); (s.NAT > 0) == c.anyone {
					t.Errorf("NAT = %d", s.NAT)
				}
			})
		})
	}
}

// punched reports whether two hosts behind NATs get through to each other when both send to where
// a third host sees the other.
func punched(t *testing.T, x, y NATKind) (through bool) {
	inHomes(t, NATOptions{Kind: x}, NATOptions{Kind: y}, func(t *testing.T, w *homes) {
		a, b := listenPacket(t, w.a, wild(5)), listenPacket(t, w.b, wild(5))
		s := listenPacket(t, w.s, wild(1))
		seenA, seenB := tells(t, a, at(public, 1), s), tells(t, b, at(public, 1), s)
		for range 2 {
			send(t, a, "x", seenB)
			send(t, b, "x", seenA)
			_, fromB := hear(t, a, time.Second)
			_, fromA := hear(t, b, time.Second)
			if fromA.IsValid() {
				seenA = fromA
			}
			if fromB.IsValid() {
				seenB = fromB
			}
		}
		through = tells(t, a, seenB, b).IsValid() && tells(t, b, seenA, a).IsValid()
	})
	return through
}

func TestHolePunching(t *testing.T) {
	kinds := []NATKind{FullCone, AddressRestricted, PortRestricted, Symmetric}
	for _, x := range kinds {
		for _, y := range kinds {
			strict := x == Symmetric && y >= PortRestricted || y == Symmetric && x >= PortRestricted
			if got := punched(t, x, y); got == strict {
				t.Errorf("%v and %v: punched %v", x, y, got)
			}
		}
	}
}

// TestHolesOpenWhileDatagramsAreUnderWay: what counts is the NAT when the datagram gets there.
func TestHolesOpenWhileDatagramsAreUnderWay(t *testing.T) {
	inHomes(t, NATOptions{Kind: PortRestricted}, NATOptions{}, func(t *testing.T, w *homes) {
		a, s, u := listenPacket(t, w.a, wild(5)), listenPacket(t, w.s, wild(1)), listenPacket(t, w.u, wild(1))
		seen := tells(t, a, at(public, 1), s)
		send(t, u, "early", seen)
		time.Sleep(testLatency / 2)
		send(t, a, "opens", at(public2, 1))
		if text, _ := hear(t, a, time.Second); text != "early" {
			t.Errorf("heard %q, want what was under way when the hole was punched", text)
		}
		send(t, u, "x", seen)
		w.x.Rebind()
		if text, _ := hear(t, a, time.Second); text != "" {
			t.Errorf("heard %q through a mapping that was dropped meanwhile", text)
		}
	})
}

func TestNATTimeout(t *testing.T) {
	for _, c := range []struct {
		opts NATOptions
		want time.Duration
	}{{NATOptions{}, 2 * time.Minute}, {NATOptions{Timeout: 30 * time.Second, Kind: PortRestricted}, 30 * time.Second}} {
		inHomes(t, c.opts, NATOptions{}, func(t *testing.T, w *homes) {
			a, s := listenPacket(t, w.a, wild(5)), listenPacket(t, w.s, wild(1))
			seen := tells(t, a, at(public, 1), s)
			for range 5 { // what comes in keeps nothing alive
				time.Sleep(c.want/5 - time.Second)
				if !tells(t, s, seen, a).IsValid() {
					t.Fatal("the mapping has died early")
				}
			}
			if n := w.x.Mappings(); n != 1 {
				t.Errorf("%d mappings, want 1", n)
			}
			time.Sleep(5 * time.Second)
			if tells(t, s, seen, a).IsValid() || w.x.Mappings() != 0 {
				t.Error("the mapping outlived its timeout")
			}
			if again := tells(t, a, at(public, 1), s); again == seen || !again.IsValid() {
				t.Errorf("a new mapping has port %v, the old one had %v", again, seen)
			}
		})
	}
}

func TestRebindChangesPorts(t *testing.T) {
	inHomes(t, NATOptions{Ports: 8}, NATOptions{}, func(t *testing.T, w *homes) {
		var socks []net.PacketConn
		for i := range uint16(4) {
			socks = append(socks, listenPacket(t, w.a, wild(5+i)))
		}
		s := listenPacket(t, w.s, wild(1))
		old := map[netip.AddrPort]bool{}
		for _, c := range socks {
			old[tells(t, c, at(public, 1), s)] = true
		}
		w.x.Rebind()
		if n := w.x.Mappings(); n != 0 || len(old) != 4 {
			t.Fatalf("%d mappings after Rebind, %d ports before", n, len(old))
		}
		for _, c := range socks {
			if now := tells(t, c, at(public, 1), s); old[now] || !now.IsValid() {
				t.Errorf("after Rebind s sees %v, which was dropped", now)
			}
		}
		w.x.SetAddr(netip.MustParseAddr("198.51.100.99"))
		if now := tells(t, socks[0], at(public, 1), s); now.Addr().String() != "198.51.100.99" || w.x.Addr() != now.Addr() {
			t.Errorf("with a new address s sees %v", now)
		}
	})
}

func TestNATRunsOutOfPorts(t *testing.T) {
	inHomes(t, NATOptions{Ports: 2}, NATOptions{}, func(t *testing.T, w *homes) {
		s := listenPacket(t, w.s, wild(1))
		one, two, three := listenPacket(t, w.a, wild(5)), listenPacket(t, w.a, wild(6)), listenPacket(t, w.a, wild(7))
		first, other := tells(t, one, at(public, 1), s), tells(t, two, at(public, 1), s)
		if !first.IsValid() || !other.IsValid() || first == other {
			t.Fatalf("s sees %v and %v", first, other)
		}
		if tells(t, three, at(public, 1), s).IsValid() || w.Stats().NAT != 1 {
			t.Errorf("a third socket got a port of two, NAT = %d", w.Stats().NAT)
		}
		l := listen(t, w.s, wild(80))
		dial(t, w.a, at(public, 80)) // ports of another protocol
		accept(t, l)
		time.Sleep(2 * time.Minute)
		if !tells(t, three, at(public, 1), s).IsValid() {
			t.Error("ports of mappings that timed out are not used again")
		}
	})
}

func TestPrivateAddressesOverlap(t *testing.T) {
	inHomes(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes) {
		neighbour := w.x.Host("neighbour", prefix(second))
		a, b, n := listenPacket(t, w.a, wild(5)), listenPacket(t, w.b, wild(5)), listenPacket(t, neighbour, wild(5))
		s := listenPacket(t, w.s, wild(1))
		seenA, seenB := tells(t, a, at(public, 1), s), tells(t, b, at(public, 1), s)
		if seenA.Addr() != outerX || seenB.Addr() != outerY {
			t.Errorf("s sees %v and %v", seenA, seenB)
		}
		send(t, s, "for a", seenA)
		send(t, s, "for b", seenB)
		if text, _ := hear(t, a, time.Second); text != "for a" {
			t.Errorf("a hears %q", text)
		}
		if text, _ := hear(t, b, time.Second); text != "for b" {
			t.Errorf("b hears %q", text)
		}
		if from := tells(t, a, at(second, 5), n); from != at(private, 5) {
			t.Errorf("the neighbour sees %v, want the private address", from)
		}
		if tells(t, b, at(second, 5), n).IsValid() || w.Stats().NoRoute != 1 {
			t.Error("b reaches a private address behind another NAT")
		}
		if tells(t, s, at(private, 5), a).IsValid() || w.Stats().NoRoute != 2 {
			t.Error("a private address is reached from the internet")
		}
	})
}

func TestHairpin(t *testing.T) {
	for _, hairpin := range []bool{false, true} {
		inHomes(t, NATOptions{Hairpin: hairpin}, NATOptions{}, func(t *testing.T, w *homes) {
			neighbour := w.x.Host("neighbour", prefix(second))
			a, n, s := listenPacket(t, w.a, wild(5)), listenPacket(t, neighbour, wild(5)), listenPacket(t, w.s, wild(1))
			seenA, seenN := tells(t, a, at(public, 1), s), tells(t, n, at(public, 1), s)
			if from := tells(t, a, seenN, n); from.IsValid() != hairpin || hairpin && from != seenA {
				t.Errorf("hairpin %v: the neighbour sees %v, a is %v outside", hairpin, from, seenA)
			}
		})
	}
}

func TestStreamsThroughANAT(t *testing.T) {
	inHomes(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes) {
		l := listen(t, w.s, wild(80))
		c, c2 := dial(t, w.a, at(public, 80)), dial(t, w.a, at(public, 80))
		s, s2 := accept(t, l), accept(t, l)
		if got := s.RemoteAddr().(*net.TCPAddr).IP.String(); got != outerX.String() || s.RemoteAddr().String() == s2.RemoteAddr().String() {
			t.Errorf("the server sees %v and %v", s.RemoteAddr(), s2.RemoteAddr())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := w.u.Dial(ctx, netip.Addr{}, netip.MustParseAddrPort(s.RemoteAddr().String()))
		wantErr(t, "a stranger's dial of a connection's port", err, context.DeadlineExceeded)
		write(t, c, "ping")
		write(t, c2, "second")
		write(t, s, "pong")
		if read(t, s) != "ping" || read(t, s2) != "second" || read(t, c) != "pong" {
			t.Error("streams got mixed up")
		}
		ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		listen(t, w.a, wild(80))
		_, err = w.s.Dial(ctx, netip.Addr{}, at(outerX, 80))
		wantErr(t, "dial of a host behind a NAT", err, context.DeadlineExceeded)
		if w.Stats().NAT == 0 {
			t.Error("the handshakes are not counted")
		}
		_, err = w.a.Dial(t.Context(), netip.Addr{}, at(public, 81))
		wantErr(t, "dial without a listener", err, syscall.ECONNREFUSED)
		time.Sleep(2 * time.Hour)
		write(t, c, "still there")
		if read(t, s) != "still there" {
			t.Error("an idle connection has died within two hours")
		}
	})
}

func TestMappingsOfStreamsEnd(t *testing.T) {
	inHomes(t, NATOptions{TCPTimeout: time.Hour}, NATOptions{}, func(t *testing.T, w *homes) {
		l := listen(t, w.s, wild(80))
		both, half, reset := dial(t, w.a, at(public, 80)), dial(t, w.a, at(public, 80)), dial(t, w.a, at(public, 80))
		servers := []*stream{accept(t, l), accept(t, l), accept(t, l)}
		closeQuietly(t, both)
		closeQuietly(t, servers[0])
		if err := half.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		reset.Abort()
		check := func(after time.Duration, want int) {
			t.Helper()
			time.Sleep(after)
			if n := w.x.Mappings(); n != want {
				t.Errorf("%d mappings, want %d", n, want)
			}
		}
		check(time.Second, 3)
		check(5*time.Minute, 1) // a half-closed connection is one
		ctx, cancel := context.WithTimeout(t.Context(), synRetry/2)
		defer cancel()
		heal := w.Cut(w.s, w.a)
		_, err := w.a.Dial(ctx, netip.Addr{}, at(public, 80))
		wantErr(t, "a dial without an answer", err, context.DeadlineExceeded)
		heal()
		check(0, 2)
		check(5*time.Minute, 1) // nobody ever answered
		_, err = w.a.Dial(t.Context(), netip.Addr{}, at(public, 81))
		wantErr(t, "a dial without a listener", err, syscall.ECONNREFUSED)
		check(0, 2)
		check(5*time.Minute, 1)
		check(time.Hour, 0)
		write(t, servers[1], "too late")
		_ = half.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := half.Read(make([]byte, 1)); !isTimeout(err) {
			t.Errorf("read through a mapping that timed out: %v", err)
		}
	})
}

func TestRebindResetsStreams(t *testing.T) {
	inHomes(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes) {
		l := listen(t, w.s, wild(80))
		c := dial(t, w.a, at(public, 80))
		s := accept(t, l)
		w.x.Rebind()
		write(t, s, "nobody is there")
		time.Sleep(time.Minute)
		write(t, c, "who are you?")
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ECONNRESET)
		_ = s.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := s.Read(make([]byte, 1)); !isTimeout(err) {
			t.Errorf("the server read %v, want silence", err)
		}
	})
}

func TestRebindDuringAHandshake(t *testing.T) {
	inHomes(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes) {
		l := listen(t, w.s, wild(80))
		heal := w.Cut(w.s, w.a) // the first answer is lost
		time.AfterFunc(testLatency*2, func() {
			w.x.Rebind()
			heal()
		})
		c := dial(t, w.a, at(public, 80))
		s := accept(t, l)
		write(t, c, "ping")
		write(t, s, "pong")
		if read(t, s) != "ping" || read(t, c) != "pong" {
			t.Error("the stream does not work")
		}
	})
}

// A port that is forwarded inwards alone: what its host sends unasked comes from another one.
func TestPortsForwardedInwards(t *testing.T) {
	inHomes(t, NATOptions{Kind: PortRestricted, ForwardsIn: true, Timeout: time.Minute}, NATOptions{}, func(t *testing.T, w *homes) {
		w.x.Forward(UDP, 8085, w.a, 5)
		a, s, other := listenPacket(t, w.a, wild(5)), listenPacket(t, w.s, wild(1)), listenPacket(t, w.s, wild(2))
		from := tells(t, a, at(public, 1), s)
		if !from.IsValid() || from == at(outerX, 8085) {
			t.Errorf("unasked a sends from %v", from)
		}
		if tells(t, other, from, a).IsValid() {
			t.Error("that port lets in others")
		}
		if from := tells(t, other, at(outerX, 8085), a); from != at(public, 2) {
			t.Errorf("a hears %v", from)
		}
		if from := tells(t, a, at(public, 2), other); from != at(outerX, 8085) {
			t.Errorf("the answer comes from %v", from)
		}
		time.Sleep(time.Minute)
		if from := tells(t, a, at(public, 2), other); from == at(outerX, 8085) {
			t.Error("what is no answer any more comes from there too")
		}
	})
}

func TestForwardedPorts(t *testing.T) {
	inHomes(t, NATOptions{Kind: Symmetric, Hairpin: true}, NATOptions{}, func(t *testing.T, w *homes) {
		undo := w.x.Forward(UDP, 8085, w.a, 5)
		w.x.Forward(TCP, 443, w.a, 80)
		a, s := listenPacket(t, w.a, wild(5)), listenPacket(t, w.s, wild(1))
		if from := tells(t, s, at(outerX, 8085), a); from != at(public, 1) {
			t.Errorf("a hears %v, want s", from)
		}
		if from := tells(t, a, at(public, 1), s); from != at(outerX, 8085) {
			t.Errorf("the answer comes from %v, want the forwarded port", from)
		}
		l := listen(t, w.a, wild(80))
		c := dial(t, w.b, at(outerX, 443)) // itself behind a NAT
		in := accept(t, l)
		if in.LocalAddr().String() != "192.168.1.2:80" || in.RemoteAddr().(*net.TCPAddr).IP.String() != outerY.String() {
			t.Errorf("a accepted %v from %v", in.LocalAddr(), in.RemoteAddr())
		}
		write(t, c, "ping")
		write(t, in, "pong")
		if read(t, in) != "ping" || read(t, c) != "pong" {
			t.Error("the stream does not work")
		}
		neighbour := w.x.Host("neighbour", prefix(second))
		dial(t, neighbour, at(outerX, 443)) // and back in
		accept(t, l)
		w.a.SetAddrs(prefix(netip.MustParseAddr("192.168.1.77")))
		if from := tells(t, s, at(outerX, 8085), a); from != at(public, 1) {
			t.Errorf("at its new address a hears %v, want s", from)
		}
		undo()
		if tells(t, s, at(outerX, 8085), a).IsValid() {
			t.Error("the port is forwarded still")
		}
	})
}

// inCarrier is two homes behind one carrier's NAT: x and y have addresses of the carrier's network.
func inCarrier(t *testing.T, home, carrier NATOptions, f func(t *testing.T, w *homes, cgn *NAT)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &homes{World: New(1, steady())}
		w.s, w.u = w.Host("s", prefix(public)), w.Host("u", prefix(public2))
		cgn := w.NAT("carrier", outerX, carrier)
		w.x = cgn.NAT("x", netip.MustParseAddr("100.64.0.1"), home)
		w.y = cgn.NAT("y", netip.MustParseAddr("100.64.0.2"), home)
		w.a, w.b = w.x.Host("a", prefix(private)), w.y.Host("b", prefix(private))
		t.Cleanup(runWorld(t, w.World))
		f(t, w, cgn)
	})
}

func TestNATBehindNAT(t *testing.T) {
	inCarrier(t, NATOptions{Kind: PortRestricted}, NATOptions{Kind: FullCone, Hairpin: true}, func(t *testing.T, w *homes, cgn *NAT) {
		a, b := listenPacket(t, w.a, wild(5)), listenPacket(t, w.b, wild(5))
		s, u := listenPacket(t, w.s, wild(1)), listenPacket(t, w.u, wild(1))
		seenA, seenB := tells(t, a, at(public, 1), s), tells(t, b, at(public, 1), s)
		if seenA.Addr() != outerX || seenB.Addr() != outerX || seenA == seenB {
			t.Fatalf("s sees %v and %v, want two ports of the carrier", seenA, seenB)
		}
		if from := tells(t, s, seenA, a); from != at(public, 1) {
			t.Errorf("a hears %v, want s", from)
		}
		if tells(t, u, seenA, a).IsValid() {
			t.Error("the inner NAT lets in what the outer one does")
		}
		send(t, b, "opens", seenA)
		if from := tells(t, a, seenB, b); from != seenA {
			t.Errorf("b hears %v, want a by the carrier's hairpin, %v", from, seenA)
		}
		l := listen(t, w.s, wild(80))
		c := dial(t, w.a, at(public, 80))
		in := accept(t, l)
		write(t, c, "ping")
		write(t, in, "pong")
		if read(t, in) != "ping" || read(t, c) != "pong" {
			t.Error("the stream does not work")
		}
		if cgn.Mappings() != 3 || w.x.Mappings() != 2 {
			t.Errorf("%d mappings at the carrier, %d at home, want 3 and 2", cgn.Mappings(), w.x.Mappings())
		}
		cgn.Rebind()
		hear(t, a, time.Second) // from b
		if tells(t, s, seenA, a).IsValid() {
			t.Error("the carrier's mapping is still there")
		}
		if again := tells(t, a, at(public, 1), s); !again.IsValid() || again == seenA {
			t.Errorf("after Rebind s sees %v", again)
		}
	})
}

func TestCarrierWithoutHairpin(t *testing.T) {
	inCarrier(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes, _ *NAT) {
		a, b, s := listenPacket(t, w.a, wild(5)), listenPacket(t, w.b, wild(5)), listenPacket(t, w.s, wild(1))
		tells(t, a, at(public, 1), s)
		if tells(t, a, tells(t, b, at(public, 1), s), b).IsValid() {
			t.Error("a hairpin that is off works")
		}
	})
}

// TestPortsDependOnTheHostAlone: the same seed gives the same ports, whoever else is behind the NAT.
func TestPortsDependOnTheHostAlone(t *testing.T) {
	ports := func(seed uint64, also bool) (got string) {
		synctest.Test(t, func(t *testing.T) {
			w := New(seed, steady())
			s := w.Host("s", prefix(public))
			x := w.NAT("x", outerX, NATOptions{Kind: Symmetric})
			a := x.Host("a", prefix(private))
			t.Cleanup(runWorld(t, w))
			sock := listenPacket(t, a, wild(5))
			var other net.PacketConn
			if also {
				other = listenPacket(t, x.Host("also", prefix(second)), wild(5))
			}
			for i := range uint16(10) {
				in := listenPacket(t, s, wild(100+i))
				if also {
					send(t, other, "x", at(public, 100+i))
					hear(t, in, time.Second)
				}
				got += fmt.Sprint(tells(t, sock, at(public, 100+i), in).Port(), " ")
			}
		})
		return got
	}
	one := ports(1, false)
	if two := ports(1, false); one != two {
		t.Errorf("seed 1 gave %s and %s", one, two)
	}
	if two := ports(1, true); one != two {
		t.Errorf("with another host %s, alone %s", two, one)
	}
	if other := ports(2, false); one == other {
		t.Errorf("seeds 1 and 2 gave %s", one)
	}
}

// TestPathsGoThroughNATs: links, cuts and partitions are between hosts, whatever is in between.
func TestPathsGoThroughNATs(t *testing.T) {
	inHomes(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes) {
		a, s := listenPacket(t, w.a, wild(5)), listenPacket(t, w.s, wild(1))
		seen := tells(t, a, at(public, 1), s)
		w.SetLink(w.s, w.a, Link{Latency: time.Second})
		start := time.Now()
		tells(t, s, seen, a)
		wantTook(t, "a link to a host behind a NAT", time.Since(start), time.Second, 1)
		for _, heal := range []func(){w.Isolate(w.a), w.Cut(w.s, w.a), w.Partition([]*Host{w.s})} {
			if tells(t, s, seen, a).IsValid() {
				t.Error("a NAT helps across a cut")
			}
			heal()
		}
	})
}

// TestPortsTakenWhileDatagramsAreUnderWay: a datagram to a port that no host has takes the default
// link; if a host has it when the datagram gets there, partitions are asked then.
func TestPortsTakenWhileDatagramsAreUnderWay(t *testing.T) {
	for _, c := range []struct {
		name   string
		divide func(w *homes)
		pass   bool
	}{
		{"whole", func(*homes) {}, true},
		{"isolated", func(w *homes) { w.Isolate(w.u) }, false},
		{"on one side", func(w *homes) { w.Partition([]*Host{w.u, w.a, w.s}) }, true},
		{"filtered", func(w *homes) { w.SetFilter(func(from, _ *Host) bool { return from != w.u }) }, false},
		{"a filter that knows hosts alone", func(w *homes) {
			known := setOf([]*Host{w.s, w.u, w.a, w.b})
			w.SetFilter(func(from, to *Host) bool { return known[from] && known[to] })
		}, true},
	} {
		inHomes(t, NATOptions{Ports: 1}, NATOptions{}, func(t *testing.T, w *homes) {
			a, u := listenPacket(t, w.a, wild(5)), listenPacket(t, w.u, wild(1))
			c.divide(w)
			send(t, u, "early", at(outerX, natPortFirst))
			time.Sleep(testLatency / 2)
			send(t, a, "opens", at(public, 1))
			if text, _ := hear(t, a, time.Second); (text == "early") != c.pass {
				t.Errorf("%s: a hears %q", c.name, text)
			}
			if !w.Passes(w.x.place, w.a) {
				t.Errorf("%s: the partition is about a NAT", c.name)
			}
			if s := w.Stats(); (s.Blocked == 0) != c.pass || s.NAT != 0 {
				t.Errorf("%s: %+v", c.name, s)
			}
		})
	}
}

func TestTraceThroughANAT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, steady())
		w.Host("s", prefix(public))
		x := w.NAT("x", outerX, NATOptions{})
		a := x.Host("a", prefix(private))
		x.Forward(UDP, 7, a, 5)
		var got []string
		w.Trace = func(e Event) {
			got = append(got, fmt.Sprintf("%v %s %s>%s %v>%v #%d", e.Step, e.Why, e.From, e.To, e.Src, e.Dst, e.Number))
		}
		end := runWorld(t, w)
		listenPacket(t, a, wild(5))
		s := listenPacket(t, w.Host("u", prefix(public2)), wild(1))
		send(t, s, "x", at(outerX, 7))
		time.Sleep(time.Second)
		send(t, s, "x", at(outerX, 8))
		time.Sleep(time.Second)
		end()
		want := []string{
			"sent  u>a 203.0.113.2:1>198.51.100.1:7 #1",
			"delivered  u>a 203.0.113.2:1>192.168.1.2:5 #1",
			"sent  u>x 203.0.113.2:1>198.51.100.1:8 #1",
			"dropped nat u>x 203.0.113.2:1>198.51.100.1:8 #1",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("trace:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestHostsMove(t *testing.T) {
	inHomes(t, NATOptions{}, NATOptions{}, func(t *testing.T, w *homes) {
		ctx, cancel := context.WithCancel(t.Context())
		changes := w.a.WatchInterfaces(ctx)
		a, s := listenPacket(t, w.a, wild(5)), listenPacket(t, w.s, wild(1))
		seen := tells(t, a, at(public, 1), s)
		roamed := netip.MustParseAddr("203.0.113.50")
		w.a.Move(nil, prefix(roamed))
		select {
		case <-changes:
		case <-time.After(time.Second):
			t.Error("nobody is told that the host has moved")
		}
		if from := tells(t, a, at(public, 1), s); from != at(roamed, 5) || w.a.Behind() != nil {
			t.Errorf("on the internet s sees %v", from)
		}
		if tells(t, s, seen, a).IsValid() {
			t.Error("the old mapping follows the host")
		}
		w.a.Move(w.y, prefix(second))
		if from := tells(t, a, at(public, 1), s); from.Addr() != outerY || w.a.Behind() != w.y {
			t.Errorf("behind y s sees %v", from)
		}
		cancel()
	})
}

func TestReportsOfTheMTUThroughNATs(t *testing.T) {
	inCarrier(t, NATOptions{Kind: Symmetric}, NATOptions{Kind: PortRestricted}, func(t *testing.T, w *homes, _ *NAT) {
		w.SetDefaultLink(Link{Latency: testLatency, MTU: 1400, ICMP: true})
		w.SetFirewall(w.a, Firewall{BlockInbound: true})
		a := listenPacket(t, w.a, wild(5))
		send(t, a, strings.Repeat("x", 1400), at(public, 1))
		time.Sleep(time.Second)
		_, err := a.WriteTo(make([]byte, 1373), net.UDPAddrFromAddrPort(at(public, 1)))
		wantErr(t, "after the report", err, syscall.EMSGSIZE)
	})
}

func TestUnreachableThroughANAT(t *testing.T) {
	inHomes(t, NATOptions{Kind: Symmetric}, NATOptions{}, func(t *testing.T, w *homes) {
		c, err := w.a.DialPacket(t.Context(), at(public, 53))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeQuietly(t, c) })
		write(t, c, "question")
		_, err = c.Read(make([]byte, 1))
		wantErr(t, "Read", err, syscall.ECONNREFUSED)
	})
}

func TestNATIsOfOneFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(1, steady())
		w.Host("s", prefix(addr6))
		a := w.NAT("x", outerX, NATOptions{}).Host("a", prefix(private), netip.MustParsePrefix("fd00::1/64"))
		t.Cleanup(runWorld(t, w))
		send(t, listenPacket(t, a, netip.MustParseAddrPort("[::]:5")), "x", at(addr6, 1))
		if s := w.Stats(); s.NoRoute != 1 {
			t.Errorf("%+v, want no way for IPv6 through a NAT for IPv4", s)
		}
	})
}

func TestMistakesOfTheCaller(t *testing.T) {
	w := New(1, Options{})
	x := w.NAT("x", outerX, NATOptions{})
	a := x.Host("a", prefix(private))
	s := w.Host("s", prefix(public), prefix(private)) // another realm
	for name, mistake := range map[string]func(){
		"a name twice":             func() { w.Host("x") },
		"a NAT with a host's name": func() { w.NAT("a", outerY, NATOptions{}) },
		"an address twice":         func() { x.Host("b", prefix(private)) },
		"a NAT's address":          func() { w.Host("c", prefix(outerX)) },
		"a host's address":         func() { w.NAT("y", public, NATOptions{}) },
		"a forward to a stranger":  func() { x.Forward(UDP, 1, s, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			mistake()
		}()
	}
	if a.Name() != "a" || x.Name() != "x" {
		t.Error("names changed")
	}
}

// TestQUICSurvivesRebinding: the server follows the client to its new port.
func TestQUICSurvivesRebinding(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	inHomes(t, NATOptions{Kind: PortRestricted}, NATOptions{}, func(t *testing.T, w *homes) {
		serverTLS, clientTLS := testTLS(t)
		server := &quic.Transport{Conn: listenPacket(t, w.s, wild(8085))}
		client := &quic.Transport{Conn: listenPacket(t, w.a, wild(8085))}
		l, err := server.Listen(serverTLS, nil)
		if err != nil {
			t.Fatal(err)
		}
		echoed := make(chan error, 1)
		go func() { echoed <- echoOnce(t.Context(), l) }()
		conn, err := client.Dial(t.Context(), net.UDPAddrFromAddrPort(at(public, 8085)), clientTLS, nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			if _, err := s.Write([]byte("ping")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4)
			if n, err := s.Read(b); string(b[:n]) != "ping" {
				t.Fatalf("echo %d: %q, %v", i, b[:n], err)
			}
			w.x.Rebind()
		}
		closeQuietly(t, s)
		if err := <-echoed; err != nil {
			t.Error(err)
		}
		_ = conn.CloseWithError(0, "")
		closeQuietly(t, client)
		closeQuietly(t, server)
	})
}
