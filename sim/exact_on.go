//go:build simdet

package sim

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	mathrand "math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
)

// Exact says that a seed repeats to the bit: the program was built with the runtime of package simdet.
const Exact = true

// beExact prepares the process for that: one processor, garbage collected at chosen moments alone, and
// no randomness but the seed's. QUIC draws connection ids of random length from crypto/rand.
func beExact(seed uint64) {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(-1)
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	rand.Reader = &lockedReader{r: mathrand.NewChaCha8(key)}
}

type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

// Read implements io.Reader.
func (l *lockedReader) Read(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(b)
}
