package api

import (
	"context"
	"errors"
	"log/slog"
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
	// bodyTimeout ends those that do not finish their body.
	bodyTimeout = 10 * time.Second
	// idleTimeout ends those that ask nothing more: a kept connection holds a slot.
	idleTimeout = 2 * time.Minute
	// takeTimeout ends those that do not take what they are sent.
	takeTimeout = 30 * time.Second
)

// Config is what a Server needs to know.
type Config struct {
	TCPAddr   netip.AddrPort // what the TCP listener is bound to, for the Host check
	Socket    string         // the path of the unix socket, for those who should use it
	AllowFrom []netip.Prefix // clients off loopback that may talk to us
	Write     Write
}

// Server answers the API on listeners that its caller opened.
type Server struct {
	env     micronet.Env
	backend Backend
	config  Config
	active  active
	ends    ends
}

// NewServer makes a server; Run starts it.
func NewServer(env micronet.Env, b Backend, c Config) *Server {
	return &Server{env: env.EnsureDefaults(), backend: b, config: c}
}

// Run serves the unix listener and the TCP listener, each may be nil, until ctx ends or one of
// them fails. Requests under way have two seconds to finish. It may be called once.
func (s *Server) Run(ctx context.Context, unix, tcp net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	handler := s.counted(s.guard(s.routes()))
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	serve := func(ln net.Listener, admit func(net.Conn) (access, bool)) {
		srv := &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
			DisableGeneralOptionsHandler: true, // OPTIONS * is guarded like all others
			// What it would log is clients that go away, and net/http's own messages have no place in our log.
			ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
			BaseContext: func(net.Listener) context.Context { return ctx },
			ConnContext: func(base context.Context, c net.Conn) context.Context {
				return context.WithValue(base, accessKey{}, accessOfConn(c))
			},
		}
		wg.Go(func() {
			defer cancel()
			errs <- srv.Serve(&bounded{Listener: ln, admit: admit, slots: newSlots(), events: s.env.Events})
		})
		wg.Go(func() { <-ctx.Done(); shutdown(srv) })
	}
	if unix != nil {
		serve(unix, func(c net.Conn) (access, bool) { return s.socketAccess(c), true })
	}
	if tcp != nil {
		serve(tcp, func(c net.Conn) (access, bool) { return s.tcpAccess(c), s.fromAllowed(c.RemoteAddr()) })
	}
	<-ctx.Done()
	wg.Wait()
	s.active.close()
	return joinServeErrors(errs)
}

// counted keeps Run from returning while a request is being answered.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.active.enter() {
			writeProblem(w, micronet.E("api", micronet.Closed, "the daemon is stopping"))
			return
		}
		defer s.active.leave()
		next.ServeHTTP(w, r)
	})
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
