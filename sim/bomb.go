package sim

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"net"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/tunnel"
)

const (
	// unpacked is how many zeros are in a compressed packet, and unpackedStream in a stream.
	unpacked       = 256 << 10
	unpackedStream = 64 << 20
	// deep is how often something is within itself.
	deep = 900
	// lives are the starts of which an insider tells per round: its credentials for them are valid.
	lives = 10
)

// bomb sends packets that are small and would be large or costly to read, and members that do not exist.
func (i *insider) bomb() {
	for _, b := range i.bombs() {
		i.tell(b[:min(len(b), swim.MaxPacket)], micronet.NodeID{})
	}
	p, ok := i.parts()
	if !ok {
		return
	}
	for k := range uint64(lives) {
		id := nobody(uint64(i.rounds)*lives + k)
		i.tell(aliveAs(1, memberName(id, 1), id, p.swim.Credential, usual), micronet.NodeID{})
		i.tell(aliveAs(1, memberName(p.swim.Self, p.swim.Epoch+1+k), p.swim.Self, p.swim.Credential, usual), micronet.NodeID{})
	}
	i.tell(aliveAs(1, string(bytes.Repeat([]byte{'a'}, 900)), p.swim.Self, nil, usual), micronet.NodeID{})
}

// bombs are packets of membership.
func (i *insider) bombs() [][]byte {
	zeros := compressed(unpacked)
	nested := []byte{kindPing}
	for range 200 {
		nested = append([]byte{kindCompound, 1, byte(len(nested) >> 8), byte(len(nested))}, nested...)
	}
	arrays := bytes.Repeat([]byte{0x91}, deep)
	return [][]byte{
		zeros, nested, append([]byte{kindCRC, 0, 0, 0, 0}, zeros...), append([]byte{kindLabel, 4, 'l', 'a', 'b', 'l'}, zeros...),
		append([]byte{kindEncrypt}, arrays...), append([]byte{kindCompound, 255}, arrays...),
		{kindAlive, 0xdf, 0xff, 0xff, 0xff, 0xff},
		{kindAlive, 0xde, 0xff, 0xff},
		{kindSuspect, 0xdd, 0xff, 0xff, 0xff, 0xff},
		append([]byte{kindDead, 0x81, 0xa4, 'N', 'o', 'd', 'e'}, 0xdb, 0xff, 0xff, 0xff, 0xff),
		append([]byte{kindAlive, 0x81, 0xa4, 'N', 'o', 'd', 'e'}, arrays...),
		{kindPing, 0xdf, 0xff, 0xff, 0xff, 0xff},
		append([]byte{kindIndirectPing, 0x81, 0xa4, 'N', 'o', 'd', 'e'}, arrays...),
		append([]byte{kindUser, catalogFull}, arrays...),
		{},
	}
}

// compressed is a message of memberlist with that many zeros in it.
func compressed(size int) []byte {
	var b bytes.Buffer
	w := lzw.NewWriter(&b, lzw.LSB, 8)
	zeros := make([]byte, chunk)
	for n := 0; n < size; n += len(zeros) {
		_, _ = w.Write(zeros) // into memory
	}
	_ = w.Close()
	out := fieldCount([]byte{kindCompress}, 2)
	out = append(appendText(out, "Algo"), 0)
	out = append(appendText(out, "Buf"), 0xdb)
	return append(binary.BigEndian.AppendUint32(out, uint32(b.Len())), b.Bytes()...)
}

// bombStreams does the same with streams, one kind after the other.
func (i *insider) bombStreams() {
	kinds := i.streamBombs()
	k := kinds[i.rounds/int(streamEvery/i.craft.every)%len(kinds)]
	i.open(k.purpose, func(s tunnel.Stream) error { return k.send(s) })
}

type streamBomb struct {
	purpose tunnel.Purpose
	send    func(net.Conn) error
}

func (i *insider) streamBombs() []streamBomb {
	says := func(b []byte) func(net.Conn) error {
		return func(c net.Conn) error { _, err := c.Write(b); return err }
	}
	goesOn := func(head, b []byte) func(net.Conn) error {
		return func(c net.Conn) error {
			_, err := c.Write(head)
			for sent := 0; err == nil && sent < endless; sent += len(b) {
				_, err = c.Write(b)
			}
			return err
		}
	}
	counts := func(nodes, state uint32) []byte {
		b := fieldCount([]byte{kindPushPull}, 3)
		b = appendNumber(appendText(b, "Nodes"), nodes)
		b = appendNumber(appendText(b, "UserStateLen"), state)
		return append(appendText(b, "Join"), 0xc3)
	}
	own := i.next(1, nil)
	junk := make([]byte, chunk)
	return []streamBomb{
		{tunnel.PurposeMembership, goesOn(i.zeros(), junk)},
		{tunnel.PurposeMembership, says(counts(1<<31-1, 1<<31-1))},
		{tunnel.PurposeMembership, goesOn(counts(8000, 4<<20), bytes.Repeat([]byte{0x91}, chunk))},
		{tunnel.PurposeMembership, goesOn([]byte{kindUser}, junk)},
		{tunnel.PurposeCatalog, says([]byte{0xff, 0xff, 0xff, 0xff, frameDigest})},
		{tunnel.PurposeCatalog, goesOn(nil, frame(frameUnknown, junk))},
		{tunnel.PurposeCatalog, says(frame(frameDigest, append([]byte{1}, make([]byte, gossip.MaxDigest)...)))},
		{tunnel.PurposeCatalog, says(frame(frameWant, make([]byte, 32*20000)))},
		{tunnel.PurposeCatalog, says(append(frame(frameDigest, []byte{1}), frame(frameDocument, i.full(own, make([]byte, tooLarge)))...))},
		{tunnel.PurposeControl, goesOn(nil, junk)},
		{tunnel.PurposeControl, says(bytes.Repeat([]byte("{\"a\":"), 10000))},
	}
}

// zeros is a compressed stream, made once.
func (i *insider) zeros() []byte {
	if i.packed == nil {
		i.packed = compressed(unpackedStream)
	}
	return i.packed
}
