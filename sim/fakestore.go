package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// fakeStore is a catalog that offers everybody newer documents than there are, and gives out broken
// ones. It does not change: several synchronisations share it.
type fakeStore struct {
	digest    []byte
	documents map[micronet.NodeID][]byte
}

var _ gossip.Store = (*fakeStore)(nil)

// catalog makes the store of an insider: its own document is too large, those of its victims are
// signed with the wrong key, and the rest has owners that do not exist.
func (i *insider) catalog() *fakeStore {
	s := &fakeStore{digest: []byte{1}, documents: map[micronet.NodeID][]byte{}}
	versions := map[micronet.NodeID]gossip.Version{}
	own := i.next(1, nil)
	s.documents[own.owner], versions[own.owner] = i.full(own, make([]byte, tooLarge)), own.version
	for _, x := range i.mesh.machines {
		if d, ok := i.document(x.id); ok && i.about[x] {
			h := header{cluster: i.cluster, owner: x.id, version: d.Version, count: 1}
			h.version.Seq += farAhead
			s.documents[x.id], versions[x.id] = i.full(h, []byte("junk")), h.version
		}
	}
	for n := range uint64(invented) {
		id := micronet.NodeID(sha256.Sum256(binary.BigEndian.AppendUint64(nil, n)))
		versions[id] = gossip.Version{Epoch: 1, Seq: 1}
	}
	s.digest = appendDigest(s.digest, versions)
	return s
}

// appendDigest writes entries as gossip's digest.go does, with made up hashes.
func appendDigest(b []byte, versions map[micronet.NodeID]gossip.Version) []byte {
	var ids []micronet.NodeID
	for id := range versions {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, micronet.NodeID.Compare)
	for _, id := range ids {
		b = append(b, id[:]...)
		b = binary.BigEndian.AppendUint64(b, versions[id].Epoch)
		b = binary.BigEndian.AppendUint64(b, versions[id].Seq)
		b = append(b, "made up!"...)
		b = binary.BigEndian.AppendUint32(b, 0)
	}
	return b
}

// Digest implements gossip.Store.
func (s *fakeStore) Digest() []byte { return s.digest }

// Compare implements gossip.Store: it wants nothing and offers nothing by itself.
func (s *fakeStore) Compare([]byte) (want, offer []micronet.NodeID, err error) { return nil, nil, nil }

// Document implements gossip.Store.
func (s *fakeStore) Document(id micronet.NodeID) ([]byte, bool) {
	d, ok := s.documents[id]
	return d, ok
}

// Import implements gossip.Store: the insider's daemon has its own.
func (s *fakeStore) Import([]byte) error { return nil }
