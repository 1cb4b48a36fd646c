package swim

import (
	"bytes"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/micro/micro-net/gossip"
)

// Whatever a packet holds, walking it neither panics nor hands out bytes from outside, and a
// claim that is accepted reads the same with memberlist's own decoder.
func FuzzPacket(f *testing.F) {
	claim := claimMessage{7, life{testID(1), 2}.String(), "x"}
	suspect := encode(f, kindSuspect, claim)
	f.Add(suspect)
	f.Add(encode(f, kindAlive, aliveOf(life{testID(1), 2})))
	f.Add(append([]byte{kindCRC, 1, 2, 3, 4}, suspect...))
	f.Add(append([]byte{kindCompound, 2, 0, byte(len(suspect)), 0, 1}, append(suspect, kindUser)...))
	f.Add(accusation{life{testID(1), 2}, 9}.message([]byte("me")))
	f.Fuzz(func(t *testing.T, packet []byte) {
		total := 0
		_ = walkPacket(packet, func(kind byte, body []byte) error {
			total += 1 + len(body)
			if isClaim(kind) {
				compareClaim(t, kind, body)
			}
			return nil
		})
		if total > len(packet) {
			t.Errorf("%d bytes of messages in a packet of %d", total, len(packet))
		}
	})
}

func compareClaim(t *testing.T, kind byte, body []byte) {
	c, err := parseClaim(kind, body)
	if err != nil {
		return
	}
	var theirs struct {
		Incarnation uint32
		Node, From  string
	}
	if err := codec.NewDecoder(bytes.NewReader(body), &codec.MsgpackHandle{}).Decode(&theirs); err != nil {
		return // memberlist drops it
	}
	if theirs.Incarnation != c.incarnation || theirs.Node != string(c.node) {
		t.Errorf("we read %d %q, memberlist %d %q", c.incarnation, c.node, theirs.Incarnation, theirs.Node)
	}
}

// A header that is accepted announces no more than the bounds, to memberlist's decoder as well.
func FuzzSyncHeader(f *testing.F) {
	f.Add(encode(f, kindPushPull, syncHeader{Nodes: 3, UserStateLen: 1000, Join: true})[1:])
	f.Add([]byte{0x81, 0xa5, 'N', 'o', 'd', 'e', 's', 0xd3, 0xff, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if checkSync(b) != nil {
			return
		}
		var h syncHeader
		if err := codec.NewDecoder(bytes.NewReader(b), &codec.MsgpackHandle{}).Decode(&h); err != nil {
			return
		}
		if h.Nodes < 0 || h.Nodes > maxSyncNodes || h.UserStateLen < 0 || h.UserStateLen > gossip.MaxState {
			t.Errorf("accepted %+v", h)
		}
	})
}

// A name that is accepted is the only spelling of its life.
func FuzzParseLife(f *testing.F) {
	f.Add(life{testID(1), 1}.String())
	f.Add(life{testID(1), maxEpoch}.String())
	f.Add(testID(1).String() + ".01")
	f.Fuzz(func(t *testing.T, name string) {
		if l, err := parseLife(name); err == nil && l.String() != name {
			t.Errorf("parseLife(%q).String() = %q", name, l)
		}
	})
}
