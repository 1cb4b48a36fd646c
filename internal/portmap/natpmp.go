package portmap

import (
	"encoding/binary"
	"net/netip"
)

// The form of NAT-PMP messages: RFC 6886, section 3.
const (
	pmpVersion     = 0
	opAddress      = 0
	opMapUDP       = 1
	pmpErrorSize   = 8
	pmpAddressSize = 12
	pmpMapSize     = 16
)

// pmpUnsupportedVersion is also what a router that knows NAT-PMP alone says to PCP (RFC 6887, appendix A).
const pmpUnsupportedVersion = 1

// pmpAddressRequest asks for the outer address.
func pmpAddressRequest() []byte { return []byte{pmpVersion, opAddress} }

// pmpMapRequest asks for a mapping of a UDP port of this host, for so many seconds; 0 deletes it. The outer port is what we would
// like best.
func pmpMapRequest(port, outer uint16, lifetime uint32) []byte {
	b := []byte{pmpVersion, opMapUDP, 0, 0}
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, outer)
	return binary.BigEndian.AppendUint32(b, lifetime)
}

// pmpAnswer is what a router says to a NAT-PMP request, or to a PCP request that it does not know.
type pmpAnswer struct {
	op       byte
	result   uint16
	epoch    uint32
	addr     netip.Addr // of opAddress
	port     uint16     // these three of opMapUDP
	outer    uint16
	lifetime uint32
}

// parsePMP reads an answer; false for anything else. Of a refusal the beginning alone counts: some routers send the request back after it.
func parsePMP(b []byte) (a pmpAnswer, ok bool) {
	if len(b) < pmpErrorSize || len(b) > pcpLargest || b[0] != pmpVersion || b[1]&answerBit == 0 {
		return a, false
	}
	a = pmpAnswer{op: b[1] &^ answerBit, result: binary.BigEndian.Uint16(b[2:]), epoch: binary.BigEndian.Uint32(b[4:])}
	switch {
	case a.result != resultSuccess:
		return a, true
	case a.op == opAddress && len(b) == pmpAddressSize:
		a.addr = netip.AddrFrom4([4]byte(b[8:]))
		return a, true
	case a.op == opMapUDP && len(b) == pmpMapSize:
		a.port, a.outer, a.lifetime = binary.BigEndian.Uint16(b[8:]), binary.BigEndian.Uint16(b[10:]), binary.BigEndian.Uint32(b[12:])
		return a, true
	}
	return a, false
}

// pmpReason says why a request was refused, in words.
func pmpReason(result uint16) string {
	switch result {
	case 2:
		return "not authorized"
	case 3:
		return "it has no connection to the outside"
	case 4:
		return "it has no resources for another mapping"
	}
	return ""
}
