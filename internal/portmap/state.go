package portmap

import (
	"net/netip"
	"time"
)

// Kind is how it stands with a mapping.
type Kind string

// The kinds of State.
const (
	Asking   Kind = "asking"   // no answer yet, for the first time
	Granted  Kind = "granted"  //
	Silent   Kind = "silent"   // the router answers none of the protocols
	Refused  Kind = "refused"  // it answers, and grants nothing
	Unusable Kind = "unusable" // its outer address is of no use to others
)

// State is what a Keeper knows of its mapping.
type State struct {
	Kind     Kind
	Protocol string         // one of the protocols: who granted or refused
	Outer    netip.AddrPort // of Granted: where others reach us; of Unusable the address alone, with port 0
	Until    time.Time      // of Granted
	Reason   string         // of Refused, in words
}

// The protocols.
const (
	PCP    = "PCP"
	NATPMP = "NAT-PMP"
	UPnP   = "UPnP"
)
