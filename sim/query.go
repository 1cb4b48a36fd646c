package sim

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/dns/dnsmessage"
)

// maxAnswer is the largest DNS answer over UDP that is read.
const maxAnswer = 1500

// askDNS asks for the A records of a name over a connected socket.
func askDNS(conn net.Conn, name string) ([]netip.Addr, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, err
	}
	q := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 1, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	raw, err := q.Pack()
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write(raw); err != nil {
		return nil, err
	}
	buf := make([]byte, maxAnswer)
	size, err := conn.Read(buf)
	if err != nil {
		return nil, err
	}
	return readAnswer(buf[:size])
}

func readAnswer(raw []byte) (out []netip.Addr, err error) {
	var m dnsmessage.Message
	if err := m.Unpack(raw); err != nil {
		return nil, err
	}
	if m.RCode != dnsmessage.RCodeSuccess {
		return nil, fmt.Errorf("the DNS server says %s", m.RCode)
	}
	for i := range m.Answers {
		if a, ok := m.Answers[i].Body.(*dnsmessage.AResource); ok {
			out = append(out, netip.AddrFrom4(a.A))
		}
	}
	return out, nil
}
