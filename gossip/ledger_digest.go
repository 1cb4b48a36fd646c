package gossip

import (
	"bytes"
	"slices"

	micronet "github.com/micro/micro-net"
)

// A digest of a ledger is a format byte and the hashes of all statements, strictly ascending.
const (
	ledgerFormat = 1
	// MaxLedgerDigest bounds it in bytes.
	MaxLedgerDigest = 1 + (MaxRevocations+MaxStatementsTotal)*len(StatementHash{})
)

// Digest lists what is held, for Compare at another node.
func (l *Ledger) Digest() []byte {
	b := make([]byte, 0, 1+len(l.held)*len(StatementHash{}))
	b = append(b, ledgerFormat)
	for _, h := range l.counting().hashes {
		b = append(b, h[:]...)
	}
	return b
}

// Compare sets another node's digest against what is held here: want lists what only the other has,
// ascending, offer what only is here, in the order of All.
func (l *Ledger) Compare(digest []byte) (want []StatementHash, offer [][]byte, err error) {
	theirs, err := parseLedgerDigest(digest)
	if err != nil {
		return nil, nil, err
	}
	has := make(map[StatementHash]bool, len(theirs))
	for _, h := range theirs {
		if has[h] = true; l.known[h] == nil {
			want = append(want, h)
		}
	}
	for _, h := range l.counting().order {
		if !has[h.hash] {
			offer = append(offer, h.Raw)
		}
	}
	return want, offer, nil
}

// Among returns those of the hashes that are held, in the order of All.
func (l *Ledger) Among(hashes []StatementHash) (raws [][]byte) {
	for _, h := range l.counting().order {
		if _, wanted := slices.BinarySearchFunc(hashes, h.hash, func(a, b StatementHash) int { return bytes.Compare(a[:], b[:]) }); wanted {
			raws = append(raws, h.Raw)
		}
	}
	return raws
}

func parseLedgerDigest(b []byte) ([]StatementHash, error) {
	if len(b) == 0 || len(b) > MaxLedgerDigest || b[0] != ledgerFormat {
		return nil, micronet.E("ledger.compare", micronet.Invalid, "a digest of %d bytes, or of an unknown format", len(b))
	}
	return parseHashes(b[1:])
}

func parseHashes(b []byte) ([]StatementHash, error) {
	if len(b)%len(StatementHash{}) != 0 || len(b) > MaxLedgerDigest {
		return nil, violation("a list of hashes of %d bytes", len(b))
	}
	hashes := make([]StatementHash, 0, len(b)/len(StatementHash{}))
	for ; len(b) > 0; b = b[len(StatementHash{}):] {
		h := StatementHash(b[:len(StatementHash{})])
		if n := len(hashes); n > 0 && bytes.Compare(hashes[n-1][:], h[:]) >= 0 {
			return nil, violation("the list of hashes is not in order at %x", h)
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}
