package node

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
)

// track is a race: who was dialled when, and what became of the connections.
type track struct {
	began time.Time
	mu    sync.Mutex
	times map[string]time.Duration
	conns []*raceLane
}

// raceLane is a connection of a race.
type raceLane struct {
	tunnel.GuestConn
	name   string
	mu     sync.Mutex
	said   int
	closed bool
}

func (l *raceLane) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.GuestConn != nil {
		return l.GuestConn.Close()
	}
	return nil
}

func (l *raceLane) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.said += len(p)
	l.mu.Unlock()
	return l.GuestConn.Write(p)
}

// fake is a dial that takes a while and then ends as told.
func (r *track) fake(name string, after time.Duration, fails error) guestDial {
	return r.watch(name, func(ctx context.Context, _ netip.AddrPort, _ identity.Token) (tunnel.GuestConn, error) {
		micronet.Pause(ctx, after)
		return nil, cmp.Or(ctx.Err(), fails)
	})
}

// watch notes what a dial does.
func (r *track) watch(name string, dial guestDial) guestDial {
	return func(ctx context.Context, addr netip.AddrPort, token identity.Token) (tunnel.GuestConn, error) {
		l := &raceLane{name: name + " " + portText(addr.Port())}
		r.mu.Lock()
		if _, again := r.times[l.name]; !again {
			r.times[l.name] = time.Since(r.began)
		}
		r.mu.Unlock()
		var err error
		if l.GuestConn, err = dial(ctx, addr, token); err != nil {
			return nil, err
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.conns = append(r.conns, l)
		return l, nil
	}
}

func newTrack() *track { return &track{began: time.Now(), times: map[string]time.Duration{}} }

// TestRace: UDP has a second for itself, less where it fails; who answers there is believed; the first to get through
// wins, and only one is left.
func TestRace(t *testing.T) {
	silent := micronet.E("tunnel.dial", micronet.Timeout, "no answer to the handshake")
	local := micronet.E("tunnel.dial", micronet.Internal, "operation not permitted")
	said := micronet.E("tunnel.dial", micronet.Unauthorized, "it is another cluster").WithFix("ask for a new token")
	refused := micronet.E("tunnel.join", micronet.Unreachable, "connection refused")
	for name, c := range map[string]struct {
		udp, tcp     time.Duration // until the handshake is over
		udpErr       error
		tcpErr       error
		port         uint16 // of the token
		noTCP        bool
		dialled      string
		winner, text string
	}{
		"UDP answers":              {udp: 900 * time.Millisecond, dialled: "UDP 8085 at 0s", winner: "UDP 8085"},
		"UDP is silent":            {udp: 5 * time.Second, udpErr: silent, tcp: 100 * time.Millisecond, dialled: "TCP 8085 at 1s, UDP 8085 at 0s", winner: "TCP 8085"},
		"UDP is slow":              {udp: 1200 * time.Millisecond, tcp: 300 * time.Millisecond, dialled: "TCP 8085 at 1s, UDP 8085 at 0s", winner: "UDP 8085"},
		"UDP cannot be sent":       {udp: 0, udpErr: local, dialled: "TCP 8085 at 0s, UDP 8085 at 0s", winner: "TCP 8085"},
		"UDP is answered with no":  {udp: 100 * time.Millisecond, udpErr: said, dialled: "UDP 8085 at 0s", text: "it is another cluster"},
		"UDP is told no later":     {udp: 1100 * time.Millisecond, udpErr: said, tcp: time.Second, dialled: "TCP 8085 at 1s, UDP 8085 at 0s", text: "it is another cluster"},
		"both at the same instant": {udp: 1500 * time.Millisecond, tcp: 500 * time.Millisecond, dialled: "TCP 8085 at 1s, UDP 8085 at 0s", winner: "either"},
		"a port of the token": {
			udp: 5 * time.Second, udpErr: silent, tcpErr: refused, port: 443, dialled: "TCP 443 at 1s, TCP 8085 at 1s, UDP 8085 at 0s",
			text: "over UDP: no answer to the handshake, over TCP 8085: connection refused, over TCP 443: connection refused",
		},
		"without TCP":   {udp: 5 * time.Second, udpErr: silent, noTCP: true, dialled: "UDP 8085 at 0s", text: "no answer to the handshake"},
		"TCP knows why": {udp: 5 * time.Second, udpErr: silent, tcpErr: said, dialled: "TCP 8085 at 1s, UDP 8085 at 0s", text: "it is another cluster; ask for a new token"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newTrack()
				j := joiner{dial: r.fake("UDP", c.udp, c.udpErr), dialTCP: r.fake("TCP", c.tcp, c.tcpErr)}
				if c.noTCP {
					j.dialTCP = nil
				}
				conn, err := j.connect(t.Context(), netip.MustParseAddrPort("10.0.0.1:8085"), identity.Token{TCP: c.port})
				var dialled []string
				for n, at := range r.times {
					dialled = append(dialled, n+" at "+at.String())
				}
				slices.Sort(dialled)
				if got := strings.Join(dialled, ", "); got != c.dialled {
					t.Errorf("dialled: %s, want %s", got, c.dialled)
				}
				if c.text != "" {
					wantError(t, "the race", err, micronet.KindOf(err), c.text)
					if strings.Contains(err.Error(), "canceled") {
						t.Errorf("%v: who was called back did not fail", err)
					}
					return
				}
				r.wantOne(t, conn, c.winner)
			})
		})
	}
}

// wantOne demands that one connection is left.
func (r *track) wantOne(t *testing.T, won tunnel.GuestConn, name string) {
	t.Helper()
	if won == nil || (name != "either" && won.(*raceLane).name != name) {
		t.Fatalf("%+v won, want %s", won, name)
	}
	for _, l := range r.conns {
		if l.closed == (l == won) {
			t.Errorf("%s: closed %v", l.name, l.closed)
		}
	}
}

// TestOneRequestOfTwo: with real transports between real hosts, whichever of them is ahead, one connection carries a request:
// a token for one lets in one, and is used up.
func TestOneRequestOfTwo(t *testing.T) {
	inBubble(t, 74, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.world.SetDefaultLink(netsim.Link{Latency: 100 * time.Millisecond})
		winners := map[string]int{}
		for ms := 0; ms <= 2400; ms += 100 {
			// UDP gets through once it is let through and sent again.
			b.world.SetFirewall(all[0].host, netsim.Firewall{BlockUDP: true})
			opens := time.AfterFunc(time.Duration(ms)*time.Millisecond, func() { b.world.SetFirewall(all[0].host, netsim.Firewall{}) })
			winners[b.oneRequest(t, all[0], all[1].life())]++
			opens.Stop()
			b.world.SetFirewall(all[0].host, netsim.Firewall{})
			time.Sleep(15 * time.Second)
		}
		if winners["UDP 8085"] < 3 || winners["TCP 8085"] < 3 {
			t.Errorf("the race has one winner nearly each time: %v", winners)
		}
	})
}

// oneRequest joins from the host of another member with a token for one, and tells over what.
func (b *bubble) oneRequest(t *testing.T, a *simNode, at *life) (winner string) {
	t.Helper()
	token, err := identity.ParseToken(b.invite(a), identity.JoinToken)
	if err != nil {
		t.Fatal(err)
	}
	had, r := a.issued(), newTrack()
	j := at.joiner(below(at.tun).(GuestDialer))
	j.wish = identity.Wish{Name: "guest"}
	j.dial, j.dialTCP = r.watch("UDP", j.dial), r.watch("TCP", j.dialTCP)
	if j.keys, err = identity.NewKeys(at.env.Entropy); err != nil {
		t.Fatal(err)
	}
	if _, err := j.join(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	spoke := 0
	for _, l := range r.conns {
		if l.said > 0 {
			spoke, winner = spoke+1, l.name
		}
		if !l.closed {
			t.Errorf("%s is left open", l.name)
		}
	}
	if n := a.issued() - had; spoke != 1 || n != 1 {
		t.Errorf("%d connections carried a request, %d certificates", spoke, n)
	}
	if j.keys, err = identity.NewKeys(at.env.Entropy); err != nil {
		t.Fatal(err)
	}
	_, err = j.join(t.Context(), token)
	wantError(t, "the token again", err, micronet.Refused, "used")
	return winner
}

// issued is how many lines the log of an authority has.
func (n *simNode) issued() uint64 {
	a := n.life().gate.authority.Load()
	a.lock()
	defer a.unlock()
	return a.names.Issued
}
