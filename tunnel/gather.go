package tunnel

import (
	"net"
	"sync"
)

// gatherKeep is how much of its buffer a Gather keeps once it is empty.
const gatherKeep = 128 << 10

// Gather is a connection whose writes wait for Flush once Hold was called: TLS above it makes a system call of each record
// otherwise. Flush is called by one goroutine at a time; TLS may write from its reader too.
type Gather struct {
	net.Conn

	mu   sync.Mutex // not held while sending
	held bool
	buf  []byte // what waits
	idle []byte // empty, to be used next
}

// Hold lets writes wait from now on.
func (g *Gather) Hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = true
}

// Write keeps a copy of p, or sends it where nobody holds.
func (g *Gather) Write(p []byte) (int, error) {
	if g.keep(p) {
		return len(p), nil
	}
	return g.Conn.Write(p)
}

func (g *Gather) keep(p []byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held {
		g.buf = append(g.buf, p...)
	}
	return g.held
}

// Waits is how many bytes wait.
func (g *Gather) Waits() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.buf)
}

// Flush sends what waits.
func (g *Gather) Flush() error {
	g.mu.Lock()
	out := g.buf
	g.buf, g.idle = g.idle, nil
	g.mu.Unlock()
	if len(out) == 0 {
		g.restore(out)
		return nil
	}
	_, err := g.Conn.Write(out)
	g.restore(out)
	return err
}

// restore keeps memory for what comes next, unless it is much.
func (g *Gather) restore(out []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if cap(out) <= gatherKeep {
		g.idle = out[:0]
	}
}
