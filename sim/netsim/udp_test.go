package netsim

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestDatagramTakesTheLatency(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		start := time.Now()
		send(t, a, "hello", at(addrB, 8085))
		text, from := hear(t, b, time.Second)
		if text != "hello" || from != at(addrA, 8085) {
			t.Errorf("b heard %q from %v, want hello from %v", text, from, at(addrA, 8085))
		}
		wantTook(t, "a datagram", time.Since(start), testLatency, 1)
	})
}

func TestDatagramsOfOneInstantKeepTheirOrder(t *testing.T) {
	opts := steady()
	opts.Link.Jitter = 5 * time.Millisecond
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		for i := range 100 {
			send(t, a, fmt.Sprint(i), at(addrB, 8085))
		}
		for i := range 100 {
			if text, _ := hear(t, b, time.Second); text != fmt.Sprint(i) {
				t.Fatalf("heard %q, want %d", text, i)
			}
		}
	})
}

// arrivals sends n datagrams from a to b and returns which arrived, in order.
func arrivals(t *testing.T, seed uint64, link Link, n int, alsoC bool) (got string) {
	inWorld(t, seed, Options{Link: link}, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		c := listenPacket(t, w.c, wild(8085))
		for i := range n {
			send(t, a, fmt.Sprint(i), at(addrB, 8085))
			if alsoC {
				send(t, c, "noise", at(addrA, 8085))
				send(t, a, "noise", at(addrC, 8085))
			}
			time.Sleep(time.Millisecond)
			synctest.Wait()
		}
		var all []string
		for {
			text, _ := hear(t, b, time.Second)
			if text == "" {
				break
			}
			all = append(all, text)
		}
		got = strings.Join(all, " ")
	})
	return got
}

func TestSameSeedSameFates(t *testing.T) {
	link := Link{Latency: testLatency, Jitter: time.Millisecond, Loss: 0.2, Duplicate: 0.1, Reorder: 0.1}
	one := arrivals(t, 7, link, 200, false)
	if two := arrivals(t, 7, link, 200, false); one != two {
		t.Errorf("seed 7 gave\n%s\nand\n%s", one, two)
	}
	if other := arrivals(t, 7, link, 200, true); one != other {
		t.Errorf("traffic of another host changed fates:\n%s\nand\n%s", one, other)
	}
	if eight := arrivals(t, 8, link, 200, false); one == eight {
		t.Error("seeds 7 and 8 gave the same fates")
	}
}

func TestReorderAndDuplicateAreSeen(t *testing.T) {
	if got := arrivals(t, 1, Link{Duplicate: 1}, 2, false); got != "0 0 1 1" {
		t.Errorf("arrived %q, want each twice", got)
	}
	inOrder := arrivals(t, 1, Link{Latency: testLatency}, 50, false)
	if got := arrivals(t, 1, Link{Latency: testLatency, Reorder: 0.3}, 50, false); got == inOrder ||
		len(strings.Fields(got)) != 50 {
		t.Errorf("arrived %q, want 50 out of order", got)
	}
}

func TestInboxIsBounded(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		for i := range inboxMax + 10 {
			send(t, a, fmt.Sprint(i), at(addrB, 8085))
		}
		time.Sleep(time.Second)
		if s := w.Stats(); s.Overflow != 10 || s.Delivered != inboxMax || s.Sent != inboxMax+10 {
			t.Errorf("stats = %+v, want 10 of %d dropped", s, inboxMax+10)
		}
		if text, _ := hear(t, b, time.Second); text != "0" {
			t.Errorf("first = %q, want the oldest: the newest are dropped", text)
		}
	})
}

func TestMTULosesLargeDatagrams(t *testing.T) {
	opts := steady()
	opts.Link.MTU = 1280
	inWorld(t, 1, opts, func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		send(t, a, strings.Repeat("x", 1253), at(addrB, 8085))
		send(t, a, strings.Repeat("y", 1252), at(addrB, 8085))
		if text, _ := hear(t, b, time.Second); !strings.HasPrefix(text, "y") {
			t.Error("1252 bytes and 28 of headers did not pass an MTU of 1280")
		}
		if n := w.Stats().TooBig; n != 1 {
			t.Errorf("TooBig = %d, want 1", n)
		}
	})
}

func TestPartitionHealAndOneWayCut(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		c := listenPacket(t, w.c, wild(8085))
		passes := func(from net.PacketConn, to netip.Addr, at2 net.PacketConn) bool {
			send(t, from, "x", at(to, 8085))
			text, _ := hear(t, at2, time.Second)
			return text == "x"
		}
		check := func(step string, ab, ba, bc bool) {
			t.Helper()
			if got := [3]bool{passes(a, addrB, b), passes(b, addrA, a), passes(b, addrC, c)}; got != [3]bool{ab, ba, bc} {
				t.Errorf("%s: a→b, b→a, b→c = %v, want %v", step, got, [3]bool{ab, ba, bc})
			}
		}
		check("at first", true, true, true)
		w.Partition([]*Host{w.a})
		check("a isolated", false, false, true)
		w.Partition([]*Host{w.a, w.b}, []*Host{w.c})
		check("c apart", true, true, false)
		w.Heal()
		check("healed", true, true, true)
		w.Cut(w.a, w.b)
		check("one way cut", false, true, true)
		w.Heal()
		w.SetLink(w.b, w.a, Link{Blocked: true})
		check("link blocked", true, false, true)
	})
}

func TestSetLinkIsOneDirection(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		a, b := listenPacket(t, w.a, wild(8085)), listenPacket(t, w.b, wild(8085))
		w.SetLink(w.a, w.b, Link{Latency: time.Second})
		start := time.Now()
		send(t, a, "x", at(addrB, 8085))
		hear(t, b, time.Minute)
		wantTook(t, "there", time.Since(start), time.Second, 1)
		start = time.Now()
		send(t, b, "x", at(addrA, 8085))
		hear(t, a, time.Minute)
		wantTook(t, "back", time.Since(start), testLatency, 1)
	})
}

func TestDatagramDeadlineAndClose(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c := listenPacket(t, w.a, wild(8085))
		b := make([]byte, 10)
		start := time.Now()
		if err := c.SetReadDeadline(start.Add(3 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _, err := c.ReadFrom(b)
		wantErr(t, "ReadFrom", err, os.ErrDeadlineExceeded)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("deadline after %v, want 3s", d)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { closeQuietly(t, c) })
		_, _, err = c.ReadFrom(b)
		wantErr(t, "ReadFrom", err, net.ErrClosed)
		_, err = c.WriteTo(b, net.UDPAddrFromAddrPort(at(addrB, 1)))
		wantErr(t, "WriteTo", err, net.ErrClosed)
		wantErr(t, "Close again", c.Close(), net.ErrClosed)
		listenPacket(t, w.a, wild(8085))
	})
}

func TestDatagramErrors(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c := listenPacket(t, w.a, wild(8085))
		_, err := w.a.ListenPacket(t.Context(), at(addrA, 8085))
		wantErr(t, "bind twice", err, syscall.EADDRINUSE)
		_, err = w.a.ListenPacket(t.Context(), at(addrB, 9))
		wantErr(t, "bind a stranger's address", err, syscall.EADDRNOTAVAIL)
		_, err = c.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::1]:9")))
		wantErr(t, "send IPv6 from IPv4", err, syscall.EAFNOSUPPORT)
		_, err = c.WriteTo(make([]byte, datagramMax+1), net.UDPAddrFromAddrPort(at(addrB, 1)))
		wantErr(t, "send too much", err, syscall.EMSGSIZE)
		d := listenPacket(t, w.a, netip.MustParseAddrPort("[::]:8086"))
		_, err = d.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("[2001:db8::1]:9")))
		wantErr(t, "send IPv6 without an address", err, syscall.ENETUNREACH)
		send(t, d, "mapped", at(netip.MustParseAddr("::ffff:10.0.0.1"), 8085))
		if text, from := hear(t, c, time.Second); text != "mapped" || from != at(addrA, 8086) {
			t.Errorf("heard %q from %v, want a v4-mapped destination to be IPv4", text, from)
		}
		w.a.SetCredentials(nobody())
		_, err = w.a.ListenPacket(t.Context(), wild(53))
		wantErr(t, "bind a privileged port", err, syscall.EACCES)
	})
}

func TestConnectedDatagrams(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		b := listenPacket(t, w.b, wild(53))
		c, err := w.a.DialPacket(t.Context(), at(addrB, 53))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeQuietly(t, c) })
		write(t, c, "question")
		_, from := hear(t, b, time.Second)
		stranger := listenPacket(t, w.c, wild(53))
		send(t, stranger, "forged", from)
		time.Sleep(time.Millisecond)
		send(t, b, "answer", from)
		if got := read(t, c); got != "answer" {
			t.Errorf("read %q, want only the peer's answer", got)
		}
		closeQuietly(t, b)
		write(t, c, "question")
		_, err = c.Read(make([]byte, 10))
		wantErr(t, "Read after the port closed", err, syscall.ECONNREFUSED)
	})
}

func TestUnreachableIsForOneLifeOfTheHost(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		c, err := w.a.DialPacket(t.Context(), at(addrB, 53))
		if err != nil {
			t.Fatal(err)
		}
		write(t, c, "question")
		w.a.Restart()
		time.Sleep(time.Second)
		if s := w.Stats(); s.NoSocket != 2 || s.Delivered != 0 {
			t.Errorf("%+v, want neither the question nor the report delivered", s)
		}
	})
}

func TestFreePortsDiffer(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		seen := map[string]bool{}
		for range 100 {
			a := listenPacket(t, w.a, wild(0)).LocalAddr()
			if port := a.(*net.UDPAddr).Port; port < ephemeralFirst || seen[a.String()] {
				t.Fatalf("port 0 gave %v", a)
			}
			seen[a.String()] = true
		}
	})
}

func TestTraceTellsThePacketsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newThree(1, steady())
		var got []string
		w.Trace = func(e Event) {
			got = append(got, fmt.Sprintf("%v %v %s %s>%s %v>%v #%d %q", e.Step, e.Proto, e.Why, e.From, e.To, e.Src, e.Dst, e.Number, e.Data))
		}
		end := runWorld(t, w.World)
		a := listenPacket(t, w.a, wild(1))
		send(t, a, "x", at(addrB, 2))
		time.Sleep(time.Second)
		send(t, a, "y", netip.MustParseAddrPort("192.0.2.1:3"))
		end()
		want := []string{
			`sent udp  a>b 10.0.0.1:1>10.0.0.2:2 #1 "x"`,
			`dropped udp no-socket a>b 10.0.0.1:1>10.0.0.2:2 #1 "x"`,
			`dropped udp no-route a> 10.0.0.1:1>192.0.2.1:3 #0 "y"`,
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("trace:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
