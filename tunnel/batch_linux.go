package tunnel

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// maxBatch is the most datagrams read in one system call; quic-go asks for 8.
const maxBatch = 8

// batchReader is recvmmsg(2) without garbage: golang.org/x/net makes two objects for each
// datagram's source address. One goroutine uses it.
type batchReader struct {
	raw     syscall.RawConn
	receive func(fd uintptr) bool // bound once, so that a call allocates nothing

	headers [maxBatch]unix.Mmsghdr
	vectors [maxBatch]unix.Iovec
	names   [maxBatch]unix.RawSockaddrInet6 // large enough for both families
	want    int
	got     int
	err     error
}

func newBatchReader(raw syscall.RawConn) *batchReader {
	r := &batchReader{raw: raw}
	r.receive = r.try
	return r
}

// read waits for datagrams and fills N, NN and Flags of the first messages.
func (r *batchReader) read(ms []ipv4.Message) (int, error) {
	r.want = min(len(ms), maxBatch)
	if r.want == 0 {
		return 0, nil
	}
	for i := range r.want {
		r.prepare(i, &ms[i])
	}
	if err := r.raw.Read(r.receive); err != nil {
		return 0, err
	}
	if r.err != nil {
		return 0, r.err
	}
	for i := range r.got {
		h := &r.headers[i]
		ms[i].N, ms[i].NN, ms[i].Flags = int(h.Len), int(h.Hdr.Controllen), int(h.Hdr.Flags)
	}
	return r.got, nil
}

func (r *batchReader) prepare(i int, m *ipv4.Message) {
	v := &r.vectors[i]
	v.Base = unsafe.SliceData(m.Buffers[0])
	v.SetLen(len(m.Buffers[0]))
	h := &r.headers[i].Hdr
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&r.names[i])), Namelen: unix.SizeofSockaddrInet6, Iov: v}
	h.SetIovlen(1)
	if len(m.OOB) > 0 {
		h.Control = unsafe.SliceData(m.OOB)
		h.SetControllen(len(m.OOB))
	}
}

// try is one system call; false makes the runtime wait until the socket is readable.
func (r *batchReader) try(fd uintptr) bool {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd,
			uintptr(unsafe.Pointer(&r.headers[0])), uintptr(r.want), 0, 0, 0)
		switch errno {
		case 0:
			r.got, r.err = int(n), nil
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			r.got, r.err = 0, os.NewSyscallError("recvmmsg", errno)
			return true
		}
	}
}

// from returns where the i-th datagram of the last read came from.
func (r *batchReader) from(i int) netip.AddrPort {
	n := &r.names[i]
	// The port is at the same place, in network order, in both families.
	port := binary.BigEndian.Uint16(unsafe.Slice((*byte)(unsafe.Pointer(&n.Port)), 2))
	if n.Family == unix.AF_INET {
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(n))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(n.Addr).Unmap(), port)
}
