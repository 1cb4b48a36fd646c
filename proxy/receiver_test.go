package proxy

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// arrival is a stream from another node.
type arrival struct {
	*memConn
	instance string
	verdict  chan error
}

func (a *arrival) From() micronet.NodeID { return nodeID(9) }
func (a *arrival) Service() string       { return "web" }
func (a *arrival) Instance() string      { return a.instance }
func (a *arrival) Caller() string        { return "shop" }
func (a *arrival) Trace() string         { return "" }
func (a *arrival) Accept() error         { a.verdict <- nil; return nil }

func (a *arrival) Refuse(kind micronet.Kind, reason string) error {
	a.verdict <- micronet.E("far", kind, "%s", reason)
	return a.Close()
}

func arrive(instance string) (caller *memConn, in *arrival) {
	caller, b := memPair(netip.AddrPort{}, netip.AddrPort{})
	return caller, &arrival{memConn: b, instance: instance, verdict: make(chan error, 2)}
}

func webAt(id string, port uint16, h micronet.Health) micronet.Instance {
	return micronet.Instance{Service: "web", ID: id, Address: netip.MustParseAddr("127.0.0.1"), Port: port, Health: h}
}

func TestServeInbound(t *testing.T) {
	for _, c := range []struct {
		name     string
		locals   []micronet.Instance
		instance string
		deny     error
		kind     micronet.Kind // of the refusal
		says     string        // the refusal, or what the backend says
	}{
		{"the wanted one", []micronet.Instance{webAt("a", 1, micronet.Passing), webAt("b", 2, micronet.Passing)}, "b", nil, 0, "port 2"},
		{"another one", []micronet.Instance{webAt("a", 1, micronet.Critical), webAt("b", 2, micronet.Warning)}, "a", nil, 0, "port 2"},
		{"any", []micronet.Instance{webAt("a", 1, micronet.Passing)}, "", nil, 0, "port 1"},
		{"none", nil, "", nil, micronet.NotFound, `"web" has no instance at this node`},
		{"none serves", []micronet.Instance{webAt("a", 1, micronet.Critical)}, "a", nil, micronet.NotFound, "serves at this node now"},
		{"denied", []micronet.Instance{webAt("a", 1, micronet.Passing)}, "a", errors.New("policy no-c denies it"), micronet.Refused, "policy no-c denies it"},
		{"nobody listens", []micronet.Instance{webAt("a", 7, micronet.Passing)}, "a", nil, micronet.NotFound, "web at 127.0.0.1:7 does not answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet()
				for port, says := range map[uint16]string{1: "port 1", 2: "port 2"} {
					ln, _ := n.Listen(t.Context(), netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
					go func() {
						for {
							conn, err := ln.Accept()
							if err != nil {
								return
							}
							io.WriteString(conn, says)
							conn.Close()
						}
					}()
					defer ln.Close()
				}
				standsFor := netip.MustParseAddr("127.88.0.9")
				var ended []micronet.Flow
				ev := &micronet.Events{FlowEnded: func(f micronet.Flow) { ended = append(ended, f) }}
				r := NewReceiver(ReceiverConfig{
					Env:       micronet.Env{Net: n, Host: micronet.Host{OS: "linux"}},
					Locals:    func(string) []micronet.Instance { return c.locals },
					LocalFrom: func(c micronet.Caller) netip.Addr { return standsFor },
					Flows:     NewFlows(ev),
					Guard: ruling(func(caller micronet.Caller, _ *micronet.Instance) error {
						if caller.Node != nodeID(9) || caller.Service != "shop" {
							t.Errorf("caller = %+v", caller)
						}
						return c.deny
					}),
				})
				caller, in := arrive(c.instance)
				caller.CloseWrite()
				err := r.ServeInbound(t.Context(), in)
				verdict := <-in.verdict
				if c.kind != 0 {
					if micronet.KindOf(verdict) != c.kind || !strings.Contains(verdict.Error(), c.says) || err == nil {
						t.Errorf("refused with %v (%v), want %v with %q", verdict, err, c.kind, c.says)
					}
					if !isRefusal(verdict) {
						t.Error("a dialer would not take this for a refusal")
					}
					return
				}
				got, rerr := io.ReadAll(caller)
				if err != nil || verdict != nil || rerr != nil || string(got) != c.says {
					t.Errorf("heard %q, %v, %v, %v; want %q", got, err, verdict, rerr, c.says)
				}
				if len(n.froms) != 1 || n.froms[0] != standsFor {
					t.Errorf("dialled from %v, want %v", n.froms, standsFor)
				}
				if len(ended) != 1 || ended[0].Received != int64(len(c.says)) {
					t.Errorf("flows = %+v", ended)
				}
			})
		})
	}
}

// A revoked node's connections are cut, both ways.
func TestCloseNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet()
		ln, _ := n.Listen(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"))
		defer ln.Close()
		flows := NewFlows(nil)
		r := NewReceiver(ReceiverConfig{
			Env: micronet.Env{Net: n}, Flows: flows,
			Locals: func(string) []micronet.Instance { return []micronet.Instance{webAt("a", 1, micronet.Passing)} },
		})
		caller, in := arrive("a")
		go r.ServeInbound(t.Context(), in)
		backend, _ := ln.Accept()
		synctest.Wait()
		if n := flows.CloseNode(nodeID(8)); n != 0 || flows.Active() != 1 {
			t.Errorf("CloseNode of another node cut %d", n)
		}
		if n := flows.CloseNode(nodeID(9)); n != 1 {
			t.Errorf("CloseNode cut %d, want 1", n)
		}
		for _, c := range []io.Reader{caller, backend} {
			if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("read %v, want a reset", err)
			}
		}
		synctest.Wait()
		if flows.Active() != 0 {
			t.Error("the flow is still there")
		}
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t, accepts)
		m.run(t, func(d *Dialer) {
			flows := d.cfg.Flows
			if n := flows.Drain(t.Context()); n != 0 {
				t.Errorf("Drain of nothing reset %d", n)
			}
			polite, _ := d.Dial(t.Context(), web, micronet.Caller{})
			stuck, _ := d.Dial(t.Context(), web, micronet.Caller{})
			time.AfterFunc(time.Second, func() { polite.Close() })
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			began := time.Now()
			if n := flows.Drain(ctx); n != 1 || time.Since(began) != 10*time.Second {
				t.Errorf("Drain reset %d after %v, want 1 after 10s", n, time.Since(began))
			}
			if _, err := stuck.Read(make([]byte, 1)); err == nil {
				t.Error("the stuck connection lives")
			}
			late, _ := d.Dial(t.Context(), web, micronet.Caller{})
			time.AfterFunc(time.Second, func() { late.Close() })
			if n := flows.Drain(t.Context()); n != 0 {
				t.Errorf("Drain reset %d, want none", n)
			}
		})
		m.wg.Wait()
	})
}

func TestFlowTotalsAreBounded(t *testing.T) {
	f := NewFlows(nil)
	now := time.Unix(0, 0)
	for i := range maxTotals + 10 {
		r := micronet.Route{}
		d := micronet.Destination{Service: string(rune('a'+i%26)) + time.Duration(i).String()}
		fl := f.flow(now, d, &r, micronet.Caller{}, func() {})
		fl.begin()
		fl.end(now, 1, 2, nil)
	}
	totals := f.Totals()
	if len(totals) != maxTotals+1 || totals[0].Dest != (micronet.Destination{}) || totals[0].Opened != 10 || totals[0].Active != 0 || totals[0].Sent != 10 {
		t.Errorf("%d totals, the rest is %+v", len(totals), totals[0])
	}
}
