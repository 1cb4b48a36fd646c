package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"sync"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip/heartbeat"
	"github.com/micro/micro-net/tunnel"
)

// maxLate bounds the packets that an insider keeps back; those that do not fit are lost.
const maxLate = 512

// late is a packet that was kept back.
type late struct {
	to      micronet.NodeID
	payload []byte
}

// mangling makes of what the daemon passes on what a bad carrier makes of it: a packet is lost, comes later, in
// another order, twice, or with a bit turned. Of the catalog it says that it has nothing.
func mangling(i *insider) *grip {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(i.rng.Uint64(), 0x3a61e))
	draw := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
	return &grip{
		packet: func(to micronet.NodeID, payload []byte) [][]byte {
			switch draw(6) {
			case 0:
				return nil
			case 1:
				return [][]byte{payload, payload}
			case 2:
				b := bytes.Clone(payload)
				b[draw(len(b))] ^= 1 << draw(8)
				return [][]byte{b}
			case 3, 4:
				select {
				case i.late <- late{to, bytes.Clone(payload)}:
				default:
				}
				return nil
			}
			return [][]byte{payload}
		},
		state:   func([]byte) []byte { return nil },
		catalog: refuseCatalog,
	}
}

func refuseCatalog(in tunnel.Inbound) bool {
	in.Abort()
	return true
}

// mangle sends what was kept back, the newest first, and old signs of life as if they were of this moment:
// those of the dead too.
func (i *insider) mangle() {
	var list []late
	for n := i.rng.IntN(len(i.late) + 1); n > 0; n-- {
		list = append(list, <-i.late)
	}
	if p, ok := i.parts(); ok {
		for k := len(list) - 1; k >= 0; k-- {
			_ = p.swim.Transport.Send(list[k].to, list[k].payload)
		}
	}
	_, _, beats := i.machine.inside.loot.taken(i.rounds, replayed)
	for _, b := range beats {
		i.beat(rejuvenate(b))
	}
	i.beat(i.madeUp(1, 0))
}

// The layout of a packet of signs of life; see gossip/heartbeat's entry.go and node's pulse.go.
const (
	beatsAt  = 8 + 1 // behind the fingerprint of the catalog and the format
	beatSize = 8 + 4 + sha256.Size/2 + 2
)

// rejuvenate says of all signs of life in a packet that they were made just now.
func rejuvenate(packet []byte) []byte {
	b := bytes.Clone(packet)
	for at := beatsAt; at+beatSize <= len(b); at += beatSize {
		b[at+beatSize-2], b[at+beatSize-1] = 0, 0
	}
	return b
}

// madeUp are signs of life of all others that their owners have not shown.
func (i *insider) madeUp(ahead uint32, age uint16) []byte {
	s, ok := i.machine.snapshot()
	if !ok {
		return nil
	}
	b := append(make([]byte, 0, tunnel.MaxPacket), s.Catalog[:8]...)
	b = append(b, 1)
	for k := range s.Documents {
		d := &s.Documents[k].Document
		anchor, err := heartbeat.ParseAnchor(d.Heartbeat)
		if err != nil || d.Owner == s.Self {
			continue
		}
		value := sha256.Sum256(binary.BigEndian.AppendUint64(d.Owner[:], uint64(i.rounds)))
		b = append(b, d.Owner[:8]...)
		b = binary.BigEndian.AppendUint32(b, uint32(anchor.Value[0])<<24|(uint32(i.rounds)+ahead)&(1<<24-1))
		b = append(b, value[:sha256.Size/2]...)
		b = binary.BigEndian.AppendUint16(b, age)
	}
	return b
}
