package tunnel

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/micro/micro-net/sim/netsim"
)

// Over a connection with a SyscallConn quic-go sees one, over others it does not: it searches for the size
// of paths only then.
func TestPlainConnShowsSyscallConn(t *testing.T) {
	for _, search := range []bool{true, false} {
		h := netsim.New(1, netsim.Options{MTUSearch: search}).Host("h", netip.MustParsePrefix("10.0.0.1/8"))
		conn, err := h.ListenPacket(t.Context(), netip.MustParseAddrPort("10.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		_, pc, err := openSocket(&Underlay{inlet: newInlet(conn)}, conn)
		if err != nil {
			t.Fatal(err)
		}
		raw, ok := pc.(rawer)
		if ok != search {
			t.Errorf("with search %v: it has a SyscallConn: %v", search, ok)
		}
		if ok {
			if c, err := raw.SyscallConn(); c == nil || err != nil {
				t.Errorf("SyscallConn = %v, %v", c, err)
			}
		}
		if err := pc.SetReadDeadline(time.Time{}); err != nil {
			t.Error(err)
		}
		if _, isBatched := pc.(interface {
			ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error)
		}); isBatched {
			t.Error("it reads messages as a kernel's socket does")
		}
		_ = conn.Close()
	}
}
