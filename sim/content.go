package sim

import (
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	firstCarried = 0x82 // of an envelope
	carriedAt    = 26   // where the datagram in it begins
)

// quicAlone are datagrams of QUIC: what a device drops that knows QUIC, and lets pass what it does not know.
type quicAlone struct{}

// Has implements netsim.Content.
func (quicAlone) Has(b []byte) bool { return len(b) > 0 && b[0]&quicBit != 0 }

// carriedQUIC are those in envelopes: what a relay drops that forwards the probes of others and not their data.
type carriedQUIC struct{}

// Has implements netsim.Content.
func (carriedQUIC) Has(b []byte) bool {
	return len(b) > carriedAt && b[0] == firstCarried && b[carriedAt]&quicBit != 0
}

// content is what a path drops for what is in it.
func content(d scenario.Content) netsim.Content {
	switch d {
	case scenario.QUIC:
		return quicAlone{}
	case scenario.CarriedQUIC:
		return carriedQUIC{}
	}
	return nil
}
