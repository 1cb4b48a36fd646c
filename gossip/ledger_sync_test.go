package gossip_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// ledgerStore is a ledger as a node keeps it.
type ledgerStore struct {
	mu   sync.Mutex
	l    *gossip.Ledger
	disk error // why nothing can be kept
}

func (s *ledgerStore) Digest() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.l.Digest()
}

func (s *ledgerStore) Compare(digest []byte) ([]gossip.StatementHash, [][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.l.Compare(digest)
}

func (s *ledgerStore) Among(hashes []gossip.StatementHash) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.l.Among(hashes)
}

func (s *ledgerStore) Import(raws [][]byte) (refused int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, raw := range raws {
		if _, err := s.l.Take(raw); err != nil {
			refused++
		}
	}
	return refused, s.disk
}

func TestLedgersAreEqualAfterASynchronisation(t *testing.T) {
	a := &ledgerStore{l: ledgerOf(t, word{testRevoke, 0, 1, 1, 0}, word{testOther, 0, 2, 1, 0})}
	b := &ledgerStore{l: ledgerOf(t, word{testRevoke, 0, 1, 1, 0}, word{testOther, 0, 2, 3, 0}, word{testRevoke, 0, 3, 1, 0})}
	for n := range uint8(200) {
		b.Import([][]byte{word{testOther + 1, 0, n, 1, 0}.raw(), word{testOther + 2, 0, n, 1, 0}.raw()})
	}
	for round, want := range []int{2 + 400, 0} {
		x, y := net.Pipe()
		served := make(chan error, 1)
		go func() { served <- gossip.LedgerServer(y, b) }()
		moved, err := gossip.LedgerClient(x, a)
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		if err != nil || moved != want {
			t.Fatalf("round %d: %d moved, want %d, %v", round, moved, want, err)
		}
	}
	if a.l.Fingerprint() != b.l.Fingerprint() {
		t.Fatal("they differ")
	}
}

// TestLedgerSyncEndsWithForgers: a peer that sends what is no statement is not verified for long.
func TestLedgerSyncEndsWithForgers(t *testing.T) {
	x, y := net.Pipe()
	defer x.Close()
	go func() {
		defer y.Close()
		buf := make([]byte, 64)
		_, _ = y.Read(buf)
		for range 1000 {
			if _, err := y.Write([]byte{0, 0, 0, 2, 2, 7}); err != nil {
				return
			}
		}
	}()
	s := &ledgerStore{l: gossip.NewLedger(readWord)}
	if _, err := gossip.LedgerClient(x, s); micronet.KindOf(err) != micronet.Invalid {
		t.Fatal(err)
	}
}

// TestLedgerSyncEndsWhereNothingCanBeKept: the peer does not hear that its statements are on disk.
func TestLedgerSyncEndsWhereNothingCanBeKept(t *testing.T) {
	a := &ledgerStore{l: ledgerOf(t, word{testRevoke, 0, 1, 1, 0})}
	b := &ledgerStore{l: gossip.NewLedger(readWord), disk: micronet.E("test", micronet.Refused, "the disk is full")}
	x, y := net.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- gossip.LedgerServer(y, b)
		_ = y.Close()
	}()
	_, err := gossip.LedgerClient(x, a)
	if s := <-served; err == nil || micronet.KindOf(s) != micronet.Refused {
		t.Fatalf("the client ended with %v, the server with %v", err, s)
	}
}

// FuzzLedgerSync serves whatever a peer writes.
func FuzzLedgerSync(f *testing.F) {
	digest := gossip.NewLedger(readWord).Digest()
	hello := append([]byte{0, 0, 0, byte(1 + len(digest)), 1}, digest...)
	raw := word{testRevoke, 0, 1, 1, 0}.raw()
	f.Add(hello)
	f.Add(append(append(bytes.Clone(hello), append([]byte{0, 0, 0, byte(1 + len(raw)), 2}, raw...)...), 0, 0, 0, 1, 4))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &ledgerStore{l: ledgerOf(t, word{testRevoke, 0, 2, 1, 0})}
		out := new(bytes.Buffer)
		_ = gossip.LedgerServer(readWriter{bytes.NewReader(in), out}, s)
		_, _ = gossip.LedgerClient(readWriter{bytes.NewReader(in), out}, s)
		if len(s.l.Revocations()) == 0 {
			t.Fatal("a peer made a revocation go")
		}
	})
}

type readWriter struct {
	*bytes.Reader
	*bytes.Buffer
}

func (rw readWriter) Read(b []byte) (int, error)  { return rw.Reader.Read(b) }
func (rw readWriter) Write(b []byte) (int, error) { return rw.Buffer.Write(b) }
