package portmap

import (
	"encoding/binary"
	"net/netip"
)

// The form of PCP messages: RFC 6887, sections 7.1, 7.2 and 11.1. A request is a header, then what the opcode needs; an answer
// as well, and perhaps options, of which we have asked for none.
const (
	pcpVersion  = 2
	opAnnounce  = 0
	opMap       = 1
	answerBit   = 0x80
	pcpHeader   = 24
	pcpMapSize  = pcpHeader + 36
	pcpLargest  = 1100 // section 7
	protocolUDP = 17
)

// Result codes of PCP, section 7.4. Some need more than their number.
const (
	resultSuccess         = 0
	pcpUnsupportedVersion = 1
)

// nonceSize is the length of the number that makes a mapping ours.
const nonceSize = 12

// Nonce says whose a mapping is: a router changes and deletes it only for those who know it.
type Nonce [nonceSize]byte

// pcpRequest is the header of a request.
func pcpRequest(op byte, lifetime uint32, client netip.Addr) []byte {
	b := make([]byte, pcpHeader, pcpMapSize)
	b[0], b[1] = pcpVersion, op
	binary.BigEndian.PutUint32(b[4:], lifetime)
	ip := client.As16()
	copy(b[8:], ip[:])
	return b
}

// pcpMapRequest asks for a mapping of a UDP port of this host, for so many seconds; 0 deletes it. The outer address and port are what
// we would like best.
func pcpMapRequest(client netip.Addr, port uint16, nonce Nonce, outer netip.AddrPort, lifetime uint32) []byte {
	b := append(pcpRequest(opMap, lifetime, client), nonce[:]...)
	b = append(b, protocolUDP, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, outer.Port())
	ip := netip.IPv6Unspecified().As16()
	if outer.Addr().IsValid() {
		ip = outer.Addr().As16()
	} else if client.Is4() {
		ip = netip.IPv4Unspecified().As16() // section 11.2: any, of IPv4
	}
	return append(b, ip[:]...)
}

// pcpAnswer is what a router says to a PCP request.
type pcpAnswer struct {
	op       byte
	result   byte
	lifetime uint32
	epoch    uint32
	mapped   *pcpMapped // of opMap; nil if it is left out, as it may be where the request was not understood
}

type pcpMapped struct {
	nonce Nonce
	port  uint16
	outer netip.AddrPort
}

// parsePCP reads an answer; false for anything else. Reserved bits and options are for later versions of the protocol.
func parsePCP(b []byte) (a pcpAnswer, ok bool) {
	if len(b) < pcpHeader || len(b) > pcpLargest || len(b)%4 != 0 || b[0] != pcpVersion || b[1]&answerBit == 0 {
		return a, false
	}
	a = pcpAnswer{op: b[1] &^ answerBit, result: b[3], lifetime: binary.BigEndian.Uint32(b[4:]), epoch: binary.BigEndian.Uint32(b[8:])}
	if a.op != opMap || len(b) < pcpMapSize {
		return a, true
	}
	body := b[pcpHeader:pcpMapSize]
	if body[nonceSize] != protocolUDP {
		return a, false
	}
	outer := netip.AddrFrom16([16]byte(body[20:])).Unmap()
	a.mapped = &pcpMapped{
		nonce: Nonce(body), port: binary.BigEndian.Uint16(body[16:]), outer: netip.AddrPortFrom(outer, binary.BigEndian.Uint16(body[18:])),
	}
	return a, true
}

// pcpReason says why a request was refused, in words.
func pcpReason(result byte) string {
	switch result {
	case 2:
		return "not authorized"
	case 8:
		return "it has no resources for another mapping"
	case 11:
		return "it cannot provide that address"
	case 12:
		return "it sees another address of this host: there is a NAT in between"
	case 9:
		return "it maps no UDP"
	case 10:
		return "this host has too many mappings"
	case 7:
		return "it has no connection to the outside"
	}
	return ""
}
