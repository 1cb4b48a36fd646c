package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// Write says what the TCP listener may change.
type Write string

// The values of --api-write.
const (
	WriteServices Write = "services"
	WriteNone     Write = "none"
)

const (
	// maxBody bounds a request's body; a registration is a few hundred bytes.
	maxBody = 1 << 20
	// maxHeader bounds a request's header.
	maxHeader = 64 << 10
	// headerTimeout ends connections that do not finish their header.
	headerTimeout = 10 * time.Second
	// maxConns bounds the connections of both listeners together; further ones are closed
	// at once.
	maxConns = 512
)

// Config is what a Server needs to know.
type Config struct {
	TCPAddr   netip.AddrPort // what the TCP listener is bound to, for the Host check
	AllowFrom []netip.Prefix // clients off loopback that may talk to us
	Write     Write
}

// Server answers the API on listeners that its caller opened.
type Server struct {
	env     micronet.Env
	backend Backend
	config  Config
	conns   chan struct{}
}

// NewServer makes a server; Run starts it.
func NewServer(env micronet.Env, b Backend, c Config) *Server {
	return &Server{env: env, backend: b, config: c, conns: make(chan struct{}, maxConns)}
}

// Run serves the unix listener and the TCP listener, each may be nil, until ctx ends. Requests
// under way have two seconds to finish.
func (s *Server) Run(ctx context.Context, unix, tcp net.Listener) error {
	handler := s.guard(s.routes())
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	serve := func(ln net.Listener, of func(net.Conn) access) {
		srv := &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: maxHeader,
			BaseContext: func(net.Listener) context.Context { return ctx },
			ConnContext: func(base context.Context, c net.Conn) context.Context {
				return context.WithValue(base, accessKey{}, of(c))
			},
		}
		wg.Go(func() { errs <- srv.Serve(&bounded{Listener: ln, slots: s.conns, accept: s.accepts}) })
		wg.Go(func() { <-ctx.Done(); shutdown(srv) })
	}
	if unix != nil {
		serve(unix, s.socketAccess)
	}
	if tcp != nil {
		serve(tcp, func(net.Conn) access { return s.tcpAccess() })
	}
	<-ctx.Done()
	wg.Wait()
	return joinServeErrors(errs)
}

// accepts drops TCP clients from elsewhere before they can send a byte.
func (s *Server) accepts(c net.Conn) bool {
	return c.RemoteAddr().Network() == "unix" || s.fromAllowed(c.RemoteAddr())
}

func shutdown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if srv.Shutdown(ctx) != nil {
		// Hijacked and held connections end by the context they were given; what is left is cut.
		_ = srv.Close()
	}
}

func joinServeErrors(errs chan error) error {
	close(errs)
	var all error
	for err := range errs {
		if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			all = errors.Join(all, err)
		}
	}
	return all
}

// bounded is a listener with a limit on open connections.
type bounded struct {
	net.Listener
	slots  chan struct{}
	accept func(net.Conn) bool
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !b.accept(c) {
			_ = c.Close()
			continue
		}
		select {
		case b.slots <- struct{}{}:
			return &slotConn{Conn: c, slots: b.slots}, nil
		default:
			// Overloaded: refusing at once beats a hanging client.
			_ = c.Close()
		}
	}
}

// slotConn gives its slot back once.
type slotConn struct {
	net.Conn
	slots chan struct{}
	once  sync.Once
}

func (c *slotConn) Close() error {
	c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}

// NetConn unwraps the connection for credentials and half-close.
func (c *slotConn) NetConn() net.Conn { return c.Conn }
