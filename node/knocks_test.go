package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/sim/netsim"
)

// caller is a guest's connection as the gate sees it.
type caller struct {
	net.Conn
	from netip.AddrPort
}

func (c caller) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(c.from) }
func (c caller) CloseWrite() error    { return nil }
func (c caller) Exporter(string, []byte, int) ([]byte, error) {
	return bytes.Repeat([]byte{7}, 32), nil
}

// knock asks at a gate with a token.
func knock(g *gate, from string, token identity.Token, guest identity.Keys, now time.Time) error {
	ours, theirs := net.Pipe()
	c := caller{ours, netip.AddrPortFrom(netip.MustParseAddr(from), 4711)}
	done := make(chan error, 1)
	go func() {
		g.Serve(context.Background(), c)
		done <- ours.Close()
	}()
	_, err := identity.Join(theirs, c.Exporter, token, guest, identity.Wish{Name: "guest"}, now)
	return errors.Join(err, theirs.Close(), <-done)
}

// TestH18_BadTokensAreLimited: five guests a minute from one source may come with a token that is not good; then
// nobody from there is listened to. Each is counted, and others do not notice.
func TestH18_BadTokensAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := netsim.New(1, netsim.Options{}).Host("h")
		e := settledEstate(t, h.Env())
		drops := map[string]int{}
		env := h.Env()
		env.Events.PacketDropped = func(d micronet.PacketDrop) { drops[d.Where+": "+d.Why]++ }
		g := &gate{env: env, quiet: newLimiter()}
		g.authority.Store(e.auth)
		if err := e.invite(1); err != nil {
			t.Fatal(err)
		}
		good, used := e.open[0], e.open[1]
		guess, foreign := good, good
		guess.Secret[0] ^= 1
		foreign.Cluster[0] ^= 1
		unknown := good
		unknown.ID[0] ^= 1
		if err := e.admit(used, e.newKeys()); err != nil {
			t.Fatal(err)
		}
		const from = "192.0.2.7"
		said := map[string]bool{}
		for _, bad := range []identity.Token{guess, unknown} {
			err := knock(g, from, bad, e.newKeys(), env.Wall())
			wantError(t, "a guess", err, micronet.Refused, "not one of this cluster, or has expired")
			said[err.Error()] = true
		}
		if len(said) != 1 {
			t.Errorf("an unknown token and a wrong secret are told apart: %v", said)
		}
		wantError(t, "one used up", knock(g, from, used, e.newKeys(), env.Wall()), micronet.Refused, "has been used")
		if err := knock(g, from, foreign, e.newKeys(), env.Wall()); err == nil {
			t.Error("a token of another cluster is taken")
		}
		wantError(t, "a fifth", knock(g, from, guess, e.newKeys(), env.Wall()), micronet.Refused, "not one of this cluster")
		for range 3 {
			err := knock(g, from, good, e.newKeys(), env.Wall())
			wantError(t, "a good one after that", err, micronet.Overloaded, "too many tokens", "wait a minute")
		}
		if drops["join: bad-token"] != 5 || drops["join: too-many-bad-tokens"] != 3 || len(drops) != 2 {
			t.Errorf("counted: %v", drops)
		}
		neighbour := e.newKeys()
		if err := knock(g, "192.0.2.8", good, neighbour, env.Wall()); err != nil {
			t.Errorf("from the next address: %v", err)
		}
		time.Sleep(knockTime)
		if err := knock(g, from, good, neighbour, env.Wall()); err != nil {
			t.Errorf("a minute later: %v", err)
		}
	})
}

// Where guests come from is remembered of a bounded number; a host has all addresses of an IPv6 network.
func TestH18_SourcesAreBounded(t *testing.T) {
	var k knocks
	now := time.Now()
	source := func(s string) netip.Prefix { return sourceOf(net.UDPAddrFromAddrPort(netip.MustParseAddrPort(s))) }
	for i := range maxKnocks {
		k.bad(source(fmt.Sprintf("[2001:db8::%x]:1", i)), now)
	}
	if k.open(source("[2001:db8::ffff]:9"), now) || !k.open(source("[2001:db8:0:1::1]:9"), now) || !k.open(source("192.0.2.1:1"), now) {
		t.Error("the sources are not those of IPv6 networks")
	}
	if source("[::ffff:192.0.2.1]:1") != source("192.0.2.1:2") {
		t.Error("one host is two sources")
	}
	for i := range 3 * maxSources {
		k.bad(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32), now)
	}
	if len(k.from) > maxSources {
		t.Errorf("%d sources are remembered", len(k.from))
	}
}
