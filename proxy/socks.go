package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"

	micronet "github.com/micro/micro-net"
)

// SOCKS5, RFC 1928. Only CONNECT, only without authentication: whoever reaches the port may use it.
const (
	socksVersion = 5

	socksNoAuth      = 0x00 // section 3
	socksNoneMatches = 0xff

	socksConnect = 0x01 // section 4

	socksIPv4   = 0x01 // section 5
	socksDomain = 0x03
	socksIPv6   = 0x04
)

// socksReply is the answer's code (section 6).
type socksReply uint8

const (
	socksOK              socksReply = 0x00
	socksGeneral         socksReply = 0x01
	socksNotAllowed      socksReply = 0x02
	socksHostUnreachable socksReply = 0x04
	socksRefused         socksReply = 0x05
	socksBadCommand      socksReply = 0x07
	socksBadAddress      socksReply = 0x08
)

// socksError is a request that is answered with a code.
type socksError struct {
	reply socksReply
	text  string
}

func (e socksError) Error() string { return e.text }

// readSOCKSMethods reads the client's first message (section 3). It reports whether the client
// can do without authentication.
func readSOCKSMethods(r *bufio.Reader) (noAuth bool, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return false, err
	}
	if head[0] != socksVersion {
		return false, fmt.Errorf("SOCKS version %d, want %d", head[0], socksVersion)
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return false, err
	}
	for _, m := range methods {
		noAuth = noAuth || m == socksNoAuth
	}
	return noAuth, nil
}

// readSOCKSRequest reads the request (section 4) and returns host and port. The error is a
// socksError when the request was read to its end and is to be answered, else the stream is lost.
func readSOCKSRequest(r *bufio.Reader) (host string, port uint16, err error) {
	var head [4]byte // version, command, reserved, address type
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", 0, err
	}
	if head[0] != socksVersion {
		return "", 0, fmt.Errorf("SOCKS version %d, want %d", head[0], socksVersion)
	}
	host, err = readSOCKSAddress(r, head[3])
	if err != nil {
		return "", 0, err
	}
	var p [2]byte
	if _, err := io.ReadFull(r, p[:]); err != nil {
		return "", 0, err
	}
	if head[1] != socksConnect {
		return "", 0, socksError{socksBadCommand, fmt.Sprintf("command %d is not supported, only CONNECT", head[1])}
	}
	if host == "" {
		return "", 0, socksError{socksGeneral, "the host name is empty"}
	}
	return host, binary.BigEndian.Uint16(p[:]), nil
}

// readSOCKSAddress reads the address (section 5). After an unknown type the length of the rest is
// unknown as well, so it is answered at once.
func readSOCKSAddress(r *bufio.Reader, kind byte) (string, error) {
	size := 0
	switch kind {
	case socksIPv4:
		size = net.IPv4len
	case socksIPv6:
		size = net.IPv6len
	case socksDomain:
		n, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		size = int(n)
	default:
		return "", socksError{socksBadAddress, fmt.Sprintf("address type %d is not supported", kind)}
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	if kind == socksDomain {
		return string(b), nil
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap().String(), nil
}

// appendSOCKSReply writes the answer (section 6). The bound address says nothing a client could
// use and stays zero.
func appendSOCKSReply(b []byte, code socksReply) []byte {
	return append(b, socksVersion, byte(code), 0, socksIPv4, 0, 0, 0, 0, 0, 0)
}

// socksCode is the answer for an error.
func socksCode(err error) socksReply {
	if e, ok := errors.AsType[socksError](err); ok {
		return e.reply
	}
	if isConnRefused(err) {
		return socksRefused
	}
	switch micronet.KindOf(err) {
	case micronet.Refused, micronet.Unauthorized:
		return socksNotAllowed
	case micronet.NotFound, micronet.Unreachable, micronet.Timeout, micronet.Overloaded:
		return socksHostUnreachable
	default:
		return socksGeneral
	}
}

// hostPort joins what a request named, for messages.
func hostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
