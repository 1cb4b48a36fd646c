package portmaptest

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Router answers as a router does. It is not safe for concurrent use.
type Router struct {
	NoPCP, NoNATPMP bool   // what it does not speak; with NoPCP it says so in NAT-PMP's words
	UPnP            bool   // what it speaks besides
	Web             uint16 // where it says so over HTTP; 0: HTTPPort
	Permanent       bool   // with UPnP it grants mappings without end alone
	Refuse          byte   // a result code of PCP that every wish for a mapping gets; NAT-PMP's is 2, UPnP's 606
	Began           time.Time
	Longest         time.Duration // that it grants; 0: a day
	Inside          netip.Addr    // where hosts find it
	Outer           func() netip.Addr
	// Open has an outer port lead to an inner address and port, the wished one if it can; false where there is none. Close ends that.
	Open  func(inner netip.AddrPort, wish uint16) (outer uint16, ok bool)
	Close func(inner netip.AddrPort)

	mappings map[netip.AddrPort]*mapping
}

type mapping struct {
	nonce [12]byte
	outer uint16
	until time.Time
}

// Result codes of PCP, and what NAT-PMP has for them.
const (
	success      = 0
	unsupported  = 1
	unauthorized = 2
	malformed    = 3
	noOpcode     = 4
	noResources  = 8
	mismatch     = 12
)

const (
	day          = 24 * time.Hour
	refusedFor   = 60 // seconds
	unspecified4 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
)

// Mappings returns how many there are.
func (r *Router) Mappings(now time.Time) int {
	r.expire(now)
	return len(r.mappings)
}

// Restart loses all mappings.
func (r *Router) Restart(now time.Time) {
	for inner := range r.mappings {
		r.drop(inner)
	}
	r.Began = now
}

func (r *Router) drop(inner netip.AddrPort) {
	delete(r.mappings, inner)
	r.Close(inner)
}

func (r *Router) expire(now time.Time) {
	for inner, m := range r.mappings {
		if !now.Before(m.until) {
			r.drop(inner)
		}
	}
}

// Answer is what the router says to a datagram, nil for nothing.
func (r *Router) Answer(now time.Time, from netip.AddrPort, b []byte) []byte {
	r.expire(now)
	switch {
	case len(b) >= 2 && b[0] == 0 && b[1] < 0x80 && !r.NoNATPMP:
		return r.natpmp(now, from, b)
	case len(b) >= 24 && b[0] == 2 && b[1] < 0x80 && !r.NoPCP:
		return r.pcp(now, from, b)
	case len(b) >= 2 && b[0] != 0 && b[1] < 0x80 && !r.NoNATPMP:
		return r.head(now, b[1], unsupported)
	}
	return nil
}

// head begins an answer of NAT-PMP.
func (r *Router) head(now time.Time, op byte, result uint16) []byte {
	out := []byte{0, op | 0x80}
	out = binary.BigEndian.AppendUint16(out, result)
	return binary.BigEndian.AppendUint32(out, r.clock(now))
}

func (r *Router) clock(now time.Time) uint32 { return uint32(now.Sub(r.Began) / time.Second) }

func (r *Router) natpmp(now time.Time, from netip.AddrPort, b []byte) []byte {
	switch {
	case b[1] == 0:
		ip := r.Outer().As4()
		return append(r.head(now, 0, success), ip[:]...)
	case b[1] != 1 || len(b) != 12:
		return r.head(now, b[1], 5)
	case r.Refuse != 0:
		return r.head(now, 1, unauthorized)
	}
	inner := netip.AddrPortFrom(from.Addr(), binary.BigEndian.Uint16(b[4:]))
	asked := time.Duration(binary.BigEndian.Uint32(b[8:])) * time.Second
	m, ok := r.set(now, inner, [12]byte{}, binary.BigEndian.Uint16(b[6:]), asked)
	if !ok {
		return r.head(now, 1, 4)
	}
	out := append(r.head(now, 1, success), b[4], b[5])
	out = binary.BigEndian.AppendUint16(out, m.outer)
	return binary.BigEndian.AppendUint32(out, uint32(m.until.Sub(now)/time.Second))
}

// set makes, prolongs or ends a mapping.
func (r *Router) set(now time.Time, inner netip.AddrPort, nonce [12]byte, wish uint16, asked time.Duration) (mapping, bool) {
	m := r.mappings[inner]
	if asked == 0 {
		if m != nil {
			r.drop(inner)
		}
		return mapping{until: now}, true
	}
	longest := r.Longest
	if longest == 0 {
		longest = day
	}
	if m == nil {
		outer, ok := r.Open(inner, wish)
		if !ok {
			return mapping{}, false
		}
		m = &mapping{nonce: nonce, outer: outer}
		if r.mappings == nil {
			r.mappings = map[netip.AddrPort]*mapping{}
		}
		r.mappings[inner] = m
	}
	m.until = now.Add(min(asked, longest))
	return *m, true
}

func (r *Router) pcp(now time.Time, from netip.AddrPort, b []byte) []byte {
	op := b[1]
	client := netip.AddrFrom16([16]byte(b[8:24])).Unmap()
	switch {
	case client != from.Addr():
		return r.reply(now, b, mismatch, refusedFor)
	case op == 0:
		return r.reply(now, b[:24], success, 0)
	case op != 1:
		return r.reply(now, b, noOpcode, refusedFor)
	case len(b) < 60 || b[36] != 17:
		return r.reply(now, b, malformed, refusedFor)
	case r.Refuse != 0:
		return r.reply(now, b, r.Refuse, refusedFor)
	}
	inner := netip.AddrPortFrom(from.Addr(), binary.BigEndian.Uint16(b[40:]))
	nonce := [12]byte(b[24:36])
	if m := r.mappings[inner]; m != nil && m.nonce != nonce {
		return r.reply(now, b, unauthorized, uint32(m.until.Sub(now)/time.Second))
	}
	asked := time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	m, ok := r.set(now, inner, nonce, binary.BigEndian.Uint16(b[42:]), asked)
	if !ok {
		return r.reply(now, b, noResources, refusedFor)
	}
	out := r.reply(now, b, success, uint32(m.until.Sub(now)/time.Second))
	binary.BigEndian.PutUint16(out[42:], m.outer)
	ip := r.Outer().As4()
	copy(out[44:], unspecified4+string(ip[:]))
	return out
}

// reply makes an answer of PCP out of the request.
func (r *Router) reply(now time.Time, request []byte, result byte, seconds uint32) []byte {
	out := append([]byte(nil), request...)
	out[1] |= 0x80
	out[2], out[3] = 0, result
	binary.BigEndian.PutUint32(out[4:], seconds)
	binary.BigEndian.PutUint32(out[8:], r.clock(now))
	clear(out[12:24])
	return out
}
