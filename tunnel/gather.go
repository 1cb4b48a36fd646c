package tunnel

import (
	"net"
	"sync"

	micronet "github.com/micro/micro-net"
)

const (
	// gatherKeep is how much of its buffer a Gather keeps once it is empty.
	gatherKeep = 128 << 10
	// gatherMost bounds what waits: a peer can have TLS answer as often as it likes. Who holds flushes long before.
	gatherMost = 1 << 20
)

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
	if held, err := g.keep(p); held {
		return len(p), err
	}
	return g.Conn.Write(p)
}

func (g *Gather) keep(p []byte) (held bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.held:
		return false, nil
	case len(g.buf)+len(p) > gatherMost:
		return true, micronet.E("tunnel.write", micronet.Overloaded, "too much waits to be sent")
	}
	g.buf = append(g.buf, p...)
	return true, nil
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
