package proxy

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	micronet "github.com/micro/micro-net"
)

// named is a stream that asks for whatever a hostile peer writes into its opening frame.
type named struct {
	*arrival
	service, caller string
}

func (n *named) Service() string { return n.service }
func (n *named) Caller() string  { return n.caller }

// dialLog is a network that notes where it was asked to connect to.
type dialLog struct {
	*memNet
	mu sync.Mutex
	to []netip.AddrPort
}

func (n *dialLog) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	n.to = append(n.to, to)
	n.mu.Unlock()
	return n.memNet.Dial(ctx, from, to)
}

// hostileNames are what a peer might write where the name of a service or an instance belongs.
var hostileNames = []string{
	"", "127.0.0.1", "127.0.0.1:22", "127.0.0.1:8500", "[::1]:22", "::1", "localhost", "localhost:22", "0.0.0.0:22", "0:22", ":22",
	"10.0.0.1:22", "169.254.169.254", "169.254.169.254:80", "http://169.254.169.254/latest/meta-data", "metadata.google.internal",
	"[fe80::1%eth0]:80", "[::ffff:169.254.169.254]:80", "2130706433", "0x7f000001", "127.1", "unix:///run/micro-net/api.sock",
	"/run/micro-net/api.sock", "file:///etc/passwd", "../../etc/passwd", "web:22", "web@127.0.0.1", "web.micro.internal", "web\r\nHost: x", "web\x00",
	"WEB", " web", "web ", "w\u0435b", "*", "%", "web/../api", strings.Repeat("a", 1000), "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}

// TestQ24_StreamsNameServicesOnly: whatever stands in the opening frame, a backend is where this host has
// registered it, or nowhere.
func TestQ24_StreamsNameServicesOnly(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:1")
	for _, name := range hostileNames {
		for _, as := range []string{"service", "instance"} {
			synctest.Test(t, func(t *testing.T) {
				n := &dialLog{memNet: newMemNet()}
				ln, _ := n.Listen(t.Context(), at)
				defer ln.Close()
				dropped := map[string]int{}
				r := NewReceiver(ReceiverConfig{
					Env: micronet.Env{Net: n, Events: &micronet.Events{PacketDropped: func(d micronet.PacketDrop) {
						if d.Peer == nodeID(9) {
							dropped[d.Where+" "+d.Why]++
						}
					}}},
					Locals: func(service string) []micronet.Instance {
						if service != "web" {
							return nil
						}
						return []micronet.Instance{webAt("a", 1, micronet.Passing)}
					},
				})
				caller, in := arrive("")
				hostile := &named{in, "web", ""}
				if hostile.instance = name; as == "service" {
					hostile.instance, hostile.service = "a", name
				}
				go func() {
					if c, err := ln.Accept(); err == nil {
						c.Close()
					}
				}()
				caller.CloseWrite()
				err := r.ServeInbound(t.Context(), hostile)
				if as == "instance" { // a hint that leads nowhere is no harm: the service is the one asked for
					if err != nil || len(n.to) != 1 || n.to[0] != at {
						t.Errorf("instance %q: %v, connected to %v, want %v", name, err, n.to, at)
					}
					return
				}
				if verdict := <-in.verdict; micronet.KindOf(verdict) != micronet.NotFound || micronet.KindOf(err) != micronet.NotFound {
					t.Errorf("service %q: %v, %v", name, verdict, err)
				}
				if len(n.to) != 0 || dropped["proxy no-instance"] != 1 {
					t.Errorf("service %q: connected to %v, counted %v", name, n.to, dropped)
				}
			})
		}
	}
}

// TestQ25_CallersCannotPretend: the backend sees the address that stands for the node whose certificate opened
// the stream. What the caller says of itself, in the opening or in front of its payload, changes nothing, and
// nothing is put in front of the payload that a program could take for our word.
func TestQ25_CallersCannotPretend(t *testing.T) {
	standsFor := map[micronet.NodeID]netip.Addr{nodeID(8): netip.MustParseAddr("127.88.0.8"), nodeID(9): netip.MustParseAddr("127.88.0.9")}
	for name, c := range map[string]struct{ caller, says string }{
		"PROXY, version 1":    {"", "PROXY TCP4 127.88.0.8 127.0.0.1 1 2\r\n"},
		"PROXY, version 2":    {"", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x58\x00\x08\x7f\x00\x00\x01\x00\x01\x00\x02"},
		"X-Forwarded-For":     {"", "GET / HTTP/1.1\r\nHost: web\r\nX-Forwarded-For: 127.88.0.8\r\nForwarded: for=127.88.0.8\r\nX-Real-IP: 127.88.0.8\r\n\r\n"},
		"an address as name":  {"127.88.0.8", "x"},
		"another node's name": {nodeID(8).String(), "x"},
		"a certificate":       {"", "X-Forwarded-Client-Cert: Hash=00;URI=spiffe://main/node/b\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				ln, _ := n.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"))
				defer ln.Close()
				r := NewReceiver(ReceiverConfig{
					Env:       micronet.Env{Net: n, Host: micronet.Host{OS: "linux"}},
					Locals:    func(string) []micronet.Instance { return []micronet.Instance{webAt("a", 1, micronet.Passing)} },
					LocalFrom: func(c micronet.Caller) netip.Addr { return standsFor[c.Node] },
				})
				caller, in := arrive("a")
				go r.ServeInbound(t.Context(), &named{in, "web", c.caller})
				_, _ = io.WriteString(caller, c.says)
				caller.CloseWrite()
				backend, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer backend.Close()
				if got := micronet.AddrPortOf(backend.RemoteAddr()).Addr(); got != standsFor[nodeID(9)] {
					t.Errorf("the backend sees %v, want %v", got, standsFor[nodeID(9)])
				}
				if got, err := io.ReadAll(backend); string(got) != c.says || err != nil {
					t.Errorf("the backend reads %q, %v", got, err)
				}
			})
		})
	}
}

// TestH24_IdleConnectionsAreCheap: ten thousand connections on which nothing happens.
func TestH24_IdleConnectionsAreCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory would be measured")
	}
	const many, most = 10_000, 16 << 10
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	copier := &Copier{}
	ends := make([][4]*memConn, many) // the program's side, ours, ours, the backend's
	for i := range ends {
		e := &ends[i]
		e[0], e[1] = memPair(netip.AddrPort{}, netip.AddrPort{})
		e[3], e[2] = memPair(netip.AddrPort{}, netip.AddrPort{})
		for _, c := range []*memConn{e[0], e[3]} { // each connection has carried something
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	}
	var wg sync.WaitGroup
	before := used()
	for _, e := range ends {
		wg.Go(func() { copier.Pump(e[1], e[2]) })
	}
	for _, e := range ends {
		for _, c := range []*memConn{e[0], e[3]} {
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	}
	each := (used() - before) / many
	t.Logf("an idle connection takes %d bytes", each)
	if each > most {
		t.Errorf("an idle connection takes %d bytes, want at most %d", each, most)
	}
	for _, e := range ends {
		e[0].Abort()
		e[3].Abort()
	}
	wg.Wait()
}
