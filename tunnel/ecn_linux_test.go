package tunnel

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// receiveECN makes a socket tell the congestion bits of what it receives.
func receiveECN(t *testing.T, raw syscall.RawConn) {
	t.Helper()
	var err4, err6 error
	if err := raw.Control(func(fd uintptr) {
		err4 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
		err6 = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
	}); err != nil || (err4 != nil && err6 != nil) {
		t.Fatal(err, err4, err6)
	}
}

// receivedECN reads them, 0 when there are none.
func receivedECN(oob []byte) byte {
	for {
		m, next, ok := nextControl(oob)
		if !ok {
			return 0
		}
		if bits, ok := congestionBits(&m); ok {
			return bits & 3
		}
		oob = next
	}
}
