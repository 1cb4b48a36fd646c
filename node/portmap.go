package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/portmap"
	"github.com/micro/micro-net/node/api"
)

// PortMapMode says whether this node asks the router of its network to let others in.
type PortMapMode string

// The values of --port-map.
const (
	PortMapAuto PortMapMode = "auto" // where the router sees a private address of this host
	PortMapOff  PortMapMode = "off"
)

const (
	// answersQueue is how many answers of a router wait; further ones are dropped.
	answersQueue = 4
	// largestAnswer is more than any that is read; see RFC 6887, section 7.
	largestAnswer = 2048
	// withdrawTries and withdrawWait are how often, and for how long at a time, a mapping is given back at the end. If the router does not hear
	// it, the mapping ends by itself.
	withdrawTries = 2
	withdrawWait  = 100 * time.Millisecond
	// withdrawFetch is the same over HTTP.
	withdrawFetch = time.Second
)

// mapper asks the default router for a port that leads to our mesh port, and gives it back at the end.
type mapper struct {
	env    micronet.Env
	mode   PortMapMode
	mesh   netip.AddrPort
	keys   identity.Keys
	looks  chan struct{} // capacity 1: the way out may be another one
	moved  func()        // others must be told where we are
	loops  *loops
	states atomic.Pointer[mapping]
}

// mapping is how it stands.
type mapping struct {
	portmap.State
	router netip.Addr
}

// noRouter is the Kind of a State that no router has said anything about.
const noRouter portmap.Kind = api.PortMapNone

func newMapper(l *life) *mapper {
	m := &mapper{
		env: l.env, mode: l.config.PortMap, mesh: l.mesh, keys: l.keys, looks: make(chan struct{}, 1), loops: l.loops,
		moved: func() { poke(l.remapped) },
	}
	m.states.Store(&mapping{State: portmap.State{Kind: noRouter, Reason: "not looked for yet"}})
	return m
}

// look has the way out looked for again: interfaces may have changed.
func (m *mapper) look() { poke(m.looks) }

// outer is where the router lets others in, if it does.
func (m *mapper) outer() []netip.AddrPort {
	if s := m.states.Load(); s.Kind == portmap.Granted {
		return []netip.AddrPort{s.Outer}
	}
	return nil
}

// way is how packets leave this host: by which router, and from which address of ours.
type way struct{ router, local netip.Addr }

// keep asks as long as the node lives, and the router of the network that it is in then.
func (m *mapper) keep(ctx context.Context) error {
	if m.mode == PortMapOff {
		m.tell(mapping{State: portmap.State{Kind: api.PortMapOff}})
		return nil
	}
	for ctx.Err() == nil {
		m.loops.round("portmap")
		out, why := m.way()
		if why == "" {
			if m.serve(ctx, out) {
				continue
			}
			why = "the router cannot be asked"
		}
		m.tell(mapping{State: portmap.State{Kind: noRouter, Reason: why}, router: out.router})
		select {
		case <-ctx.Done():
		case <-m.looks:
		}
	}
	return nil
}

// way is whom to ask, or why nobody.
func (m *mapper) way() (out way, why string) {
	finder, ok := m.env.Net.(micronet.GatewayFinder)
	if !ok {
		return out, "this system does not tell its router"
	}
	var err error
	out.router, out.local, err = finder.Gateway()
	switch {
	case err != nil:
		m.env.Events.BackgroundError("node.gateway", err)
		return out, "the router of this host cannot be found"
	case !out.router.IsValid():
		return out, "this host has no router of IPv4"
	case !out.local.IsPrivate():
		return out, fmt.Sprintf("%s is no private address", out.local)
	case !m.mesh.Addr().Unmap().IsUnspecified() && m.mesh.Addr().Unmap() != out.local:
		return out, fmt.Sprintf("the mesh listens at %s, the router knows %s", m.mesh.Addr(), out.local)
	}
	return out, ""
}

// serve keeps a mapping until ctx ends or another way leads out; false where it cannot.
func (m *mapper) serve(ctx context.Context, out way) bool {
	conn, err := m.env.Net.DialPacket(ctx, netip.AddrPortFrom(out.router, portmap.Port))
	if err != nil {
		m.env.Events.BackgroundError("node.portmap", err)
		return false
	}
	talking, hush := context.WithCancel(ctx)
	defer hush()
	t := &mapTalk{mapper: m, out: out, conn: conn, igd: newIGDTalk(m.env, out), heard: make(chan []byte, answersQueue), done: make(chan struct{})}
	go t.read()
	t.keeper = portmap.New(time.Now(), portmap.Config{Router: out.router, Client: out.local, Port: m.mesh.Port(), Nonce: m.nonce(out.router), Rand: m.env.Rand("portmap")})
	intact := t.run(talking)
	hush()
	t.igd.tasks.Wait()
	t.withdraw(ctx)
	if err := conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		m.env.Events.BackgroundError("node.portmap", err)
	}
	<-t.done
	return intact
}

// nonce makes mappings ours, also after a crash: a router lets nobody else change or prolong them. Each router gets another one.
func (m *mapper) nonce(router netip.Addr) portmap.Nonce {
	h := sha256.New()
	h.Write([]byte("micro-net/pcp-nonce/1\x00"))
	h.Write(m.keys.Sign.Seed())
	h.Write(router.AsSlice())
	return portmap.Nonce(h.Sum(nil))
}

// tell notes how it stands, and has peers told if that changes where they reach us.
func (m *mapper) tell(s mapping) {
	before := m.outer()
	m.states.Store(&s)
	now := m.outer()
	switch {
	case len(now) > 0 && (len(before) == 0 || before[0] != now[0]):
		m.env.Log.Info("the router lets others in", "addr", now[0], "router", s.router, "protocol", s.Protocol)
	case len(now) == 0 && len(before) > 0:
		m.env.Log.Info("the router lets nobody in any more", "addr", before[0], "router", s.router, "reason", s.Reason)
	default:
		return
	}
	m.moved()
}

// status is how it stands, for people; now is the wall clock.
func (m *mapper) status(now time.Time) api.PortMapping {
	s := m.states.Load()
	out := api.PortMapping{State: string(s.Kind), Protocol: s.Protocol, Reason: s.Reason}
	if s.router.IsValid() {
		out.Router = s.router.String()
	}
	switch s.Kind {
	case portmap.Granted:
		out.Address, out.Until = s.Outer.String(), now.Add(time.Until(s.Until)).UTC().Round(time.Second)
	case portmap.Unusable:
		out.Address = s.Outer.Addr().String()
	}
	return out
}

// mapTalk is what we have to say to one router. The socket is connected to its port for PCP and NAT-PMP: the kernel lets in nothing from elsewhere.
type mapTalk struct {
	mapper *mapper
	out    way
	conn   net.Conn
	igd    *igdTalk
	keeper *portmap.Keeper
	heard  chan []byte   // nil: nothing listens there
	done   chan struct{} // closed when read has ended
}

// read hands on what the router says, until the socket is closed or fails.
func (t *mapTalk) read() {
	defer close(t.done)
	buf := make([]byte, largestAnswer)
	for {
		n, err := t.conn.Read(buf)
		var answer []byte
		switch {
		case err == nil:
			answer = append([]byte{}, buf[:n]...)
		case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
			continue // the router is off, or was for a moment
		case !errors.Is(err, syscall.ECONNREFUSED):
			return
		}
		select {
		case t.heard <- answer:
		default:
			t.mapper.env.Events.PacketDropped(micronet.PacketDrop{Where: "node", Why: "portmap-full"})
		}
	}
}

// run talks until ctx ends or another way leads out; false when the socket has failed.
func (t *mapTalk) run(ctx context.Context) (intact bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		t.mapper.loops.round("portmap")
		select {
		case <-ctx.Done():
			return true
		case <-t.done:
			return false
		case <-t.mapper.looks:
			if out, why := t.mapper.way(); why != "" || out != t.out {
				return true
			}
			continue
		case answer := <-t.heard:
			t.send(ctx, t.take(answer))
		case answer := <-t.igd.found:
			t.send(ctx, t.keeper.Found(time.Now(), answer))
		case f := <-t.igd.fetched:
			t.send(ctx, t.keeper.Fetched(time.Now(), f.request, f.body))
		case <-timer.C:
			t.send(ctx, t.keeper.Tick(time.Now()))
		}
		t.mapper.tell(mapping{State: t.keeper.State(), router: t.out.router})
		timer.Reset(max(0, time.Until(t.keeper.Next())))
	}
}

func (t *mapTalk) take(answer []byte) *portmap.Request {
	if answer == nil {
		return t.keeper.Unreachable(time.Now())
	}
	return t.keeper.Received(time.Now(), answer)
}

// send sends a request, nil for none. Where the kernel knows already that nothing listens it says so here, and what is to be said then is sent
// at once.
func (t *mapTalk) send(ctx context.Context, r *portmap.Request) {
	for r != nil && r.Via == portmap.ToPort {
		if _, err := t.conn.Write(r.Body); !errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		r = t.keeper.Unreachable(time.Now())
	}
	if r != nil {
		t.igd.send(ctx, r)
	}
}

// withdraw gives the mapping back, if there is one. ctx may have ended.
func (t *mapTalk) withdraw(ctx context.Context) {
	r := t.keeper.Withdraw()
	switch {
	case r == nil:
	case r.Via == portmap.HTTP:
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawFetch)
		defer cancel()
		_, _ = t.igd.fetch(ctx, r) // or it ends by itself
	default:
		t.withdrawByDatagram(r.Body)
	}
}

func (t *mapTalk) withdrawByDatagram(b []byte) {
	timer := time.NewTimer(withdrawWait)
	defer timer.Stop()
	for range withdrawTries {
		if _, err := t.conn.Write(b); err != nil {
			return // it ends by itself
		}
		timer.Reset(withdrawWait)
		select {
		case <-t.heard:
			return
		case <-t.done:
			return
		case <-timer.C:
		}
	}
}
