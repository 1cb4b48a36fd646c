package sim

import (
	"math"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// foresee speaks of itself and of others as if all had counted to the end: versions of records, starts of nodes,
// signs of life.
func (i *insider) foresee() {
	p, ok := i.parts()
	if !ok {
		return
	}
	for _, v := range ends(i.version().Epoch) {
		i.record(i.keys.ID(), v)
		i.victims(func(_ parts, o gossip.Member) { i.record(o.ID, v) })
	}
	from := memberName(p.swim.Self, p.swim.Epoch)
	for _, epoch := range []uint64{gossip.MaxEpoch, gossip.MaxEpoch + 1, math.MaxUint64} {
		i.victims(func(_ parts, o gossip.Member) {
			name := memberName(o.ID, epoch)
			i.tell(aliveAs(1, name, o.ID, o.Credential, usual), micronet.NodeID{})
			i.tell(claimMessage(kindDead, 1, name, from), micronet.NodeID{})
			i.tell(claimMessage(kindDead, 1, name, name), micronet.NodeID{}) // its goodbye
		})
		i.tell(aliveAs(1, memberName(p.swim.Self, epoch), p.swim.Self, p.swim.Credential, usual), micronet.NodeID{})
	}
	for _, ahead := range []uint32{1, 1 << 20, 1<<24 - 1} {
		i.beat(i.madeUp(ahead, 0))
		i.beat(i.madeUp(ahead, math.MaxUint16))
	}
}

// ends are versions from the end of what can be counted, and from behind it.
func ends(epoch uint64) []gossip.Version {
	return []gossip.Version{
		{Epoch: math.MaxUint64, Seq: math.MaxUint64},
		{Epoch: gossip.MaxEpoch + 1, Seq: 1},
		{Epoch: epoch, Seq: math.MaxUint64},
		{Epoch: epoch, Seq: gossip.LastSeq + 1},
		{Epoch: epoch, Seq: gossip.LastSeq - 1},
		{Epoch: gossip.MaxEpoch, Seq: gossip.LastSeq - 1},
		{Epoch: gossip.MaxEpoch, Seq: gossip.LastSeq},
	}
}

// record spreads a record of an owner, which may not be the insider, under a version. It is what the owner
// said last, or its goodbye.
func (i *insider) record(owner micronet.NodeID, v gossip.Version) {
	d, ok := i.document(owner)
	if !ok {
		return
	}
	left := v.Seq == gossip.LastSeq
	if left {
		d.Instances = nil
	}
	if count, body, ok := itemsOf(d); ok {
		h := i.next(count, body)
		h.owner, h.version, h.left = owner, v, left
		i.spread(i.full(h, body))
	}
}

// offerFuture offers everybody a catalog of such versions.
func (i *insider) offerFuture() {
	s := &fakeStore{digest: []byte{1}, documents: map[micronet.NodeID][]byte{}}
	versions := map[micronet.NodeID]gossip.Version{}
	i.each(func(_ parts, o gossip.Member) {
		versions[o.ID] = gossip.Version{Epoch: math.MaxUint64, Seq: math.MaxUint64}
		h := header{cluster: i.cluster, owner: o.ID, version: versions[o.ID]}
		s.documents[o.ID] = i.full(h, nil)
	})
	s.digest = appendDigest(s.digest, versions)
	i.offer(s)
}
