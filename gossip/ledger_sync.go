package gossip

import (
	"bytes"
	"io"
)

// LedgerStore is the ledger as a synchronisation sees it. Its methods lock for themselves, and no lock is
// held while bytes travel.
type LedgerStore interface {
	// Digest is Ledger.Digest.
	Digest() []byte
	// Compare is Ledger.Compare.
	Compare(digest []byte) (want []StatementHash, offer [][]byte, err error)
	// Among is Ledger.Among.
	Among(hashes []StatementHash) [][]byte
	// Import takes statements, and returns how many were refused. They are on disk when it returns nil; an
	// error ends the synchronisation. The slices are the store's to keep.
	Import(raws [][]byte) (refused int, err error)
}

const (
	// ledgerSyncBytes bounds each direction: all that a ledger can hold, its digest and frames.
	ledgerSyncBytes = 2*MaxStatementsBytes + MaxRevocations*revocationBytes
	// importBatch is how many statements are taken at once.
	importBatch = 256
	// maxForged is how many statements that are none a peer may send: it passes on only what it has
	// verified, but may know of other roots, or have another time.
	maxForged = 64
)

// LedgerClient compares ledgers as the one who opened the stream. Afterwards both hold the same,
// in the order of All:
//
//	client                        server
//	  digest ───────────────────▶
//	         ◀─────────────────── statements the client lacks
//	         ◀─────────────────── want: hashes of those the server lacks
//	  those statements ─────────▶
//	  end ──────────────────────▶
//	         ◀─────────────────── end: they are on the server's disk
//
// The stream is its own, and is not closed. The number is that of the statements that moved.
func LedgerClient(rw io.ReadWriter, store LedgerStore) (moved int, err error) {
	s := newLedgerSession("ledger.sync", rw, store)
	err = s.client()
	return s.stats.Sent + s.stats.Received - s.stats.Refused, s.wrap(err)
}

// LedgerServer answers a LedgerClient.
func LedgerServer(rw io.ReadWriter, store LedgerStore) error {
	s := newLedgerSession("ledger.serve", rw, store)
	return s.wrap(s.serve())
}

// ledgerSession is one comparison of ledgers, in the frames of catalogs.
type ledgerSession struct {
	*syncSession
	ledger LedgerStore
}

func newLedgerSession(op string, rw io.ReadWriter, store LedgerStore) *ledgerSession {
	return &ledgerSession{newSyncSession(op, rw, nil, SyncLimits{MaxBytes: ledgerSyncBytes, MaxDocument: MaxLedgerDigest}), store}
}

func (s *ledgerSession) client() error {
	if err := s.send(frameDigest, s.ledger.Digest()); err != nil {
		return err
	}
	last, err := s.receiveStatements(frameWant)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(last)
	if err != nil {
		return err
	}
	if err := s.sendStatements(s.ledger.Among(hashes), frameEnd, nil); err != nil {
		return err
	}
	_, err = s.expect(frameEnd)
	return err
}

func (s *ledgerSession) serve() error {
	digest, err := s.expect(frameDigest)
	if err != nil {
		return err
	}
	want, offer, err := s.ledger.Compare(digest)
	if err != nil {
		return err
	}
	if err := s.sendStatements(offer, frameWant, appendHashes(nil, want)); err != nil {
		return err
	}
	if _, err := s.receiveStatements(frameEnd); err != nil {
		return err
	}
	return s.send(frameEnd, nil)
}

// expect returns the payload of the next frame, which must be of a kind.
func (s *ledgerSession) expect(want frameKind) ([]byte, error) {
	kind, payload, err := s.receive()
	if err == nil && kind != want {
		err = violation("frame %d in the place of %d", kind, want)
	}
	return payload, err
}

// sendStatements sends statements, and then the last frame.
func (s *ledgerSession) sendStatements(raws [][]byte, last frameKind, payload []byte) error {
	for _, raw := range raws {
		if err := s.write(frameDocument, raw); err != nil {
			return err
		}
		s.stats.Sent++
	}
	return s.send(last, payload)
}

// receiveStatements imports statements until a frame of kind last, whose payload it returns.
func (s *ledgerSession) receiveStatements(last frameKind) ([]byte, error) {
	var batch [][]byte
	for {
		kind, payload, err := s.receive()
		switch {
		case err != nil:
			return nil, err
		case kind == last:
			rest := bytes.Clone(payload)
			return rest, s.take(batch)
		case kind != frameDocument:
			return nil, violation("frame %d in the place of statements", kind)
		}
		if batch = append(batch, bytes.Clone(payload)); len(batch) < importBatch {
			continue
		}
		if err := s.take(batch); err != nil {
			return nil, err
		}
		batch = nil
	}
}

func (s *ledgerSession) take(batch [][]byte) error {
	if len(batch) == 0 {
		return nil
	}
	s.stats.Received += len(batch)
	refused, err := s.ledger.Import(batch)
	if err != nil {
		return err
	}
	if s.stats.Refused += refused; s.stats.Refused > maxForged {
		return violation("%d statements that are none", s.stats.Refused)
	}
	return nil
}

func appendHashes(b []byte, hashes []StatementHash) []byte {
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}
