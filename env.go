package micronet

import (
	crand "crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Env is everything a component knows of the outside world. The daemon fills it with the
// operating system, the simulator with a world of its own.
//
// Time is not in it: shells use package time (virtual inside a testing/synctest bubble), cores
// take the time as an argument. Only the wall clock that nodes compare with each other is
// here, because hosts disagree about it.
type Env struct {
	Net     Network                     // packets, streams, listeners, interfaces
	FS      FS                          // files of this node
	Exec    Exec                        // child processes and signals
	Host    Host                        // what the operating system says of the host
	Entropy io.Reader                   // keys and nonces; nil: crypto/rand
	Rand    func(use string) *rand.Rand // jitter and choice, one stream per use; nil: seeded from Entropy
	Wall    func() time.Time            // dates that other nodes compare; nil: time.Now
	Phase   time.Duration               // added to every periodic timer: 0 in production, in small simulated meshes that of no other node
	Events  *Events                     // what happens here; nil: nobody listens
	Log     *slog.Logger                // only node and cmd write to it; nil: discarded
}

// Host is what the operating system says of the host and of the process.
type Host struct {
	Name    string // the host name
	Machine string // equal for two processes exactly when they share a network namespace and a boot; "" unknown
	OS      string // runtime.GOOS
	UID     int    // effective user id
	Getenv  func(string) string
}

// EnsureDefaults fills what has a default that needs no operating system.
func (e Env) EnsureDefaults() Env {
	if e.Entropy == nil {
		e.Entropy = crand.Reader
	}
	if e.Rand == nil {
		entropy := e.Entropy
		e.Rand = func(string) *rand.Rand { return seededRand(entropy) }
	}
	if e.Wall == nil {
		e.Wall = time.Now
	}
	if e.Events == nil {
		e.Events = &Events{}
	}
	e.Events.EnsureDefaults()
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	if e.Host.Getenv == nil {
		e.Host.Getenv = func(string) string { return "" }
	}
	return e
}

func seededRand(entropy io.Reader) *rand.Rand {
	var seed [16]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		panic("micronet: the entropy source failed: " + err.Error())
	}
	return rand.New(rand.NewPCG(binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])))
}
