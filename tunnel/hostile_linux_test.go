package tunnel

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tooBig is a forged ICMP message (RFC 792, RFC 1191): a router says that a UDP packet between two addresses
// does not fit into so many bytes.
func tooBig(from, to netip.AddrPort, mtu uint16) []byte {
	quoted := make([]byte, 28)
	quoted[0], quoted[8], quoted[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(quoted[2:], 1280)
	quoted[6] = 0x40 // may not be fragmented
	a, b := from.Addr().As4(), to.Addr().As4()
	copy(quoted[12:], a[:])
	copy(quoted[16:], b[:])
	binary.BigEndian.PutUint16(quoted[10:], checksum(quoted[:20]))
	binary.BigEndian.PutUint16(quoted[20:], from.Port())
	binary.BigEndian.PutUint16(quoted[22:], to.Port())
	binary.BigEndian.PutUint16(quoted[24:], 1260)
	msg := append([]byte{3, 4, 0, 0, 0, 0, 0, 0}, quoted...)
	binary.BigEndian.PutUint16(msg[6:], mtu)
	binary.BigEndian.PutUint16(msg[2:], checksum(msg))
	return msg
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// believed is the size of the path to an address as this host's kernel believes it.
func believed(t *testing.T, to netip.AddrPort) int {
	t.Helper()
	c, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	mtu := 0
	if cerr := raw.Control(func(fd uintptr) { mtu, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	return mtu
}

// TestH6_LiesAboutThePath: a router, or somebody who says to be one, tells the kernel that hardly anything
// fits. The kernel believes it, and QUIC goes on as before, in packets of 1,200 bytes and more.
func TestH6_LiesAboutThePath(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	if err != nil {
		t.Skip("needs root to forge ICMP: ", err)
	}
	defer unix.Close(fd)
	a := newKernelNode(t, newTestKey(1), "127.66.0.1:0", "127.66.0.1")
	b := newKernelNode(t, newTestKey(2), "127.66.0.2:0", "127.66.0.2")
	a.AddPeer(b.peer())
	b.AddPeer(a.peer())
	conn := dial(t, a.transport, b.transport, b.key.id.UDPAddr())
	for _, mtu := range []uint16{1000, 500, 68, 0, 1} {
		push(t, conn, 1<<20)
		if err := unix.Sendto(fd, tooBig(a.addr, b.addr, mtu), 0, &unix.SockaddrInet4{Addr: a.addr.Addr().As4()}); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Second)
		for mtu == 1000 && believed(t, b.addr) > 1200 { // the first one: nothing else has told it
			if time.Now().After(deadline) {
				t.Skip("this kernel does not believe what it is told about loopback: nothing to show")
			}
			time.Sleep(time.Millisecond)
		}
		before := b.Counters()["quic_received"]
		push(t, conn, 1<<20)
		if packets := b.Counters()["quic_received"] - before; packets > 1<<20/800 { // some are sent twice on a busy machine
			t.Errorf("told %d: 1 MiB takes %d packets", mtu, packets)
		}
	}
}

// TestH1_GarbageFromTheKernel: datagrams of any size and content leave a connection as it was, and get no
// answer.
func TestH1_GarbageFromTheKernel(t *testing.T) {
	a := newKernelNode(t, newTestKey(1), "127.0.0.1:0", "127.0.0.1")
	b := newKernelNode(t, newTestKey(2), "127.0.0.1:0", "127.0.0.1")
	a.AddPeer(b.peer())
	b.AddPeer(a.peer())
	conn := dial(t, a.transport, b.transport, b.key.id.UDPAddr())
	push(t, conn, 64<<10)
	stranger, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(b.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	dice := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		size := []int{0, 1, 2, 3, 30, 63, 64, 65, 1199, 1200, 1500, 65_507, dice.IntN(1500)}[i%13]
		junk := make([]byte, size)
		for j := range junk {
			junk[j] = byte(dice.Uint32())
		}
		if size > 0 {
			junk[0] = byte(i) // all kinds of first bytes
		}
		_, _ = stranger.Write(junk) // a full buffer drops it
	}
	push(t, conn, 1<<20)
	if err := stranger.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := stranger.Read(make([]byte, 2048)); err == nil {
		t.Errorf("garbage is answered with %d bytes", n)
	}
	dropped := uint64(0)
	for name, n := range b.Counters() {
		if len(name) > 8 && name[:8] == "dropped_" {
			dropped += n
		}
	}
	if dropped == 0 {
		t.Error("nothing was counted")
	}
}
