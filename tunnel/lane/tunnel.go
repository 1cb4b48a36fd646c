package lane

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// Tunnel carries streams over lanes where it can, and over another tunnel where it cannot. See New.
type Tunnel struct {
	// Constant after New.
	env     micronet.Env
	self    micronet.NodeID
	local   *net.UDPAddr
	below   tunnel.Tunnel
	paths   Paths
	tls     tunnel.TLS
	life    uint64 // number of this process's life
	inbound chan tunnel.Inbound
	ready   chan struct{} // closed when Run carries
	ended   chan struct{} // closed when Run stops carrying
	store   store
	group   sync.WaitGroup

	counts counts

	// Guarded by mu, which is held for map work and never while something blocks; before a session's lock, which is not
	// taken with it.
	mu       sync.Mutex
	started  bool
	running  bool
	ctx      context.Context // of Run, set before running
	peers    map[micronet.NodeID]*lanes
	carriers map[*carrier]bool
	sessions map[key]*session
	past     past
	last     uint64 // number of the carrier or session made last
}

var _ tunnel.Tunnel = (*Tunnel)(nil)

// counts are what was done since the start.
type counts struct{ sessions, moved, dialled, failed atomic.Uint64 }

// New returns a Tunnel that is not running yet. The error is Invalid and names what the Config lacks, or that of Entropy.
func New(c Config) (*Tunnel, error) {
	if c.Self.IsZero() || c.Below == nil || c.Paths == nil || c.TLS == nil {
		return nil, micronet.E("tunnel.new", micronet.Invalid, "the config needs Self, Below, Paths and TLS")
	}
	t := &Tunnel{
		env: c.Env.EnsureDefaults(), self: c.Self, local: c.Self.UDPAddr(), below: c.Below, paths: c.Paths, tls: c.TLS,
		inbound: make(chan tunnel.Inbound, InboundQueue), ready: make(chan struct{}), ended: make(chan struct{}),
		peers: map[micronet.NodeID]*lanes{}, carriers: map[*carrier]bool{}, sessions: map[key]*session{},
		past: past{of: map[key]byte{}},
	}
	var b [8]byte
	if _, err := io.ReadFull(t.env.Entropy, b[:]); err != nil {
		return nil, micronet.E("tunnel.new", micronet.Internal, "draw a number: %w", err)
	}
	t.life = binary.BigEndian.Uint64(b[:]) | 1
	return t, nil
}

// Below returns the tunnel that this one wraps.
func (t *Tunnel) Below() tunnel.Tunnel { return t.below }

// Ready is closed when Run has begun to carry streams.
func (t *Tunnel) Ready() <-chan struct{} { return t.ready }

// Run carries streams, and runs the tunnel below, until ctx ends or that fails. It may be called once.
func (t *Tunnel) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	failed := make(chan error, 1)
	go func() { failed <- t.below.Run(life) }()
	err := t.carry(ctx, failed)
	end()
	if below := <-failed; err == nil {
		err = below
	}
	t.group.Wait()
	return err
}

// carry begins once the tunnel below does, and stops when ctx ends or that fails: what that returned is put back.
func (t *Tunnel) carry(ctx context.Context, failed chan error) error {
	var below <-chan struct{}
	if r, ok := t.below.(interface{ Ready() <-chan struct{} }); ok {
		below = r.Ready()
	} else {
		now := make(chan struct{})
		close(now)
		below = now
	}
	select {
	case <-below:
	case err := <-failed:
		failed <- err
		return nil
	case <-ctx.Done():
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := t.start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err := <-failed:
		failed <- err
	}
	cancel()
	t.stop()
	return nil
}

func (t *Tunnel) start(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.started {
		return micronet.E("tunnel.run", micronet.Internal, "Run was called twice")
	}
	t.started, t.running, t.ctx = true, true, ctx
	close(t.ready)
	t.group.Go(func() { t.forward(ctx) })
	t.group.Go(func() { t.tend(ctx) })
	return nil
}

// stop says goodbye on all carriers and ends them, and all sessions.
func (t *Tunnel) stop() {
	t.mu.Lock()
	t.running = false
	close(t.ended)
	carriers, sessions := t.allLocked(func(*carrier) bool { return true }, func(*session) bool { return true })
	t.mu.Unlock()
	t.part(carriers, sessions, codeStopped, "the node stops")
}

// spawn runs f in a goroutine that Run waits for; not at all once Run has ended.
func (t *Tunnel) spawn(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.running {
		t.group.Go(f)
	}
}

// forward takes the streams of the tunnel below: those that carry sessions are served, the others handed on.
func (t *Tunnel) forward(ctx context.Context) {
	for {
		in, err := t.below.Accept(ctx)
		if err != nil {
			return
		}
		if in.Opening().Purpose == tunnel.PurposeCarrier {
			t.spawn(func() { t.serveStream(in) })
			continue
		}
		select {
		case t.inbound <- in:
		case <-ctx.Done():
			in.Abort()
			return
		}
	}
}

// Accept returns the next stream that a peer opened.
func (t *Tunnel) Accept(ctx context.Context) (tunnel.Inbound, error) {
	if !t.isRunning() {
		return nil, tunnel.NotRunning("tunnel.accept")
	}
	select {
	case in := <-t.inbound:
		return in, nil
	case <-ctx.Done():
		return nil, tunnel.ContextError("tunnel.accept", micronet.NodeID{}, context.Cause(ctx))
	case <-t.ended:
		return nil, tunnel.NotRunning("tunnel.accept")
	}
}

func (t *Tunnel) isRunning() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running
}

// Open starts a stream, over a lane if it is one of a program and there is one.
func (t *Tunnel) Open(ctx context.Context, to micronet.NodeID, o tunnel.Opening) (tunnel.Outbound, error) {
	way, ok := t.paths.Path(to)
	if o.Purpose != tunnel.PurposeService || !ok || !near(way, leaveRTT) {
		return t.below.Open(ctx, to, o)
	}
	frame, err := tunnel.AppendOpening(nil, o)
	if err != nil {
		return nil, err
	}
	s := newSession(t, key{peer: to, ours: true})
	if _, err := io.ReadFull(t.env.Entropy, s.id[:]); err != nil {
		return nil, micronet.E("tunnel.open", micronet.Internal, "draw a number: %w", err)
	}
	s.due.open = true
	s.out.add(frame)
	switch t.enlist(s, way) {
	case plain:
		s.out.drop()
		return t.below.Open(ctx, to, o)
	case awaiting:
		if err := t.beginBelow(ctx, s); err != nil {
			s.out.drop()
			return nil, err
		}
	}
	s.push()
	return newOutbound(s), nil
}

func (t *Tunnel) addLocked(s *session) {
	t.last++
	s.number = t.last
	t.sessions[s.key] = s
	t.counts.sessions.Add(1)
}

// joinLocked has a session use a carrier. It returns the session that was on that
// carrier until now: its peer has given it up.
func (t *Tunnel) joinLocked(s *session, c *carrier, turn byte) (former *session) {
	if former = c.session; former == s {
		former = nil
	}
	c.carriesLocked(s, turn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carrier, s.turn = c, turn
	if s.life == 0 {
		s.life = c.life
	}
	return former
}

// carriesLocked notes whose frames a carrier carries from now on. It has to say something soon.
func (c *carrier) carriesLocked(s *session, turn byte) {
	c.session, c.turn, c.used = s, turn, time.Now()
	c.hears()
}

// sessionOn returns the session that is on a carrier at a turn.
func (t *Tunnel) sessionOn(c *carrier, turn byte) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.turn != turn {
		return nil
	}
	return c.session
}

// complete takes a session that is over from its carrier, which is free for the next one.
func (t *Tunnel) complete(s *session, c *carrier, well bool) {
	t.mu.Lock()
	t.dropLocked(s, well)
	finish := false
	if c.session == s {
		c.session, c.used = nil, time.Now()
		finish = t.restLocked(c)
	}
	t.mu.Unlock()
	if finish {
		c.finish()
	}
}

// forgetBadly drops a session that did not come to its end.
func (t *Tunnel) forgetBadly(s *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropLocked(s, false)
}

func (t *Tunnel) dropLocked(s *session, well bool) {
	if t.sessions[s.key] == s {
		delete(t.sessions, s.key)
		t.past.note(s.key, well, time.Now())
		t.leaveBelowLocked(s)
	}
}

// Disconnect closes everything between this node and a peer, and resets its streams.
func (t *Tunnel) Disconnect(peer micronet.NodeID, reason string) {
	t.mu.Lock()
	carriers, sessions := t.allLocked(
		func(c *carrier) bool { return c.peer == peer }, func(s *session) bool { return s.peer == peer })
	delete(t.peers, peer)
	t.mu.Unlock()
	t.part(carriers, sessions, codeParted, reason)
	t.below.Disconnect(peer, reason)
}

// allLocked returns carriers and sessions, oldest first.
func (t *Tunnel) allLocked(c func(*carrier) bool, s func(*session) bool) (carriers []*carrier, sessions []*session) {
	for k := range t.carriers {
		if c(k) {
			carriers = append(carriers, k)
		}
	}
	for _, k := range t.sessions {
		if s(k) {
			sessions = append(sessions, k)
		}
	}
	slices.SortFunc(carriers, func(a, b *carrier) int { return cmp.Compare(a.number, b.number) })
	slices.SortFunc(sessions, func(a, b *session) int { return cmp.Compare(a.number, b.number) })
	return carriers, sessions
}

// part resets sessions with a word to the peer, and ends carriers.
func (t *Tunnel) part(carriers []*carrier, sessions []*session, why code, reason string) {
	for _, s := range sessions {
		err := micronet.E("tunnel.stream", micronet.Closed, "the connection was closed here: %s", reason).WithPeer(s.peer)
		s.breakWith(err, err)
	}
	var words sync.WaitGroup
	for _, c := range carriers {
		timer := time.AfterFunc(partTime, c.end)
		words.Go(func() {
			if turn, busy := t.turnOf(c); busy {
				c.say(shortFrame(kindReset, turn, 0, byte(why)))
			}
			timer.Stop()
			c.finish()
		})
	}
	words.Wait()
}

func (t *Tunnel) turnOf(c *carrier) (turn byte, busy bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.turn, c.session != nil
}
