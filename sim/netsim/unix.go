package netsim

import (
	"context"
	"io/fs"
	"net"
	"path/filepath"
	"syscall"

	micronet "github.com/micro/micro-net"
)

// ListenUnix opens a unix stream socket; see micronet.Network. Socket names live beside the
// disk, not on it: they end with the host's life, so that there are no stale ones.
func (s *stack) ListenUnix(ctx context.Context, path string, _ fs.FileMode) (net.Listener, error) {
	path = filepath.Clean(path)
	l, err := s.bindUnix(ctx, path)
	if err != nil {
		return nil, opError("listen", "unix", nil, unixAddr(path), err)
	}
	return l, nil
}

func (s *stack) bindUnix(ctx context.Context, path string) (*listener, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	switch err := ctx.Err(); {
	case err != nil:
		return nil, err
	case s.down:
		return nil, net.ErrClosed
	case s.unix[path] != nil:
		return nil, syscall.EADDRINUSE
	}
	l := s.newListener(Unix, unixAddr(path), func() { delete(s.unix, path) })
	s.unix[path] = l
	return l, nil
}

// DialUnix connects to a unix stream socket of this host; see micronet.Network.
func (s *stack) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	path = filepath.Clean(path)
	h, err := s.openUnix(ctx, path)
	if err == nil {
		err = h.wait(ctx)
	}
	if err != nil {
		return nil, opError("connect", "unix", nil, unixAddr(path), err)
	}
	return h.client, nil
}

func (s *stack) openUnix(ctx context.Context, path string) (*handshake, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	switch err := ctx.Err(); {
	case err != nil:
		return nil, err
	case s.down:
		return nil, net.ErrClosed
	case s.unix[path] == nil:
		return nil, syscall.ENOENT
	}
	h := s.newHandshake(s.newUnixStream(path), func(p *packet) (*listener, bool) {
		l := p.to.stack.unix[path]
		return l, l != nil
	})
	h.synLocked()
	return h, nil
}

// PeerCredentials returns those of the process at the other end of a unix socket, as
// Host.SetCredentials set them when the connection was made; see micronet.PeerCredentials.
func (s *stack) PeerCredentials(c net.Conn) (micronet.Credentials, error) {
	sc, ok := c.(*stream)
	if !ok || sc.proto != Unix {
		return micronet.Credentials{}, micronet.E("netsim.credentials", micronet.Invalid, "%T is no unix socket of this world", c)
	}
	return sc.cred, nil
}

func unixAddr(path string) *net.UnixAddr { return &net.UnixAddr{Name: path, Net: "unix"} }
