package proxy

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxBoundPorts bounds the listeners, each of which is a file descriptor. Beyond it a name
	// gets an Overloaded error until others have become idle.
	maxBoundPorts = 4_096

	// vipSweep is how often idle VIPs are looked for.
	vipSweep = 30 * time.Second

	// holderAge is how long a known holder of a port is believed before it is looked up again:
	// the look-up reads through all of /proc, and names are asked for often.
	holderAge = 10 * time.Second
)

// BoundConfig is what Bound needs. All fields are required.
type BoundConfig struct {
	Env    micronet.Env
	Handle Handler
}

// Bound binds the ports of a VIP when its name is first asked for, and lets go of them when it
// was idle for ten minutes. It needs no privilege but for ports that do.
//
// A port that another program holds on all addresses cannot be bound, and the other way round:
// as long as a VIP port is bound here, Linux refuses a wildcard listener on it. So a connection
// to an offered port never reaches a stranger.
type Bound struct {
	cfg    BoundConfig
	accept *acceptor
	// turn is held while ports are bound and released, so that two questions for one name do
	// not take each other for strangers. It is a channel, as binding may block.
	turn    chan struct{}
	started chan struct{} // closed by Run

	mu       sync.Mutex
	ctx      context.Context // of Run
	ended    bool
	leases   *leases
	bound    map[netip.AddrPort]net.Listener
	problems map[netip.AddrPort]problem
}

// problem is a Problem and when its holder was looked up.
type problem struct {
	Problem
	asked time.Time
}

var _ Listeners = (*Bound)(nil)

// NewBound returns a Bound without listeners.
func NewBound(cfg BoundConfig) *Bound {
	cfg.Env = cfg.Env.EnsureDefaults()
	return &Bound{
		cfg:      cfg,
		accept:   newAcceptor(cfg.Env.Events, maxVIPConns),
		turn:     make(chan struct{}, 1),
		started:  make(chan struct{}),
		leases:   newLeases(),
		bound:    make(map[netip.AddrPort]net.Listener),
		problems: make(map[netip.AddrPort]problem),
	}
}

// Run releases idle ports until ctx ends, then closes all and waits for the handlers.
func (b *Bound) Run(ctx context.Context) error {
	b.mu.Lock()
	b.ctx = ctx
	b.mu.Unlock()
	close(b.started)
	t := time.NewTicker(vipSweep + b.cfg.Env.Phase)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			b.Quiesce()
			b.accept.wg.Wait()
			return nil
		case now := <-t.C:
			b.sweep(now)
		}
	}
}

// Quiesce waits for its turn, so that no port is being bound, and then lets go of all.
func (b *Bound) Quiesce() {
	b.turn <- struct{}{}
	b.mu.Lock()
	b.ended = true
	all := b.takeLocked(func(netip.Addr) bool { return true })
	b.mu.Unlock()
	b.close(all)
	<-b.turn
}

// sweep lets go of the ports of idle VIPs. Their leases and they themselves are forgotten in one
// step and before they are closed, so that an Offer that comes between finds them missing, waits for
// its turn and binds them again.
func (b *Bound) sweep(now time.Time) {
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.close(b.takeIdle(now))
}

func (b *Bound) takeIdle(now time.Time) []net.Listener {
	b.mu.Lock()
	defer b.mu.Unlock()
	expired := b.leases.expire(now)
	if len(expired) == 0 {
		return nil
	}
	return b.takeLocked(func(vip netip.Addr) bool {
		_, idle := slices.BinarySearchFunc(expired, vip, netip.Addr.Compare)
		return idle
	})
}

// takeLocked forgets the ports and problems of the chosen VIPs and returns the listeners, unclosed.
func (b *Bound) takeLocked(chosen func(netip.Addr) bool) []net.Listener {
	var out []net.Listener
	for at, ln := range b.bound {
		if chosen(at.Addr()) {
			out = append(out, ln)
			delete(b.bound, at)
		}
	}
	maps.DeleteFunc(b.problems, func(at netip.AddrPort, _ problem) bool { return chosen(at.Addr()) })
	return out
}

func (b *Bound) close(lns []net.Listener) {
	for _, ln := range lns {
		if err := ln.Close(); err != nil {
			b.cfg.Env.Events.BackgroundError("proxy.bound", err)
		}
	}
}

// Offer binds what is not bound yet. It succeeds when at least one port of the name is bound;
// Problems tells of the others.
func (b *Bound) Offer(ctx context.Context, dest micronet.Destination, vip netip.Addr, ports []Port) error {
	if len(ports) == 0 {
		return errNoTCP(dest)
	}
	if err := b.ready(ctx); err != nil {
		return err
	}
	if missing, err := b.missing(vip, ports); err != nil || len(missing) == 0 {
		return err
	}
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return micronet.E("proxy.offer", micronet.Timeout, "%s: %w", dest, context.Cause(ctx))
	}
	defer func() { <-b.turn }()
	return b.bindAll(ctx, dest, vip, ports)
}

// ready waits until Run has begun.
func (b *Bound) ready(ctx context.Context) error {
	select {
	case <-b.started:
		return nil
	default:
	}
	select {
	case <-b.started:
		return nil
	case <-ctx.Done():
		return micronet.E("proxy.offer", micronet.Closed, "the listeners do not run: %w", context.Cause(ctx))
	}
}

// missing renews the lease of vip and returns the ports that are not bound.
func (b *Bound) missing(vip netip.Addr, ports []Port) ([]Port, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil, micronet.E("proxy.offer", micronet.Closed, "the listeners have ended")
	}
	b.leases.touch(time.Now(), vip)
	var out []Port
	for _, p := range ports {
		if b.bound[netip.AddrPortFrom(vip, p.Number)] == nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// bindAll is called with the turn. What was missing when the caller looked may be bound by now.
func (b *Bound) bindAll(ctx context.Context, dest micronet.Destination, vip netip.Addr, ports []Port) error {
	missing, err := b.missing(vip, ports)
	if err != nil {
		return err
	}
	var problems []Problem
	for _, p := range missing {
		at := netip.AddrPortFrom(vip, p.Number)
		err := b.bind(ctx, dest, at)
		if err == nil {
			continue
		}
		if micronet.KindOf(err) == micronet.Overloaded {
			return err
		}
		problems = append(problems, b.problem(dest, at, p.Optional, err))
	}
	if len(problems) == len(ports) {
		return errNoPort(wanted(problems, ports))
	}
	return nil
}

// wanted leaves out the optional ports, which nobody needs to hear of, unless there are no others.
func wanted(problems []Problem, ports []Port) []Problem {
	var out []Problem
	for i, p := range problems {
		if !ports[i].Optional {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return problems
	}
	return out
}

func (b *Bound) bind(ctx context.Context, dest micronet.Destination, at netip.AddrPort) error {
	b.mu.Lock()
	full := len(b.bound) >= maxBoundPorts
	b.mu.Unlock()
	if full {
		return micronet.E("proxy.offer", micronet.Overloaded, "%d VIP ports are bound already", maxBoundPorts).
			WithFix("use the outbound proxy, or give the daemon CAP_NET_ADMIN, which captures the VIPs without taking ports")
	}
	ln, err := b.cfg.Env.Net.Listen(ctx, at)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bound[at] = ln
	delete(b.problems, at)
	run := b.ctx
	b.accept.wg.Go(func() {
		b.accept.loop(run, ln, func(c net.Conn) { b.serve(run, c, at.Addr(), dest) })
	})
	return nil
}

// problem notes why a port is missing, and who holds it.
func (b *Bound) problem(dest micronet.Destination, at netip.AddrPort, optional bool, err error) Problem {
	now := time.Now()
	b.mu.Lock()
	known, ok := b.problems[at]
	b.mu.Unlock()
	p := problem{Problem: Problem{Dest: dest, Addr: at, Err: err}, asked: now}
	if ok && now.Sub(known.asked) < holderAge {
		p.Holder, p.asked = known.Holder, known.asked
	} else if h, can := b.cfg.Env.Net.(micronet.PortHolder); can && errors.Is(err, syscall.EADDRINUSE) && !optional {
		p.Holder = h.PortHolder("tcp", at)
	}
	if !optional {
		b.mu.Lock()
		b.problems[at] = p
		b.mu.Unlock()
	}
	return p.Problem
}

func (b *Bound) serve(ctx context.Context, c net.Conn, vip netip.Addr, dest micronet.Destination) {
	b.mu.Lock()
	b.leases.opened(time.Now(), vip)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.leases.closed(time.Now(), vip)
		b.mu.Unlock()
	}()
	b.cfg.Handle(ctx, c, dest)
}

// Problems lists the wanted ports that could not be had and are still asked for.
func (b *Bound) Problems() []Problem {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Problem, 0, len(b.problems))
	for _, p := range b.problems {
		out = append(out, p.Problem)
	}
	slices.SortFunc(out, func(x, y Problem) int { return x.Addr.Compare(y.Addr) })
	return out
}
