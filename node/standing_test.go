package node

import (
	"net/netip"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

func TestStanding(t *testing.T) {
	eth := []micronet.Interface{{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("127.0.0.1/8")}}}
	own := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8085")}
	liar := []netip.AddrPort{own[0], own[0], netip.MustParseAddrPort("192.0.2.66:1")}
	outer := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:31000")}
	for _, c := range []struct {
		name             string
		advertise, seen  []netip.AddrPort
		called           bool
		mode             RelayMode
		relays, needsOne bool
	}{
		{"nobody has said anything", nil, nil, true, RelayAuto, false, false},
		{"in the open", nil, own, true, RelayAuto, true, false},
		{"in the open, by default", nil, own, true, "", true, false},
		{"in the open, as far as is known", nil, own, false, RelayAuto, true, true},
		{"in the open, unwilling", nil, own, true, RelayOff, false, false},
		{"behind a NAT", nil, outer, false, RelayAuto, false, true},
		{"behind a NAT, called from behind it", nil, append(own, outer...), true, RelayAuto, false, true},
		{"in the open, with a liar among three", nil, liar, true, RelayAuto, true, false},
		{"behind a NAT, willing", nil, outer, false, RelayOn, true, true},
		{"behind a NAT that forwards a port", outer, outer, true, RelayAuto, true, false},
		{"behind a NAT that should forward a port", outer, outer, false, RelayAuto, true, true},
	} {
		s := standingOf(c.advertise, eth, tunnel.Standing{Seen: c.seen, Called: c.called})
		if got := s.relays(c.mode); got != c.relays {
			t.Errorf("%s: relays %v", c.name, got)
		}
		if got := s.needsRelays(); got != c.needsOne {
			t.Errorf("%s: needs relays %v", c.name, got)
		}
	}
	hub := standingOf(nil, eth, tunnel.Standing{Dialled: true})
	if !hub.relays(RelayAuto) || hub.needsRelays() {
		t.Errorf("in the open, others come over TCP alone: %+v", hub)
	}
	hub = standingOf(nil, eth, tunnel.Standing{Dialled: true, Walled: true})
	if !hub.relays(RelayAuto) {
		t.Errorf("in the open, and one of the others is reached over TCP alone: %+v", hub)
	}
	walled := standingOf(nil, eth, tunnel.Standing{Seen: own, Called: true, Walled: true})
	if walled.relays(RelayAuto) || !walled.needsRelays() {
		t.Errorf("UDP is blocked: %+v", walled)
	}
}
