package tunnel

import (
	"encoding/binary"
	"errors"
	"net/netip"
)

// messageKind is the first byte of what a frame seals. Numbers are wire values.
type messageKind uint8

const (
	messagePacket messageKind = 1 // a packet of a channel
	messageProbe  messageKind = 2 // asks for a reply
	messageReply  messageKind = 3 // echoes a probe's nonce
)

const (
	// probeWantsCredential asks the responder to attach its credential to the reply.
	probeWantsCredential = 0x01
	// probePoke tells that a packet from elsewhere gets in: it is not answered, and nobody is where it came from.
	probePoke = 0x02
	// probeComplains tells that what the sender sends for users gets no answer.
	probeComplains = 0x04
)

var (
	errMessageShort = errors.New("sealed message: too short")
	errMessageKind  = errors.New("sealed message: unknown kind")
)

// message is what a frame seals (integers are big endian):
//
//	packet  1, channel, payload
//	probe   2, flags, nonce of 8 bytes
//	reply   3, flags (0), nonce of 8 bytes, floor of 8 bytes, length of the address (0, 4 or
//	        16), address, port of 2 bytes; a number of 4 bytes that tells one count from
//	        the next, and the bytes of QUIC that came the way the probe did, modulo 2^32
//
// Bytes after a probe or a reply belong to newer versions and are skipped, as are unknown flags.
type message struct {
	kind     messageKind
	channel  Channel
	flags    byte
	payload  []byte
	nonce    uint64
	floor    uint64         // counters of the sender below it were used more than staleAfter ago
	observed netip.AddrPort // where the probe came from, zero: not told
	counts   bool           // took is told
	took     uint64         // the number of the count, and the count
}

// parseMessage takes an opened frame apart. The payload points into b.
func parseMessage(b []byte) (message, error) {
	if len(b) < 2 {
		return message{}, errMessageShort
	}
	m := message{kind: messageKind(b[0])}
	switch m.kind {
	case messagePacket:
		m.channel, m.payload = Channel(b[1]), b[2:]
		return m, nil
	case messageProbe:
		if len(b) < 10 {
			return message{}, errMessageShort
		}
		m.flags, m.nonce = b[1], binary.BigEndian.Uint64(b[2:])
		return m, nil
	case messageReply:
		return parseReply(m, b)
	}
	return message{}, errMessageKind
}

func parseReply(m message, b []byte) (message, error) {
	if len(b) < 19 {
		return message{}, errMessageShort
	}
	m.flags = b[1]
	m.nonce = binary.BigEndian.Uint64(b[2:])
	m.floor = binary.BigEndian.Uint64(b[10:])
	n, rest := int(b[18]), b[19:]
	if n != 0 {
		if (n != 4 && n != 16) || len(rest) < n+2 {
			return message{}, errMessageShort
		}
		addr, _ := netip.AddrFromSlice(rest[:n])
		m.observed = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(rest[n:]))
		rest = rest[n+2:]
	}
	if m.counts = len(rest) >= 8; m.counts {
		m.took = binary.BigEndian.Uint64(rest)
	}
	return m, nil
}

// appendMessage writes what parseMessage reads.
func appendMessage(b []byte, m *message) []byte {
	b = append(b, byte(m.kind))
	if m.kind == messagePacket {
		b = append(b, byte(m.channel))
		return append(b, m.payload...)
	}
	b = append(b, m.flags)
	b = binary.BigEndian.AppendUint64(b, m.nonce)
	if m.kind == messageProbe {
		return b
	}
	b = appendObserved(binary.BigEndian.AppendUint64(b, m.floor), m.observed)
	if m.counts {
		b = binary.BigEndian.AppendUint64(b, m.took)
	}
	return b
}

func appendObserved(b []byte, observed netip.AddrPort) []byte {
	if !observed.IsValid() {
		return append(b, 0)
	}
	addr := observed.Addr()
	b = append(b, byte(addr.BitLen()/8))
	if addr.Is4() {
		a := addr.As4()
		b = append(b, a[:]...)
	} else {
		a := addr.As16()
		b = append(b, a[:]...)
	}
	return binary.BigEndian.AppendUint16(b, observed.Port())
}
