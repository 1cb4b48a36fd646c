package gossip

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
)

// A digest is a format byte and, strictly ascending by owner, one entry per document held:
// owner 32, epoch 8, sequence 8, first bytes of the hash 8, age in seconds 4, all big endian. It is
// not signed: it only says what to ask for, and how fresh its sender believes a document to be. A
// lying member can make the record of a silent node look young, and so keep it, but not change it.
const (
	digestFormat = 1
	digestEntry  = 32 + 8 + 8 + digestHash + 4
	digestHash   = 8
	// MaxDigest bounds a digest in bytes.
	MaxDigest = 1 + DefaultMaxDocuments*digestEntry
)

type summary struct {
	owner   micronet.NodeID
	version Version
	hash    [digestHash]byte
	age     time.Duration
}

// Digest returns a summary of all documents held, for Compare at another node. It has 60 bytes
// per node.
func (c *Catalog) Digest(now time.Time) []byte {
	b := make([]byte, 0, 1+len(c.ids)*digestEntry)
	b = append(b, digestFormat)
	for _, id := range c.ids {
		o := c.origins[id]
		if !o.held || len(b)+digestEntry > MaxDigest {
			continue
		}
		b = append(b, id[:]...)
		b = binary.BigEndian.AppendUint64(b, o.signed.version.Epoch)
		b = binary.BigEndian.AppendUint64(b, o.signed.version.Seq)
		b = append(b, o.signed.hash[:digestHash]...)
		b = binary.BigEndian.AppendUint32(b, c.age(now, o))
	}
	return b
}

// Fingerprint is a hash over owner, version and content of all documents held: catalogs that hold
// the same have the same, whatever they know of ages.
func (c *Catalog) Fingerprint() (sum [sha256.Size]byte) {
	if c.summed {
		return c.sum
	}
	h := sha256.New()
	for _, id := range c.ids {
		if o := c.origins[id]; o.held {
			h.Write(o.signed.raw[:])
		}
	}
	h.Sum(sum[:0])
	c.sum, c.summed = sum, true
	return sum
}

// digestReader walks a digest and checks it on the way.
type digestReader struct {
	c    cursor
	last micronet.NodeID
	err  error
}

func readDigest(raw []byte) *digestReader {
	r := &digestReader{c: cursor{rest: raw}}
	switch format := r.c.u8(); {
	case len(raw) > MaxDigest || r.c.bad || len(r.c.rest)%digestEntry != 0:
		r.err = fmt.Errorf("a digest of %d bytes", len(raw))
	case format != digestFormat:
		r.err = fmt.Errorf("format %d of the digest is not known, only %d", format, digestFormat)
	}
	return r
}

// next returns the next entry, false at the end and after an error.
func (r *digestReader) next() (summary, bool) {
	if r.err != nil || r.c.done() {
		return summary{}, false
	}
	var s summary
	copy(s.owner[:], r.c.take(len(s.owner)))
	s.version = Version{Epoch: r.c.u64(), Seq: r.c.u64()}
	copy(s.hash[:], r.c.take(digestHash))
	s.age = time.Duration(r.c.u32()) * time.Second
	if compareIDs(s.owner, r.last) <= 0 {
		r.err = fmt.Errorf("the digest is not in order at %s", s.owner.Short())
		return summary{}, false
	}
	r.last = s.owner
	return s, true
}

// Compare sets another node's digest against what is held here: want lists what the other has
// newer and is worth fetching, offer what is newer here. Both are sorted. It also takes over how
// fresh the other knows the documents to be that both hold. A malformed digest changes nothing.
func (c *Catalog) Compare(now time.Time, digest []byte) (want, offer []micronet.NodeID, err error) {
	check := readDigest(digest)
	for _, ok := check.next(); ok; _, ok = check.next() {
	}
	if check.err != nil {
		return nil, nil, &micronet.Error{Op: "catalog.compare", Kind: micronet.Invalid, Err: check.err}
	}
	theirs := readDigest(digest)
	ids := c.ids
	for s, ok := theirs.next(); ok; s, ok = theirs.next() {
		for len(ids) > 0 && compareIDs(ids[0], s.owner) < 0 {
			offer = c.offer(now, offer, ids[0])
			ids = ids[1:]
		}
		var o *origin
		if len(ids) > 0 && ids[0] == s.owner {
			o, ids = c.origins[s.owner], ids[1:]
		}
		switch {
		case c.wants(now, o, &s):
			want = append(want, s.owner)
		case o != nil && s.version.Less(o.signed.version):
			offer = c.offer(now, offer, s.owner)
		case o != nil:
			c.confirm(now, o, &s)
		}
	}
	for _, id := range ids {
		offer = c.offer(now, offer, id)
	}
	return want, offer, nil
}

// offer appends id when its document is held and not about to be forgotten everywhere.
func (c *Catalog) offer(now time.Time, offer []micronet.NodeID, id micronet.NodeID) []micronet.NodeID {
	o := c.origins[id]
	if !o.held || (id != c.cfg.Self && c.outlived(now, o.confirmed, o.signed.left)) {
		return offer
	}
	return append(offer, id)
}

// wants decides whether the other's document is worth fetching. A second document of the same
// version is fetched once, as proof.
func (c *Catalog) wants(now time.Time, o *origin, s *summary) bool {
	if s.owner == c.cfg.Self {
		own := c.own()
		return c.newerThanOwn(s.version) || c.differs(own, s)
	}
	if c.cfg.Admit(s.owner) != nil || c.outlived(now, now.Add(-s.age), s.version.Seq == LastSeq) {
		return false
	}
	if o == nil {
		return true
	}
	if now.Before(o.quarantine) || s.version == o.skipped {
		return false
	}
	return o.signed.version.Less(s.version) || c.differs(o, s)
}

// differs reports whether s shows a second document of the version held, not known as such yet.
func (c *Catalog) differs(o *origin, s *summary) bool {
	return o.held && s.version == o.signed.version && o.conflict != s.version &&
		!bytes.Equal(s.hash[:], o.signed.hash[:digestHash])
}

// confirm takes over that the other knows the version held to be younger than we thought.
func (c *Catalog) confirm(now time.Time, o *origin, s *summary) {
	if !o.held || s.version != o.signed.version || !bytes.Equal(s.hash[:], o.signed.hash[:digestHash]) {
		return
	}
	if at := now.Add(-s.age); at.After(o.confirmed) {
		o.confirmed, c.list = at, nil
	}
}

// compareIDs is NodeID.Compare without garbage.
func compareIDs(a, b micronet.NodeID) int { return bytes.Compare(a[:], b[:]) }
