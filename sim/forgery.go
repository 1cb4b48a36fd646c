package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

// The layout of catalog messages; see gossip's message.go and signed.go.
const (
	catalogFull     = 1
	catalogAnnounce = 3
	headerSize      = 102
	signDomain      = "micro-net/record/1\x00"
	// farAhead is added to the sequence of what is forged, so that it is newer than what is true.
	farAhead = 1 << 20
	// tooLarge is more than one document may have.
	tooLarge = gossip.DefaultMaxDocument + 1
	// floodVersions makes, with ten rounds a second, 3,000 new versions of its record a second.
	floodVersions = 300
	// invented is how many owners a fake digest makes up.
	invented = 1000
)

// header is what an owner signs. Nothing keeps it from being wrong.
type header struct {
	cluster [16]byte
	owner   micronet.NodeID
	version gossip.Version
	left    bool
	count   uint32
	hash    [sha256.Size]byte
}

// sign writes the header and a signature with the insider's key.
func (i *insider) sign(h header) []byte {
	b := []byte{1, 0}
	if h.left {
		b[1] = 1
	}
	b = append(b, h.cluster[:]...)
	b = append(b, h.owner[:]...)
	b = binary.BigEndian.AppendUint64(b, h.version.Epoch)
	b = binary.BigEndian.AppendUint64(b, h.version.Seq)
	b = binary.BigEndian.AppendUint32(b, h.count)
	b = append(b, h.hash[:]...)
	return append(b, ed25519.Sign(i.keys.Sign, append([]byte(signDomain), b[:headerSize]...))...)
}

// full is a signed document with a body.
func (i *insider) full(h header, body []byte) []byte {
	b := append([]byte{catalogFull, 0, 0, 0, 0}, i.sign(h)...)
	return append(b, body...)
}

// spread puts a message of the catalog into a packet of membership for everybody.
func (i *insider) spread(message []byte) {
	i.tell(append([]byte{kindUser}, message...), micronet.NodeID{})
}

// next is a header of a version of the insider's own record that is newer than all before.
func (i *insider) next(count uint32, body []byte) header {
	i.serial++
	h := header{cluster: i.cluster, owner: i.keys.ID(), version: i.version(), count: count, hash: sha256.Sum256(body)}
	h.version.Seq += farAhead + i.serial
	return h
}

// version is that of the insider's true record.
func (i *insider) version() gossip.Version {
	if d, ok := i.document(i.keys.ID()); ok {
		return d.Version
	}
	return gossip.Version{Epoch: 1, Seq: 1}
}

// document is what the insider's daemon holds of a node.
func (i *insider) document(owner micronet.NodeID) (gossip.Document, bool) {
	s, ok := i.machine.snapshot()
	for k := range s.Documents {
		if d := &s.Documents[k].Document; ok && d.Owner == owner {
			return *d, true
		}
	}
	return gossip.Document{}, false
}

// poison sends records that are broken, each in another way.
func (i *insider) poison() {
	garbage := []byte("no items at all")
	undecodable := appendItem(nil, "node", []byte{0xc1, 0xff, 0x00})
	i.spread(i.full(i.next(1, garbage), garbage))
	i.spread(i.full(i.next(1, undecodable), undecodable))
	i.spread(i.full(i.next(1, undecodable), garbage)) // not what was signed
	i.spread(append([]byte{catalogAnnounce}, i.sign(i.next(4000, []byte("nobody has it")))...))
	twice := i.next(1, undecodable)
	i.spread(append([]byte{catalogAnnounce}, i.sign(twice)...))
	twice.hash[0]++
	i.spread(append([]byte{catalogAnnounce}, i.sign(twice)...))
	i.spread([]byte{catalogFull, 0, 0})
	for _, x := range i.mesh.machines { // what others would have to sign themselves
		if !i.about[x] {
			continue
		}
		h := i.next(1, undecodable)
		h.owner = x.id
		i.spread(i.full(h, undecodable))
	}
}

// flood sends new versions of the insider's own record, all of them without fault.
func (i *insider) flood() {
	d, ok := i.document(i.keys.ID())
	items, err := wire.New().Encode(d)
	if !ok || err != nil {
		return
	}
	var body []byte
	for _, it := range items {
		body = appendItem(body, it.Key, it.Value)
	}
	for range floodVersions {
		h := i.next(uint32(len(items)), body)
		if len(body) <= gossip.MaxBroadcast-headerSize-ed25519.SignatureSize {
			i.spread(i.full(h, body))
		} else {
			i.spread(append([]byte{catalogAnnounce}, i.sign(h)...))
		}
	}
}

func appendItem(b []byte, key string, value []byte) []byte {
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(key))), key...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
}
