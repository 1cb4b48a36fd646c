package tunnel

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Control messages travel beside a datagram: our own address (packet info), the congestion bits
// (ECN), the size at which a batch is cut (GSO). quic-go takes all peers for IPv6, the family
// of identity addresses; here its messages are put right for the real one. A dual-stack
// socket wants IPv4's messages for an IPv4 destination.

// maxControl holds what rewriteControl makes: packet info, ECN and GSO.
const maxControl = 128

// control is one control message: whole is as it stood in the buffer, padding included.
type control struct {
	level, kind int32
	body, whole []byte
}

// nextControl takes the first message off b; false when there is none, or none that is whole.
// The header is copied out: received buffers have any alignment.
func nextControl(b []byte) (c control, rest []byte, ok bool) {
	var h unix.Cmsghdr
	if len(b) < unix.SizeofCmsghdr {
		return control{}, nil, false
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&h)), unix.SizeofCmsghdr), b)
	start, size := unix.CmsgLen(0), uint64(h.Len)
	if size < uint64(start) || size > uint64(len(b)) {
		return control{}, nil, false
	}
	end := min(unix.CmsgSpace(int(size)-start), len(b)) // the last one may lack its padding
	return control{level: h.Level, kind: h.Type, body: b[start:size], whole: b[:end]}, b[end:], true
}

// cutPacketInfo removes packet info from received control messages, in place. It returns how
// many bytes are left, and our own address that the datagram came to. What cannot be read is
// cut off.
func cutPacketInfo(oob []byte) (int, netip.Addr) {
	var local netip.Addr
	kept, rest := 0, oob
	for {
		m, next, ok := nextControl(rest)
		if !ok {
			return kept, local
		}
		if a, ok := packetInfo(&m); ok {
			local = a
		} else {
			kept += copy(oob[kept:], m.whole)
		}
		rest = next
	}
}

// packetInfo reads the address of a packet info message; ok is true for every such message,
// readable or not.
func packetInfo(m *control) (addr netip.Addr, ok bool) {
	switch {
	case m.level == unix.IPPROTO_IP && m.kind == unix.IP_PKTINFO:
		if len(m.body) >= unix.SizeofInet4Pktinfo { // interface index, local address, destination
			addr = netip.AddrFrom4([4]byte(m.body[8:12]))
		}
		return addr, true
	case m.level == unix.IPPROTO_IPV6 && m.kind == unix.IPV6_PKTINFO:
		if len(m.body) >= unix.SizeofInet6Pktinfo { // address, interface index
			addr = netip.AddrFrom16([16]byte(m.body[:16])).Unmap()
		}
		return addr, true
	}
	return addr, false
}

// rewriteControl appends to dst what oob says, for a destination of IPv4 (v4) or IPv6, and
// source. Packet info in oob is left out: the path knows better.
func rewriteControl(dst, oob, source []byte, v4 bool) []byte {
	dst = append(dst, source...)
	for {
		m, next, ok := nextControl(oob)
		if !ok {
			return dst
		}
		if bits, ok := congestionBits(&m); ok {
			dst = appendCongestion(dst, bits, v4)
		} else if _, ok := packetInfo(&m); !ok {
			dst = append(dst, m.whole...)
		}
		oob = next
	}
}

// congestionBits reads an ECN message of either family. The kernel takes IP_TOS as one byte or
// as an int.
func congestionBits(m *control) (byte, bool) {
	tos := m.level == unix.IPPROTO_IP && m.kind == unix.IP_TOS
	class := m.level == unix.IPPROTO_IPV6 && m.kind == unix.IPV6_TCLASS
	switch {
	case !tos && !class:
		return 0, false
	case len(m.body) >= 4:
		return byte(binary.NativeEndian.Uint32(m.body)), true
	case len(m.body) >= 1:
		return m.body[0], true
	}
	return 0, true
}

func appendCongestion(b []byte, bits byte, v4 bool) []byte {
	var body [4]byte
	binary.NativeEndian.PutUint32(body[:], uint32(bits))
	if v4 {
		return appendControl(b, unix.IPPROTO_IP, unix.IP_TOS, body[:])
	}
	return appendControl(b, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, body[:])
}

// sourceControl makes the message that names our own address of an outgoing datagram. The
// interface is left to the routing table: a fixed one would outlive a change of routes.
func sourceControl(local netip.Addr) []byte {
	switch {
	case local.Is4():
		var body [unix.SizeofInet4Pktinfo]byte
		a := local.As4()
		copy(body[4:], a[:])
		return appendControl(nil, unix.IPPROTO_IP, unix.IP_PKTINFO, body[:])
	case local.Is6():
		var body [unix.SizeofInet6Pktinfo]byte
		a := local.As16()
		copy(body[:], a[:])
		return appendControl(nil, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, body[:])
	}
	return nil
}

// appendControl appends one message with its padding.
func appendControl(b []byte, level, kind int32, body []byte) []byte {
	var h unix.Cmsghdr
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(body)))
	start := len(b)
	b = append(b, unsafe.Slice((*byte)(unsafe.Pointer(&h)), unix.SizeofCmsghdr)...)
	for len(b)-start < unix.CmsgSpace(0) {
		b = append(b, 0)
	}
	b = append(b, body...)
	for len(b)-start < unix.CmsgSpace(len(body)) {
		b = append(b, 0)
	}
	return b
}

// segmentSize reads at which size a batch is cut (GSO), 0 when oob says nothing of it.
func segmentSize(oob []byte) int {
	for {
		m, rest, ok := nextControl(oob)
		if !ok {
			return 0
		}
		if m.level == unix.SOL_UDP && m.kind == unix.UDP_SEGMENT && len(m.body) >= 2 {
			return int(binary.NativeEndian.Uint16(m.body))
		}
		oob = rest
	}
}
