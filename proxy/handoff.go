package proxy

import (
	"context"
	"net"
	"sync"
)

// handoff is a net.Listener that is fed with connections that were accepted elsewhere.
type handoff struct {
	conns  chan net.Conn // unbuffered: the giver waits
	closed chan struct{}
	once   sync.Once
}

func newHandoff() *handoff {
	return &handoff{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give hands c over and returns when it was closed.
func (h *handoff) give(ctx context.Context, c *peeked) {
	g := &given{peeked: c, gone: make(chan struct{})}
	select {
	case h.conns <- g:
		<-g.gone
	case <-h.closed:
		abort(c)
	case <-ctx.Done():
		abort(c)
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handoff) Close() error {
	h.once.Do(func() { close(h.closed) })
	return nil
}

func (h *handoff) Addr() net.Addr { return &net.TCPAddr{} }

// given is a connection that tells when it was closed.
type given struct {
	*peeked
	once sync.Once
	gone chan struct{}
}

func (g *given) Close() error {
	err := g.peeked.Close()
	g.once.Do(func() { close(g.gone) })
	return err
}

func (g *given) Abort() {
	g.peeked.Abort()
	g.once.Do(func() { close(g.gone) })
}
