package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"

	micronet "github.com/micro/micro-net"
)

// maxVIPConns bounds the connections to VIPs that are served at once.
const maxVIPConns = 16_384

// CaptureConfig is what Capture needs. All fields but Ports are required.
type CaptureConfig struct {
	Env    micronet.Env
	Prefix netip.Prefix   // whose connections are redirected
	Addr   netip.AddrPort // of the one listener; 127.0.0.1:0 takes any port
	Table  string         // names the redirect's rules; one per daemon of a host
	// Lookup tells what a VIP stands for.
	Lookup func(vip netip.Addr) (micronet.Destination, bool)
	// Ports tells the ports of a destination: connections to others are reset, as if nobody
	// listened. nil: every port leads to the service.
	Ports  func(dest micronet.Destination) []Port
	Handle Handler
}

// Capture redirects all connections to VIPs to one listener, whatever the port. No VIP port is
// ever bound, so no other program can be in the way. It needs a Network with the power
// micronet.Redirector.
type Capture struct {
	cfg      CaptureConfig
	redirect micronet.Redirector
	accept   *acceptor

	// Set by Listen, before Run.
	ln   net.Listener
	undo func() error
	once sync.Once // closes ln
}

var _ Listeners = (*Capture)(nil)

// NewCapture returns a Capture, or an Unreachable error when this host cannot redirect.
func NewCapture(cfg CaptureConfig) (*Capture, error) {
	cfg.Env = cfg.Env.EnsureDefaults()
	redirect, can := cfg.Env.Net.(micronet.Redirector)
	if !can {
		return nil, micronet.E("proxy.capture", micronet.Unreachable, "this platform cannot redirect connections").
			WithFix("start without --capture on: VIP ports are then bound one by one")
	}
	return &Capture{
		cfg: cfg, redirect: redirect, accept: newAcceptor(cfg.Env.Events, maxVIPConns),
	}, nil
}

// Listen opens the listener and sends the prefix to it. Run must follow, also when only to
// undo this.
func (c *Capture) Listen(ctx context.Context) error {
	ln, err := c.cfg.Env.Net.Listen(ctx, c.cfg.Addr)
	if err != nil {
		return micronet.E("proxy.capture", micronet.KindOf(err), "listen on %s: %w", c.cfg.Addr, err)
	}
	undo, err := c.redirect.Redirect(ctx, c.cfg.Table, c.cfg.Prefix, ln)
	if err != nil {
		c.close(ln)
		return micronet.E("proxy.capture", micronet.KindOf(err), "redirect %s to %s: %w", c.cfg.Prefix, ln.Addr(), err).
			WithFix("run the daemon as root or with CAP_NET_ADMIN, or start it with --capture off")
	}
	c.ln, c.undo = ln, undo
	return nil
}

// Quiesce stops accepting: new connections are refused, as the redirect stands and nobody
// listens. It is called after Listen.
func (c *Capture) Quiesce() { c.once.Do(func() { c.close(c.ln) }) }

// Offer has nothing to do: every TCP port of every VIP leads here. Datagrams are not redirected: they
// would reach whoever has their port on all addresses, so a name without a TCP port is not offered.
func (c *Capture) Offer(_ context.Context, dest micronet.Destination, _ netip.Addr, ports []Port) error {
	if len(ports) == 0 {
		return errNoTCP(dest)
	}
	return nil
}

// Problems is empty: no port is taken, so none can be missing.
func (c *Capture) Problems() []Problem { return nil }

// Run serves what Listen opened until ctx ends.
func (c *Capture) Run(ctx context.Context) error {
	if c.ln == nil {
		return micronet.E("proxy.capture", micronet.Internal, "Run was called without Listen")
	}
	c.accept.wg.Go(func() { c.accept.loop(ctx, c.ln, func(conn net.Conn) { c.serve(ctx, conn) }) })
	<-ctx.Done()
	c.Quiesce()
	c.accept.wg.Wait()
	// The redirect goes last: without it new connections could reach a stranger.
	if err := c.undo(); err != nil {
		return micronet.E("proxy.capture", micronet.Internal, "undo the redirect of %s: %w", c.cfg.Prefix, err)
	}
	return nil
}

func (c *Capture) serve(ctx context.Context, conn net.Conn) {
	dest, ok := c.destination(conn)
	if !ok {
		c.cfg.Env.Events.PacketDropped(micronet.PacketDrop{Where: "proxy", Why: "unknown-vip"})
		abort(conn)
		return
	}
	c.cfg.Handle(ctx, conn, dest)
}

// destination tells what a redirected connection was meant for. One that came to the listener
// directly is meant for no VIP, and is turned away.
func (c *Capture) destination(conn net.Conn) (micronet.Destination, bool) {
	to := micronet.AddrPortOf(conn.LocalAddr())
	if !c.cfg.Prefix.Contains(to.Addr()) {
		return micronet.Destination{}, false
	}
	dest, ok := c.cfg.Lookup(to.Addr())
	if !ok || c.cfg.Ports == nil {
		return dest, ok
	}
	isPort := func(p Port) bool { return p.Number == to.Port() }
	return dest, slices.ContainsFunc(c.cfg.Ports(dest), isPort)
}

func (c *Capture) close(ln net.Listener) {
	if err := ln.Close(); err != nil {
		c.cfg.Env.Events.BackgroundError("proxy.capture", err)
	}
}
