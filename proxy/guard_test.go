package proxy

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// ruling is a Guard that says the same to both questions.
type ruling func(micronet.Caller, *micronet.Instance) error

func (r ruling) Admit(c micronet.Caller, to *micronet.Instance) error  { return r(c, to) }
func (r ruling) Allows(c micronet.Caller, to *micronet.Instance) error { return r(c, to) }

// latch allows until it is closed.
type latch struct{ closed atomic.Bool }

func (l *latch) Admit(c micronet.Caller, to *micronet.Instance) error { return l.Allows(c, to) }

func (l *latch) Allows(micronet.Caller, *micronet.Instance) error {
	if l.closed.Load() {
		return errors.New("policy no-c")
	}
	return nil
}

// served listens where an instance is said to be and keeps what it accepts.
func served(t *testing.T, n *memNet, at string) {
	ln, err := n.Listen(t.Context(), netip.MustParseAddrPort(at))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			if _, err := ln.Accept(); err != nil {
				return
			}
		}
	}()
}

// TestQ23_TighteningCutsFlows: connections to instances of this node that a changed policy does not
// allow are reset, those of callers elsewhere and of this host, and so are those of its programs to others.
func TestQ23_TighteningCutsFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		served(t, n, "127.0.0.1:1")
		flows, web := NewFlows(nil), webAt("a", 1, micronet.Passing)
		r := NewReceiver(ReceiverConfig{
			Env: micronet.Env{Net: n}, Self: nodeID(1), Flows: flows, Locals: func(string) []micronet.Instance { return []micronet.Instance{web} },
		})
		d := localDialer(n, web, nil, flows)
		caller, in := arrive("a")
		go r.ServeInbound(t.Context(), in)
		own, err := d.Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{Node: nodeID(1)})
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, cut := micronet.Route{Node: nodeID(5)}, 0
		foreign := flows.flow(time.Now(), micronet.Destination{}, &elsewhere, micronet.Caller{Node: nodeID(6)}, func() { t.Error("a flow of others was cut") })
		foreign.begin()
		out := flows.flow(time.Now(), micronet.Destination{}, &elsewhere, micronet.Caller{Node: nodeID(1)}, func() { cut++ })
		out.begin()
		synctest.Wait()
		fromNine := ruling(func(c micronet.Caller, to *micronet.Instance) error {
			if c.Node == nodeID(9) && c.Service == "shop" && to.ID == "a" {
				return errors.New("no")
			}
			return nil
		})
		if n := flows.CloseRefused(nodeID(1), fromNine); n != 1 || flows.Active() < 2 {
			t.Errorf("%d were cut, want that of node 9", n)
		}
		synctest.Wait()
		if n := flows.CloseRefused(nodeID(1), ruling(func(micronet.Caller, *micronet.Instance) error { return errors.New("no") })); n != 2 || cut != 1 {
			t.Errorf("%d were cut, want those of this host, %d went elsewhere", n, cut)
		}
		for _, c := range []io.Reader{caller, own} {
			if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("read %v, want a reset", err)
			}
		}
	})
}

func localDialer(n *memNet, inst micronet.Instance, g Guard, flows *Flows) *Dialer {
	routes := pickFunc(func(tried []micronet.InstanceKey) (Ticket, error) {
		if len(tried) > 0 {
			return Ticket{}, micronet.E("routes", micronet.Unreachable, "no more")
		}
		r := micronet.Route{Node: nodeID(1), Path: micronet.PathLocal, Instance: inst}
		return Ticket{Route: r, Done: func(time.Time, Outcome) {}}, nil
	})
	return NewDialer(DialerConfig{Env: micronet.Env{Net: n}, Self: nodeID(1), Routes: routes, Guard: g, Flows: flows})
}

func TestLocalCallsAreSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		served(t, n, "127.0.0.1:1")
		g := &latch{}
		g.closed.Store(true)
		_, err := localDialer(n, webAt("a", 1, micronet.Passing), g, nil).Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{Node: nodeID(1)})
		if micronet.KindOf(err) != micronet.Refused || !strings.Contains(err.Error(), "policy no-c") {
			t.Errorf("got %v", err)
		}
	})
}

// shutting allows the first question and closes then: a policy that changes while the instance is dialled.
type shutting struct{ latch }

func (s *shutting) Admit(c micronet.Caller, to *micronet.Instance) error {
	err := s.Allows(c, to)
	s.closed.Store(true)
	return err
}

// TestQ23_ChangeWhileDialling: a connection that was admitted by the former policies and registered after
// the change is nobody's: it ends by itself.
func TestQ23_ChangeWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		served(t, n, "127.0.0.1:1")
		web := webAt("a", 1, micronet.Passing)
		r := NewReceiver(ReceiverConfig{
			Env: micronet.Env{Net: n}, Guard: &shutting{}, Locals: func(string) []micronet.Instance { return []micronet.Instance{web} },
		})
		caller, in := arrive("a")
		if err := r.ServeInbound(t.Context(), in); err == nil {
			t.Error("it was carried to its end")
		}
		if _, err := caller.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("read %v, want a reset", err)
		}
		_, err := localDialer(n, web, &shutting{}, nil).Dial(t.Context(), micronet.Destination{Service: "web"}, micronet.Caller{})
		if micronet.KindOf(err) != micronet.Refused {
			t.Errorf("a call of this host: %v", err)
		}
	})
}

// TestForeseenRefusal: a fresh node that will refuse gets no payload unasked, and Dial says why; but it
// decides, and what it accepts goes on.
func TestForeseenRefusal(t *testing.T) {
	closed := &latch{}
	closed.closed.Store(true)
	for does, kind := range map[behaviour]micronet.Kind{denies: micronet.Refused, accepts: micronet.Internal} {
		synctest.Test(t, func(t *testing.T) {
			m := newMesh(t, does).allFresh()
			m.run(t, func(d *Dialer) {
				d.cfg.Guard = closed
				c, err := d.Dial(t.Context(), web, micronet.Caller{})
				if err == nil {
					c.Close()
				}
				if (err == nil) != (does == accepts) || (err != nil && micronet.KindOf(err) != kind) {
					t.Errorf("behaviour %d: %v", does, err)
				}
			})
			m.wg.Wait()
		})
	}
}
