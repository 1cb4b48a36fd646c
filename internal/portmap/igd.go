package portmap

import (
	"net/netip"
	"time"
)

// portsTried is how many outer ports are asked for, one after the other, where a router says that others have them: with PCP and
// NAT-PMP it chooses one itself.
const portsTried = 8

// firstFree is the first port that no system keeps for itself.
const firstFree = 1024

// igd is what is known of a router that speaks UPnP.
type igd struct {
	described place // where it describes itself
	services  []service
	at        int  // the service that is asked
	permanent bool // it grants mappings without end alone
	taken     int  // how many ports it said others have, in this round
	again     bool // it was searched for anew in this round
}

// Found takes a datagram that the router has sent because of a search, and returns what is to be sent next, nil for nothing.
func (k *Keeper) Found(now time.Time, b []byte) *Request {
	if k.open != igdSearch {
		return nil
	}
	p, ok := parseFound(b, k.config.Router)
	if !ok {
		return nil
	}
	k.igd.described = p
	return k.ask(now, igdDescription)
}

// Fetched takes what came of a Request over HTTP: the body of the answer, whatever its status, or nil where there was none in time. Answers to
// requests that were given up are passed over.
func (k *Keeper) Fetched(now time.Time, r *Request, body []byte) *Request {
	if k.open == nothing || r == nil || r != k.last {
		return nil
	}
	if k.open == igdDescription {
		return k.describedBy(now, body)
	}
	a, ok := parseSOAP(body)
	switch {
	case !ok || (a.refusal == 0 && a.action != k.open.action()):
		return k.igdFailed(now, "it does not answer as it should")
	case k.open == igdAddress:
		return k.igdTold(now, a)
	case k.open == igdEntry:
		return k.igdLooked(now, a)
	}
	return k.igdMapped(now, a)
}

// action is what answers to the question name.
func (q question) action() string {
	switch q {
	case igdAddress:
		return actionAddress
	case igdEntry:
		return actionEntry
	}
	return actionMap
}

func (k *Keeper) describedBy(now time.Time, body []byte) *Request {
	services := parseDescription(body, k.igd.described, k.config.Router)
	if len(services) == 0 { // those that were known stay: a mapping is given back there
		return k.igdFailed(now, "it describes no service that maps ports")
	}
	k.igd.services, k.igd.at = services, 0
	return k.ask(now, igdAddress)
}

// igdFailed gives up a router that makes no sense. One with a mapping is searched for anew, once in a round: after a restart it may listen at
// another port.
func (k *Keeper) igdFailed(now time.Time, why string) *Request {
	switch {
	case k.state.Kind != Granted:
		k.retire(now, State{Kind: Refused, Protocol: UPnP, Reason: why})
	case k.igd.again:
		k.pause(now)
	default:
		k.igd.again = true
		return k.ask(now, igdSearch)
	}
	return nil
}

// igdTold takes the outer address. Services that have none are not connected. A mapping is asked for if there is none, or it may be another
// one now; else it is looked at whether the router has it still.
func (k *Keeper) igdTold(now time.Time, a soapAnswer) *Request {
	if !usable(a.addr, k.config.Client) {
		return k.igdUnusable(now, a)
	}
	moved := k.addr != a.addr
	k.addr = a.addr
	switch {
	case k.state.Kind != Granted:
		return k.ask(now, igdMap)
	case moved:
		return k.lost(now, igdMap)
	case now.Before(k.renewAt):
		return k.ask(now, igdEntry)
	}
	return k.ask(now, igdMap)
}

// igdUnusable asks the next service for its address, if there is one.
func (k *Keeper) igdUnusable(now time.Time, a soapAnswer) *Request {
	if k.igd.at+1 < len(k.igd.services) {
		k.igd.at++
		return k.ask(now, igdAddress)
	}
	switch {
	case a.addr.IsValid() && !a.addr.IsUnspecified():
		k.retire(now, State{Kind: Unusable, Protocol: UPnP, Outer: netip.AddrPortFrom(a.addr, 0)})
		return nil
	case a.refusal != 0:
		return k.igdFailed(now, reason(igdReason(a.refusal), a.refusal))
	}
	return k.igdFailed(now, "it has no connection to the outside")
}

// igdLooked takes what the router says of our mapping. One that it does not know, whatever it refuses that with, or has given to others, is asked for anew; how
// long it lasts is known only now.
func (k *Keeper) igdLooked(now time.Time, a soapAnswer) *Request {
	if a.client != k.config.Client || a.port != k.config.Port {
		return k.lost(now, igdMap)
	}
	left := time.Duration(a.seconds) * time.Second
	if end := now.Add(left); left > 0 && end.Before(k.state.Until) {
		k.state.Until = end
		if half := now.Add(k.fraction(left)); half.Before(k.renewAt) {
			k.renewAt = half
		}
	}
	k.pause(now)
	return nil
}

// igdMapped takes what the router says to the wish for a mapping.
func (k *Keeper) igdMapped(now time.Time, a soapAnswer) *Request {
	switch a.refusal {
	case 0:
		return k.granted(now, UPnP, netip.AddrPortFrom(k.addr, k.wish.Port()), uint32(lifetime/time.Second))
	case igdConflict, igdOtherMechanism:
		if k.igd.taken++; k.igd.taken < portsTried {
			k.wish = netip.AddrPortFrom(k.wish.Addr(), max(k.wish.Port()+1, firstFree))
			return k.ask(now, igdMap)
		}
	case igdOnlyPermanent, igdInvalidArgs:
		if !k.igd.permanent {
			k.igd.permanent = true
			return k.ask(now, igdMap)
		}
	}
	if k.state.Kind == Granted {
		k.pause(now)
		return nil
	}
	k.retire(now, State{Kind: Refused, Protocol: UPnP, Reason: reason(igdReason(a.refusal), a.refusal)})
	return nil
}

// igdWords are what a question of UPnP is asked with.
func (k *Keeper) igdWords(q question, seconds uint32) *Request {
	switch q {
	case igdSearch:
		return searchRequest(1 + (k.asked+1)%2)
	case igdDescription:
		return &Request{Via: HTTP, Port: k.igd.described.port, Path: k.igd.described.path}
	}
	s := k.igd.services[k.igd.at]
	switch q {
	case igdAddress:
		return soapRequest(s, actionAddress, "")
	case igdEntry:
		return soapRequest(s, actionEntry, igdEntryArguments(k.state.Outer.Port()))
	}
	if k.igd.permanent {
		seconds = 0
	}
	return soapRequest(s, actionMap, igdMapArguments(k.config.Client, k.config.Port, k.wish.Port(), seconds))
}
