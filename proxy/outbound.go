package proxy

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxOutboundConns bounds the clients of the outbound proxy.
	maxOutboundConns = 4_096

	// greetingWait bounds how long a client may take to say what it wants.
	greetingWait = 10 * time.Second

	// connectWait bounds how long a client is kept waiting for a connection.
	connectWait = 10 * time.Second
)

// OutboundConfig is what Outbound needs. Env, Addr, Resolve and Dial are required.
type OutboundConfig struct {
	Env  micronet.Env
	Addr netip.AddrPort
	Self micronet.NodeID
	// Resolve tells what a host name of the mesh stands for, also a VIP in its textual form. The
	// name is in lower case and without a final dot.
	Resolve func(host string) (micronet.Destination, bool)
	Dial    func(ctx context.Context, dest micronet.Destination, caller micronet.Caller) (Conn, error)
	// Lookup finds the addresses of other names, which are then passed through. nil: they are
	// refused.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Allow tells who may use the proxy; nil: programs of this host, by loopback.
	Allow func(client netip.Addr) bool
}

// Outbound is a SOCKS5, HTTP CONNECT and plain HTTP proxy on one port, for programs that do not
// use VIPs. The first byte tells which of them a client speaks.
type Outbound struct {
	cfg    OutboundConfig
	copier Copier
	accept *acceptor
	web    *http.Server
	webIn  *handoff

	// Set by Listen, before Run.
	ln   net.Listener
	stop func()

	run context.Context // of Run, set before anything is served
}

// NewOutbound returns a proxy that does not listen yet.
func NewOutbound(cfg OutboundConfig) *Outbound {
	cfg.Env = cfg.Env.EnsureDefaults()
	if cfg.Allow == nil {
		cfg.Allow = netip.Addr.IsLoopback
	}
	o := &Outbound{cfg: cfg, accept: newAcceptor(cfg.Env.Events, maxOutboundConns)}
	o.web, o.webIn = o.newWeb(), newHandoff()
	return o
}

// Listen opens the port. Run must follow, also when only to close it.
func (o *Outbound) Listen(ctx context.Context) error {
	ln, err := o.cfg.Env.Net.Listen(ctx, o.cfg.Addr)
	if err != nil {
		return o.listenError(err)
	}
	o.ln = ln
	o.stop = sync.OnceFunc(func() {
		if err := ln.Close(); err != nil {
			o.cfg.Env.Events.BackgroundError("proxy.outbound", err)
		}
	})
	return nil
}

func (o *Outbound) listenError(err error) error {
	e := micronet.E("proxy.listen", micronet.Refused, "%s: %w", o.cfg.Addr, err)
	if h, can := o.cfg.Env.Net.(micronet.PortHolder); can && errors.Is(err, syscall.EADDRINUSE) {
		if holder := h.PortHolder("tcp", o.cfg.Addr); holder != "" {
			e = micronet.E("proxy.listen", micronet.Refused, "%s is taken by %s: %w", o.cfg.Addr, holder, err)
		}
	}
	return e.WithFix("choose another port with --proxy-addr, or switch the proxy off with --proxy-addr off")
}

// Addr returns where the proxy listens, after Listen.
func (o *Outbound) Addr() netip.AddrPort { return micronet.AddrPortOf(o.ln.Addr()) }

// Quiesce stops accepting; connections go on. It may be called many times, after Listen.
func (o *Outbound) Quiesce() {
	o.stop()
	o.web.SetKeepAlivesEnabled(false)
}

// Run serves what Listen opened until ctx ends, then resets what is still open.
func (o *Outbound) Run(ctx context.Context) error {
	if o.ln == nil {
		return micronet.E("proxy.outbound", micronet.Internal, "Run was called without Listen")
	}
	o.run = ctx
	o.web.BaseContext = func(net.Listener) context.Context { return ctx }
	var web sync.WaitGroup
	web.Go(func() {
		if err := o.web.Serve(o.webIn); !errors.Is(err, http.ErrServerClosed) {
			o.cfg.Env.Events.BackgroundError("proxy.outbound", err)
		}
	})
	o.accept.wg.Go(func() { o.accept.loop(ctx, o.ln, func(c net.Conn) { o.serve(ctx, c) }) })
	<-ctx.Done()
	o.stop()
	// Closes the connections that it serves itself; those it handed to CONNECT end with ctx.
	if err := o.web.Close(); err != nil {
		o.cfg.Env.Events.BackgroundError("proxy.outbound", err)
	}
	o.accept.wg.Wait()
	web.Wait()
	return nil
}

// serve finds out what a client speaks and returns when it is gone.
func (o *Outbound) serve(ctx context.Context, c net.Conn) {
	if !o.cfg.Allow(micronet.AddrPortOf(c.RemoteAddr()).Addr()) {
		o.cfg.Env.Events.PacketDropped(micronet.PacketDrop{Where: "proxy", Why: "client-not-allowed"})
		abort(c)
		return
	}
	stop := context.AfterFunc(ctx, func() { abort(c) })
	defer stop()
	r := bufio.NewReader(c)
	if c.SetReadDeadline(time.Now().Add(greetingWait)) != nil {
		abort(c)
		return
	}
	first, err := r.Peek(1)
	switch {
	case err != nil:
		abort(c) // it said nothing, so there is nothing to lose
	case first[0] == socksVersion:
		o.serveSOCKS(ctx, c, r)
	default:
		o.webIn.give(ctx, newPeeked(c, r))
	}
}

// caller is who is behind a client's connection.
func (o *Outbound) caller(c net.Conn) micronet.Caller {
	return micronet.Caller{Node: o.cfg.Self, Addr: micronet.AddrPortOf(c.RemoteAddr()), Dialled: micronet.AddrPortOf(c.LocalAddr())}
}
