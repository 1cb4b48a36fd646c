package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	micronet "github.com/micro/micro-net"
)

// Types of DNS records that doctor asks for (RFC 1035 section 3.2.2).
const (
	typeA   uint16 = 1
	typeSOA uint16 = 6
)

var typeNames = map[uint16]string{typeA: "A", typeSOA: "SOA"}

const (
	dnsHeader    = 12 // bytes (RFC 1035 section 4.1.1)
	dnsClassIN   = 1
	dnsRecursion = 1 << 8  // RD
	dnsResponse  = 1 << 15 // QR
	maxDNS       = 512     // bytes of a UDP message without EDNS0
)

// reply is what doctor looks at in a DNS message.
type reply struct{ rcode, answers int }

// lookup asks a DNS server one question over UDP. Nothing but the header of the answer matters
// here: whether the server knows the name.
func (a *app) lookup(ctx context.Context, server netip.AddrPort, name string, typ uint16) (reply, error) {
	var id [2]byte
	if _, err := a.env.Entropy.Read(id[:]); err != nil {
		return reply{}, err
	}
	query, err := dnsQuery(binary.BigEndian.Uint16(id[:]), name, typ)
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := a.env.Net.DialPacket(ctx, server)
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if _, err := c.Write(query); err != nil {
		return reply{}, err
	}
	buf := make([]byte, maxDNS)
	for {
		n, err := c.Read(buf)
		if ctx.Err() != nil {
			return reply{}, micronet.E("lookup", micronet.Timeout, "no answer within %s", probeTimeout)
		}
		if err != nil {
			return reply{}, err
		}
		if r, err := parseReply(query, buf[:n]); err == nil {
			return r, nil
		}
	}
}

func dnsQuery(id uint16, name string, typ uint16) ([]byte, error) {
	b := binary.BigEndian.AppendUint16(nil, id)
	b = binary.BigEndian.AppendUint16(b, dnsRecursion)
	b = append(b, 0, 1, 0, 0, 0, 0, 0, 0) // one question, nothing else
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if err := micronet.CheckLabel(label); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0)
	b = binary.BigEndian.AppendUint16(b, typ)
	return binary.BigEndian.AppendUint16(b, dnsClassIN), nil
}

var errNoReply = errors.New("not the answer to this question")

// parseReply reads the header of an answer to query.
func parseReply(query, msg []byte) (reply, error) {
	if len(msg) < dnsHeader || msg[0] != query[0] || msg[1] != query[1] {
		return reply{}, errNoReply
	}
	flags := binary.BigEndian.Uint16(msg[2:])
	if flags&dnsResponse == 0 {
		return reply{}, errNoReply
	}
	return reply{rcode: int(flags & 0xf), answers: int(binary.BigEndian.Uint16(msg[6:]))}, nil
}
