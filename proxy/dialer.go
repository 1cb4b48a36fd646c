package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// DialerConfig is what Dialer needs. Env, Routes and Opener are required.
type DialerConfig struct {
	Env    micronet.Env
	Self   micronet.NodeID // instances of this node are dialled directly
	Routes Routes
	Opener Opener
	// LocalFrom tells from which address an instance of this host is dialled; nil: from any.
	LocalFrom LocalFrom
	// Refused tells whether an error of Answered is the other daemon's own refusal, so that no
	// byte reached a backend. nil: by kind, see isRefusal.
	Refused func(err error) bool
	// Caller tells who is behind an accepted connection; nil: its address and Self.
	Caller func(c net.Conn) micronet.Caller
	// Attest adds to a caller of this host what its node can say of it, and may block; nil: nothing.
	Attest func(ctx context.Context, c micronet.Caller) micronet.Caller
	Guard  Guard  // decides about instances of this node, and foresees what others decide; nil: all may call
	Flows  *Flows // nil: one of its own
}

// Dialer connects callers to instances.
//
//	Pick ─▶ own instance ──────────── connect ── refused ──▶ next instance
//	   │                                 └───── accepted ──▶ Conn
//	   ├──▶ node not heard lately ── opening frame alone ── no answer in 250 ms, refused ──▶ next
//	   │                                 └───── accepted ──▶ Conn
//	   └──▶ fresh node ── opening frame ──▶ Conn; what is written goes along and is kept
//	                          ├─ accepted: the copy is dropped
//	                          ├─ refused: the copy goes to the next instance
//	                          └─ silent for 1 s, broken: next instance if nothing was written, else reset
//
// All methods may be called from several goroutines.
type Dialer struct {
	cfg    DialerConfig
	copier Copier

	mu       sync.Mutex
	ended    bool
	awaiting map[*conn]struct{} // connections whose answer is outstanding
	wg       sync.WaitGroup     // one per entry of awaiting
}

// NewDialer returns a Dialer. Dial works at once; Run owns what it leaves behind.
func NewDialer(cfg DialerConfig) *Dialer {
	cfg.Env = cfg.Env.EnsureDefaults()
	if cfg.Flows == nil {
		cfg.Flows = NewFlows(cfg.Env.Events)
	}
	if cfg.Refused == nil {
		cfg.Refused = isRefusal
	}
	if cfg.Guard == nil {
		cfg.Guard = open{}
	}
	if cfg.LocalFrom == nil {
		cfg.LocalFrom = fromAnywhere
	}
	if cfg.Attest == nil {
		cfg.Attest = func(_ context.Context, c micronet.Caller) micronet.Caller { return c }
	}
	if cfg.Caller == nil {
		self := cfg.Self
		cfg.Caller = func(c net.Conn) micronet.Caller {
			return micronet.Caller{Node: self, Addr: micronet.AddrPortOf(c.RemoteAddr()), Dialled: micronet.AddrPortOf(c.LocalAddr())}
		}
	}
	return &Dialer{cfg: cfg, awaiting: make(map[*conn]struct{})}
}

// Run waits for ctx, then gives up on all outstanding answers and returns when their goroutines
// have ended. Connections that were accepted live on; Flows ends those.
func (d *Dialer) Run(ctx context.Context) error {
	<-ctx.Done()
	d.mu.Lock()
	d.ended = true
	var all []*conn
	for c := range d.awaiting {
		all = append(all, c)
	}
	d.mu.Unlock()
	for _, c := range all {
		c.Abort()
	}
	d.wg.Wait()
	return nil
}

// Dial connects to an instance of dest. With a node that was heard just now it returns before
// the answer: Answered, or the first Read, tells how it went. ctx bounds Dial alone.
//
// The error is NotFound for an unknown service, Refused or Unauthorized when the caller may not,
// Unreachable or Timeout when no instance took the connection, Closed after the end of Run.
func (d *Dialer) Dial(ctx context.Context, dest micronet.Destination, caller micronet.Caller) (Conn, error) {
	began := time.Now()
	h := &hunt{d: d, dest: dest, caller: d.cfg.Attest(ctx, caller), left: maxAttempts}
	l, err := h.connect(ctx, true)
	if err == nil {
		return d.start(ctx, h, l)
	}
	d.cfg.Env.Events.FlowEnded(micronet.Flow{Dest: dest, Lasted: time.Since(began), Err: err})
	return nil, err
}

// start makes a Conn of a link, and has its answer awaited if that is outstanding.
func (d *Dialer) start(ctx context.Context, h *hunt, l *link) (Conn, error) {
	c := newConn(ctx, d, h, l)
	if err := h.recheck(ctx, l); err != nil {
		c.Abort()
		return nil, err
	}
	if l.accepted {
		c.settle(l)
		return c, nil
	}
	d.mu.Lock()
	ended := d.ended
	if !ended {
		d.awaiting[c] = struct{}{}
		d.wg.Go(func() { defer d.forget(c); c.await(h) })
	}
	d.mu.Unlock()
	if ended {
		c.Abort()
		return nil, micronet.E("proxy.dial", micronet.Closed, "%s: the node is stopping", h.dest)
	}
	return c, nil
}

func (d *Dialer) forget(c *conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.awaiting, c)
}

// Carry connects client to an instance of dest and copies until both sides are done, or resets
// both when ctx ends. When there is no instance the client is reset. It is the Handler of Listeners.
func (d *Dialer) Carry(ctx context.Context, client net.Conn, dest micronet.Destination) {
	c, err := d.Dial(ctx, dest, d.cfg.Caller(client))
	if err != nil {
		abort(client)
		return
	}
	d.Pump(ctx, client, c)
}

// Pump copies between a client and what Dial returned; the end of ctx resets both.
func (d *Dialer) Pump(ctx context.Context, client net.Conn, c Conn) Carried {
	stop := context.AfterFunc(ctx, func() {
		abort(client)
		c.Abort()
	})
	defer stop()
	return d.copier.Pump(client, c)
}

// isRefusal tells a daemon's refusal from a tunnel that failed by its kind. Receiver refuses with
// these two kinds only, and a stream that was open fails with neither; every other kind may mean
// that the bytes arrived and only the answer was lost.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*micronet.Error](err)
	return ok && (e.Kind == micronet.NotFound || e.Kind == micronet.Refused)
}
