package sim

import (
	"encoding/binary"
	"strconv"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// The types of memberlist's messages that insiders send (memberlist v0.7.0, net.go).
const (
	kindSuspect = 3
	kindAlive   = 4
	kindDead    = 5
	kindUser    = 8
)

// Incarnations that leave their owner no room: above the first an honest node believes that it was
// attacked, and after the second it cannot count any further.
const (
	nearTheEnd = 1 << 31
	theEnd     = 1<<32 - 1
)

// memberName is how memberlist names one start of a node.
func memberName(id micronet.NodeID, epoch uint64) string {
	return id.String() + "." + strconv.FormatUint(epoch, 10)
}

// claimMessage says that a member is suspect or dead.
func claimMessage(kind byte, incarnation uint32, node, from string) []byte {
	b := fieldCount([]byte{kind}, 3)
	b = appendNumber(appendText(b, "Incarnation"), incarnation)
	b = appendText(appendText(b, "Node"), node)
	return appendText(appendText(b, "From"), from)
}

// aliveMessage says that a member is alive, with what it says of itself.
func aliveMessage(incarnation uint32, p gossip.Member) []byte {
	addr := p.ID.Addr()
	b := fieldCount([]byte{kindAlive}, 6)
	b = appendNumber(appendText(b, "Incarnation"), incarnation)
	b = appendText(appendText(b, "Node"), memberName(p.ID, p.Epoch))
	b = appendText(appendText(b, "Addr"), string(addr.Addr().AsSlice()))
	b = appendNumber(appendText(b, "Port"), uint32(addr.Port()))
	b = appendText(appendText(b, "Meta"), string(p.Credential))
	return appendText(appendText(b, "Vsn"), string([]byte{1, 5, 2, 0, 0, 0}))
}

// The forms of MessagePack that memberlist writes: a map of up to 15 fields, raw bytes of up to
// 65,535, and 32-bit numbers.
func fieldCount(b []byte, n byte) []byte { return append(b, 0x80|n) }

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(text))), text...)
}

func appendNumber(b []byte, n uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0xce), n)
}
