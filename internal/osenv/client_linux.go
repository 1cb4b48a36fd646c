package osenv

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	micronet "github.com/micro/micro-net"
)

const (
	// diagRequestSize and diagAnswerSize are those of struct inet_diag_req_v2 and inet_diag_msg in
	// linux/inet_diag.h.
	diagRequestSize = 56
	diagAnswerSize  = 72
	// tcpListening is a state that a client's end never has.
	tcpListening = 10
)

// diagRequest asks the kernel for the one socket with these addresses (sock_diag(7)). Asking for all and
// choosing among them would cost as much as the host has sockets.
type diagRequest struct{ local, remote netip.AddrPort }

// Len is the size of the request.
func (diagRequest) Len() int { return diagRequestSize }

// Serialize is the request as the kernel takes it.
func (r diagRequest) Serialize() []byte {
	b := make([]byte, diagRequestSize)
	b[0], b[1] = diagFamily(r.local), unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // in any state
	binary.BigEndian.PutUint16(b[8:], r.local.Port())
	binary.BigEndian.PutUint16(b[10:], r.remote.Port())
	copy(b[12:28], r.local.Addr().AsSlice())
	copy(b[28:44], r.remote.Addr().AsSlice())
	binary.NativeEndian.PutUint64(b[48:], ^uint64(0)) // whatever its cookie
	return b
}

func diagFamily(a netip.AddrPort) byte {
	if a.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// ClientSocket asks the kernel through netlink. A socket that its process has closed is nobody's.
func (Network) ClientSocket(client, server netip.AddrPort) (micronet.Socket, bool) {
	r := diagRequest{unmapped(client), unmapped(server)}
	if !r.local.IsValid() || r.local.Addr().Is4() != r.remote.Addr().Is4() {
		return micronet.Socket{}, false
	}
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	req.AddData(r)
	answers, err := req.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if err != nil || len(answers) != 1 {
		return micronet.Socket{}, false
	}
	return r.read(answers[0])
}

// read takes the answer if it is about the very connection: where there is none, the kernel tells of a
// listener.
func (r diagRequest) read(b []byte) (micronet.Socket, bool) {
	if len(b) < diagAnswerSize || b[1] == tcpListening {
		return micronet.Socket{}, false
	}
	width := 16
	if b[0] == unix.AF_INET {
		width = 4
	}
	local, _ := netip.AddrFromSlice(b[8 : 8+width])
	remote, _ := netip.AddrFromSlice(b[24 : 24+width])
	from := netip.AddrPortFrom(local.Unmap(), binary.BigEndian.Uint16(b[4:]))
	to := netip.AddrPortFrom(remote.Unmap(), binary.BigEndian.Uint16(b[6:]))
	s := micronet.Socket{ID: uint64(binary.NativeEndian.Uint32(b[68:])), UID: int(binary.NativeEndian.Uint32(b[64:]))}
	return s, from == r.local && to == r.remote && s.ID != 0
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
