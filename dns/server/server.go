package server

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
)

const (
	// udpReaders is how many goroutines read packets: one that waits for the Source must not
	// hold up the others.
	udpReaders = 4

	// maxForwards bounds the forwarded UDP questions in flight. The next one is answered
	// SERVFAIL at once and reported as dropped.
	maxForwards = 256

	// maxConns bounds the TCP connections. The next one is closed at once and reported as
	// dropped.
	maxConns = 128

	// portTries bounds the search for a port that is free for UDP and TCP.
	portTries = 16

	// errorPause keeps a socket that fails again and again from taking a whole core.
	errorPause = 100 * time.Millisecond
)

// Config is what a Server is made of.
type Config struct {
	Env       micronet.Env
	Addr      netip.AddrPort          // where to listen; port 0 takes any that is free for both
	Handler   dns.Handler             // answers what it owns
	Upstreams func() []netip.AddrPort // resolvers for the rest, best first; nil or none: the rest is refused
	AllowFrom []netip.Prefix          // sources that are answered besides loopback
	// Own are addresses that only names of the Handler have: a name from elsewhere that claims one would
	// lead a browser from a foreign page to a service of ours (DNS rebinding).
	Own []netip.Prefix
}

// Server answers DNS questions. The order of calls is Open, Run; Close is for a server that
// was opened and never run.
type Server struct {
	config  Config // constant
	env     micronet.Env
	forward *forwarder
	slots   chan struct{} // one per forwarded UDP question in flight
	conns   chan struct{} // one per TCP connection

	packets  net.PacketConn // set by Open
	listener net.Listener   // set by Open
	running  atomic.Bool
}

// New returns a Server that listens nowhere yet.
func New(c Config) *Server {
	c.Env = c.Env.EnsureDefaults()
	if c.Upstreams == nil {
		c.Upstreams = func() []netip.AddrPort { return nil }
	}
	s := &Server{config: c, env: c.Env, slots: make(chan struct{}, maxForwards), conns: make(chan struct{}, maxConns)}
	s.forward = newForwarder(c.Env, s.upstreams)
	return s
}

// Open takes the port, for UDP and TCP. Its error wraps that of the operating system.
func (s *Server) Open(ctx context.Context) error {
	const op = "dns.listen"
	if s.packets != nil {
		return micronet.E(op, micronet.Invalid, "already listening on %v", s.Addr())
	}
	var errs []error
	for range portTries {
		err := s.openOnce(ctx)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if s.config.Addr.Port() != 0 || ctx.Err() != nil {
			break
		}
	}
	return micronet.E(op, micronet.Refused, "%v: %w", s.config.Addr, errs[0]).
		WithFix("choose another address with --dns-addr, or off")
}

func (s *Server) openOnce(ctx context.Context) error {
	ln, err := s.env.Net.Listen(ctx, s.config.Addr)
	if err != nil {
		return err
	}
	pc, err := s.env.Net.ListenPacket(ctx, netip.AddrPortFrom(s.config.Addr.Addr(), micronet.AddrPortOf(ln.Addr()).Port()))
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	s.packets, s.listener = pc, ln
	return nil
}

// Addr returns where the server listens, the configured address before Open.
func (s *Server) Addr() netip.AddrPort {
	if s.packets == nil {
		return s.config.Addr
	}
	return micronet.AddrPortOf(s.packets.LocalAddr())
}

// Close gives the port back. After Run it does nothing.
func (s *Server) Close() error {
	if s.packets == nil {
		return nil
	}
	err := errors.Join(s.packets.Close(), s.listener.Close())
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Run answers until ctx ends, then gives the port back and returns nil. It returns an error when
// the sockets were closed by somebody else. It may be called once, after Open.
func (s *Server) Run(ctx context.Context) error {
	const op = "dns.run"
	if s.packets == nil || s.running.Swap(true) {
		return micronet.E(op, micronet.Invalid, "Run needs Open, once")
	}
	parent := ctx
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		s.report("dns.close", s.Close())
	})
	var group sync.WaitGroup
	for range udpReaders {
		group.Go(func() { cancel(s.readPackets(ctx, &group)) })
	}
	group.Go(func() { cancel(s.acceptConns(ctx, &group)) })
	<-closed
	group.Wait()
	if parent.Err() != nil {
		return nil
	}
	err := context.Cause(ctx)
	return micronet.E(op, micronet.KindOf(err), "%w", err)
}

// report tells what went wrong behind the scenes.
func (s *Server) report(op string, err error) {
	if err != nil {
		s.env.Events.BackgroundError(op, err)
	}
}

func (s *Server) drop(why string) {
	s.env.Events.PacketDropped(micronet.PacketDrop{Where: "dns", Why: why})
}

// allowed reports whether a source may ask. The server is no open resolver, wherever it listens.
func (s *Server) allowed(from netip.Addr) bool {
	from = from.Unmap().WithZone("")
	return from.IsLoopback() || slices.ContainsFunc(s.config.AllowFrom, func(p netip.Prefix) bool { return p.Contains(from) })
}

// upstreams leaves out this server itself.
func (s *Server) upstreams() []netip.AddrPort {
	own := s.Addr()
	return slices.DeleteFunc(slices.Clone(s.config.Upstreams()), func(u netip.AddrPort) bool {
		same := u.Addr() == own.Addr() || (own.Addr().IsUnspecified() && u.Addr().IsLoopback())
		return u.Port() == own.Port() && same
	})
}

// survived decides about an error of a socket: true after a pause when the loop should go on.
func (s *Server) survived(ctx context.Context, op string, err error) bool {
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	s.report(op, err)
	select {
	case <-ctx.Done():
		return false
	case <-time.After(errorPause):
		return true
	}
}
