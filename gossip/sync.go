package gossip

import (
	"errors"
	"io"

	micronet "github.com/micro/micro-net"
)

// Store is the catalog as a synchronisation sees it. Its methods lock for themselves and are
// short; none is called while another is running on behalf of the same synchronisation, and no
// lock is held while bytes travel.
type Store interface {
	// Digest is Catalog.Digest.
	Digest() []byte
	// Compare is Catalog.Compare.
	Compare(digest []byte) (want, offer []micronet.NodeID, err error)
	// Document is Catalog.Document.
	Document(id micronet.NodeID) ([]byte, bool)
	// Import is Catalog.Import; its Outcome is the store's affair. The slice is only used during
	// the call.
	Import(document []byte) error
}

// SyncLimits bound one synchronisation. What did not fit comes with the next one, as the digests
// still differ. Zero fields take the default.
type SyncLimits struct {
	MaxBytes    int64 // in each direction; 128 MiB
	MaxDocument int   // bytes of one document; 128 KiB
}

// DefaultSyncBytes bounds one direction of a synchronisation: all documents of a full catalog and
// what frames add to them.
const DefaultSyncBytes = 2 * DefaultMaxTotal

// maxUnread bounds the documents of another format in one synchronisation: more than a mesh has nodes, and not so many
// that refusing them keeps anybody busy.
const maxUnread = 4096

// EnsureDefaults fills what is zero.
func (l SyncLimits) EnsureDefaults() SyncLimits {
	orDefault(&l.MaxBytes, DefaultSyncBytes)
	orDefault(&l.MaxDocument, DefaultMaxDocument)
	return l
}

// SyncStats tells what one synchronisation carried.
type SyncStats struct {
	Sent     int // documents
	Received int // documents, those the store refused among them
	Refused  int // by the store
	In, Out  int64
}

// SyncClient synchronises as the one who opened the stream. Afterwards both hold the newer
// document of each owner:
//
//	client                        server
//	  digest ───────────────────▶
//	         ◀─────────────────── documents the client lacks, ascending by owner
//	         ◀─────────────────── want: owners whose documents the server lacks
//	  those documents ──────────▶
//	  end ──────────────────────▶
//
// It needs a stream of its own, and returns after the last frame without closing it. A peer that
// stalls is cut by the deadline that the caller sets on the stream.
func SyncClient(rw io.ReadWriter, store Store, l SyncLimits) (SyncStats, error) {
	s := newSyncSession("catalog.sync", rw, store, l)
	err := s.client()
	return s.stats, s.wrap(err)
}

// FetchClient asks for the documents of ids alone: it begins with want, and the server answers
// with documents and end. Owners that the peer does not hold are missing from what is imported;
// that is no error.
func FetchClient(rw io.ReadWriter, store Store, ids []micronet.NodeID, l SyncLimits) (SyncStats, error) {
	s := newSyncSession("catalog.fetch", rw, store, l)
	err := s.fetch(ids)
	return s.stats, s.wrap(err)
}

// SyncServer answers a SyncClient or a FetchClient.
func SyncServer(rw io.ReadWriter, store Store, l SyncLimits) (SyncStats, error) {
	s := newSyncSession("catalog.serve", rw, store, l)
	err := s.serve()
	return s.stats, s.wrap(err)
}

func (s *syncSession) client() error {
	digest := s.store.Digest()
	if err := s.send(frameDigest, digest); err != nil {
		return err
	}
	last, err := s.receiveDocuments(frameWant, newerThan(digest))
	if err != nil {
		return err
	}
	ids, err := parseIDs(last)
	if err != nil {
		return err
	}
	return s.sendDocuments(ids, frameEnd, nil)
}

func (s *syncSession) fetch(ids []micronet.NodeID) error {
	ids = sortedIDs(ids)
	if err := s.send(frameWant, appendIDs(nil, ids)); err != nil {
		return err
	}
	_, err := s.receiveDocuments(frameEnd, among(ids))
	return err
}

func (s *syncSession) serve() error {
	kind, payload, err := s.receive()
	if err != nil {
		return err
	}
	switch kind {
	case frameDigest:
		return s.serveSync(payload)
	case frameWant:
		return s.serveFetch(payload)
	}
	return violation("a session cannot begin with frame %d", kind)
}

func (s *syncSession) serveSync(digest []byte) error {
	want, offer, err := s.store.Compare(digest)
	if err != nil {
		return err
	}
	if err := s.sendDocuments(offer, frameWant, appendIDs(nil, want)); err != nil {
		return err
	}
	_, err = s.receiveDocuments(frameEnd, among(want))
	return err
}

func (s *syncSession) serveFetch(payload []byte) error {
	ids, err := parseIDs(payload)
	if err != nil {
		return err
	}
	return s.sendDocuments(ids, frameEnd, nil)
}

// sendDocuments sends what is held of ids, as far as the budget goes, and then the last frame.
func (s *syncSession) sendDocuments(ids []micronet.NodeID, last frameKind, payload []byte) error {
	budget := s.limits.MaxBytes - s.stats.Out - int64(frameHeader+len(payload))
	for _, id := range ids {
		doc, ok := s.store.Document(id)
		if !ok {
			continue
		}
		if budget -= int64(frameHeader + len(doc)); budget < 0 {
			break
		}
		if err := s.write(frameDocument, doc); err != nil {
			return err
		}
		s.stats.Sent++
	}
	return s.send(last, payload)
}

// receiveDocuments imports documents until a frame of kind last, whose payload it returns. Owners
// ascend, so that nobody can send one twice, and each was asked for. A document that the store
// refuses does not end the session: one bad node must not keep the others' documents out, and nor must one of
// a newer version, whose document has another format.
func (s *syncSession) receiveDocuments(last frameKind, asked func(*message) bool) ([]byte, error) {
	var previous micronet.NodeID
	unread := 0
	for {
		kind, payload, err := s.receive()
		if err != nil || kind == last {
			return payload, err
		}
		if kind != frameDocument {
			return nil, violation("frame %d in the place of documents", kind)
		}
		m, err := parseMessage(payload)
		switch {
		case errors.Is(err, errFormat) && unread < maxUnread:
			unread++
			s.importDocument(payload) // which refuses it, and counts that
			continue
		case err != nil:
			return nil, violation("a document: %w", err)
		}
		if m.kind != kindFull || compareIDs(m.owner, previous) <= 0 || !asked(&m) {
			return nil, violation("a document of %s that was not asked for", m.owner.Short())
		}
		previous = m.owner
		s.importDocument(payload)
	}
}

func (s *syncSession) importDocument(raw []byte) {
	s.stats.Received++
	if s.store.Import(raw) != nil {
		s.stats.Refused++
	}
}

// newerThan accepts what its sender can know to be newer than our digest says, or another
// document of the same version. Owners must come in ascending order.
func newerThan(digest []byte) func(*message) bool {
	ours := readDigest(digest)
	entry, more := ours.next()
	return func(m *message) bool {
		for more && compareIDs(entry.owner, m.owner) < 0 {
			entry, more = ours.next()
		}
		if !more || entry.owner != m.owner {
			return true
		}
		return entry.version.Less(m.version) || (entry.version == m.version && entry.hash != [digestHash]byte(m.hash[:]))
	}
}

// among accepts the owners in ids, which is sorted. Owners must come in ascending order.
func among(ids []micronet.NodeID) func(*message) bool {
	return func(m *message) bool {
		for len(ids) > 0 && compareIDs(ids[0], m.owner) < 0 {
			ids = ids[1:]
		}
		return len(ids) > 0 && ids[0] == m.owner
	}
}
