package netsim

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"

	micronet "github.com/micro/micro-net"
)

// Env returns the world as a component on this host sees it, for the host's present life: after
// a Crash everything in it fails, also when the host is up again. Randomness comes from (world's
// seed, host, how many Envs were made before), so that two components, and two lives, do not
// draw the same keys. Entropy comes from entropySeed alone when there is one: two hosts with the
// same entropySeed are clones.
func (h *Host) Env(entropySeed ...uint64) micronet.Env {
	stack, life := h.stackAndLife()
	h.mu.Lock()
	n, uid, shell := h.envs, h.cred.UID, h.shell
	h.envs++
	h.mu.Unlock()
	seed := nth(hashOf(h.w.seed, "env", h.name), n)
	entropy := hashOf(seed, "entropy")
	for i, s := range entropySeed {
		if i == 0 {
			entropy = 0
		}
		entropy = mix(entropy + golden ^ mix(s))
	}
	env := micronet.Env{
		Net: stack, FS: h.disk.current(), Exec: shell,
		Host: micronet.Host{
			Name: h.name, Machine: fmt.Sprintf("%s/boot-%d", h.name, life),
			OS: "linux", UID: uid, Getenv: h.getenv,
		},
		Entropy: newEntropy(entropy),
		Rand: func(use string) *rand.Rand {
			return rand.New(rand.NewPCG(seed, hashOf(seed, "rand", use)))
		},
		Wall:  h.wall,
		Phase: h.phase,
	}
	return env.EnsureDefaults()
}

func (h *Host) stackAndLife() (*stack, uint64) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return h.stack, h.life
}

// entropy is a stream of random bytes that several goroutines may read.
type entropy struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func newEntropy(seed uint64) io.Reader {
	var key [32]byte
	for i := range 4 {
		binary.LittleEndian.PutUint64(key[8*i:], hashOf(seed, "key", strconv.Itoa(i)))
	}
	return &entropy{src: rand.NewChaCha8(key)}
}

// Read fills b. It never fails.
func (e *entropy) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.src.Read(b)
}
