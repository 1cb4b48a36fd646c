package sim

import (
	"encoding/binary"
	"strconv"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// The types of memberlist's messages that insiders send (memberlist v0.7.0, net.go).
const (
	kindPing         = 0
	kindIndirectPing = 1
	kindSuspect      = 3
	kindAlive        = 4
	kindDead         = 5
	kindPushPull     = 6
	kindCompound     = 7
	kindUser         = 8
	kindCompress     = 9
	kindEncrypt      = 10
	kindCRC          = 12
	kindLabel        = 244
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

// usual is what memberlist says of its protocol: the lowest and highest version it speaks and the present one,
// and the same of its user's.
var usual = [6]byte{1, 5, 2, 0, 0, 0}

// aliveMessage says that a member is alive, with what it says of itself.
func aliveMessage(incarnation uint32, p gossip.Member) []byte {
	return aliveAs(incarnation, memberName(p.ID, p.Epoch), p.ID, p.Credential, usual)
}

func aliveAs(incarnation uint32, name string, id micronet.NodeID, credential []byte, versions [6]byte) []byte {
	b := fieldCount([]byte{kindAlive}, 6)
	b = appendNumber(appendText(b, "Incarnation"), incarnation)
	b = appendText(appendText(b, "Node"), name)
	return appendPlace(b, id, credential, versions)
}

// appendPlace writes the fields that alive messages and states of members have in common.
func appendPlace(b []byte, id micronet.NodeID, credential []byte, versions [6]byte) []byte {
	addr := id.Addr()
	b = appendText(appendText(b, "Addr"), string(addr.Addr().AsSlice()))
	b = appendNumber(appendText(b, "Port"), uint32(addr.Port()))
	b = appendText(appendText(b, "Meta"), string(credential))
	return appendText(appendText(b, "Vsn"), string(versions[:]))
}

// messagesOf returns the messages of a packet.
func messagesOf(packet []byte) (out [][]byte) {
	if len(packet) > 5 && packet[0] == kindCRC {
		packet = packet[5:]
	}
	if len(packet) < 2 || packet[0] != kindCompound {
		if len(packet) > 1 {
			out = append(out, packet)
		}
		return out
	}
	count := int(packet[1])
	if len(packet) < 2+2*count {
		return nil
	}
	lengths, rest := packet[2:2+2*count], packet[2+2*count:]
	for k := range count {
		n := int(binary.BigEndian.Uint16(lengths[2*k:]))
		if n < 2 || n > len(rest) {
			return out
		}
		out, rest = append(out, rest[:n]), rest[n:]
	}
	return out
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
