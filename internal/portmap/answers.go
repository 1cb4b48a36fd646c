package portmap

import (
	"fmt"
	"net/netip"
	"time"
)

// Received takes a datagram from Port of the router, and returns what is to be sent next, nil for nothing. What answers no open question is
// passed over.
func (k *Keeper) Received(now time.Time, b []byte) *Request {
	switch k.open {
	case pcpMap, pcpClock:
		if a, ok := parsePCP(b); ok {
			return k.pcp(now, a)
		}
		if a, ok := parsePMP(b); ok && a.result == pmpUnsupportedVersion && k.state.Kind != Granted {
			return k.ask(now, pmpAddress)
		}
	case pmpAddress, pmpMap:
		if a, ok := parsePMP(b); ok {
			return k.pmp(now, a)
		}
	}
	return nil
}

// pcp takes an answer of PCP.
func (k *Keeper) pcp(now time.Time, a pcpAnswer) *Request {
	switch {
	case a.op == opMap && k.open == pcpMap && k.ours(a):
		return k.pcpMapped(now, a)
	case a.op == opAnnounce && k.open == pcpClock:
		if k.epoch.take(now, a.epoch) {
			return k.lost(now, pcpMap)
		}
		k.pause(now)
	}
	return nil
}

// ours reports whether an answer is about our mapping. One that refuses may leave out what was asked.
func (k *Keeper) ours(a pcpAnswer) bool {
	if a.mapped == nil {
		return a.result != resultSuccess
	}
	return a.mapped.nonce == k.config.Nonce && a.mapped.port == k.config.Port
}

// pcpMapped takes what a router says to the wish for a mapping. Where PCP is refused NAT-PMP is tried: what one
// does not know or may not do, the other often does. A mapping that is there may last as long as it was granted for.
func (k *Keeper) pcpMapped(now time.Time, a pcpAnswer) *Request {
	switch {
	case a.result == resultSuccess:
		k.epoch.take(now, a.epoch) // what a restart has lost, this has brought back
		return k.granted(now, PCP, a.mapped.outer, a.lifetime)
	case k.state.Kind == Granted:
		k.pause(now)
		return nil
	case a.result != pcpUnsupportedVersion:
		k.refusal = State{Kind: Refused, Protocol: PCP, Reason: reason(pcpReason(a.result), int(a.result))}
		k.hold = min(time.Duration(a.lifetime)*time.Second, maxHold)
	}
	return k.ask(now, pmpAddress)
}

func reason(words string, code int) string {
	if words == "" {
		return fmt.Sprintf("code %d", code)
	}
	return words
}

// pmp takes an answer of NAT-PMP.
func (k *Keeper) pmp(now time.Time, a pmpAnswer) *Request {
	asked := byte(opAddress)
	if k.open == pmpMap {
		asked = opMapUDP
	}
	switch {
	case a.op != asked || (a.result == resultSuccess && a.op == opMapUDP && a.port != k.config.Port):
		return nil
	case a.result != resultSuccess:
		return k.refusedByPMP(now, a.result)
	}
	restarted := k.epoch.take(now, a.epoch)
	if a.op == opAddress {
		return k.told(now, a.addr, restarted)
	}
	return k.granted(now, NATPMP, netip.AddrPortFrom(k.addr, a.outer), a.lifetime)
}

// told takes the outer address. A mapping is asked for if there is none, or it may be another one now.
func (k *Keeper) told(now time.Time, addr netip.Addr, restarted bool) *Request {
	moved := k.addr != addr
	k.addr = addr
	switch {
	case !usable(addr, k.config.Client):
		k.retire(now, State{Kind: Unusable, Protocol: NATPMP, Outer: netip.AddrPortFrom(addr, 0)})
		return nil
	case k.state.Kind != Granted:
		return k.ask(now, pmpMap)
	case restarted || moved:
		return k.lost(now, pmpMap)
	case now.Before(k.renewAt):
		k.pause(now)
		return nil
	}
	return k.ask(now, pmpMap)
}

// lost asks anew for a mapping that the router has no more.
func (k *Keeper) lost(now time.Time, q question) *Request {
	if end := now.Add(lostGrace); end.Before(k.state.Until) {
		k.state.Until = end
	}
	k.renewAt = now
	return k.ask(now, q)
}

func (k *Keeper) refusedByPMP(now time.Time, result uint16) *Request {
	if k.state.Kind == Granted {
		k.pause(now)
		return nil
	}
	if k.refusal.Kind != Refused {
		k.refusal = State{Kind: Refused, Protocol: NATPMP, Reason: reason(pmpReason(result), int(result))}
	}
	return k.ask(now, igdSearch)
}

// granted takes a mapping, if it is one that others could use; else it is given back, as far as a datagram can do that.
func (k *Keeper) granted(now time.Time, by string, outer netip.AddrPort, seconds uint32) *Request {
	holds := min(time.Duration(seconds)*time.Second, maxLifetime)
	s := State{Kind: Granted, Protocol: by, Outer: outer, Until: now.Add(holds)}
	switch {
	case outer.Port() == 0 || holds < minLifetime:
		k.retire(now, State{Kind: Refused, Protocol: by, Reason: fmt.Sprintf("it grants port %d for %s", outer.Port(), holds)})
		return nil
	case !usable(outer.Addr(), k.config.Client):
		k.state = s
		giveBack := k.Withdraw()
		k.retire(now, State{Kind: Unusable, Protocol: by, Outer: netip.AddrPortFrom(outer.Addr(), 0)})
		return giveBack
	}
	k.state, k.wish, k.rest = s, outer, 0
	k.renewAt = now.Add(k.fraction(holds))
	k.pause(now)
	return nil
}
