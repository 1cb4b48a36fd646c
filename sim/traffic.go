package sim

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/report"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	// maxCalls bounds the requests of one caller that are under way; further ones fail at once.
	maxCalls = 64
	// bucketTime is how finely calls are counted.
	bucketTime = time.Second
	// pauseLeast is how long a stream has to stand still for a pause: longer than any round trip over a relay.
	pauseLeast = 250 * time.Millisecond
)

// traffic is all simulated callers, and what they saw.
type traffic struct {
	mesh   *mesh
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	calls  map[string][]call // by service
	pauses map[string][]call // of streams, by service
}

// call is one request and its end.
type call struct {
	began, took time.Duration
	stood       time.Duration // for how long nothing had come back when it ended
	err         error
}

func newTraffic(m *mesh) *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	return &traffic{mesh: m, ctx: ctx, cancel: cancel, calls: map[string][]call{}, pauses: map[string][]call{}}
}

func (t *traffic) stop() {
	t.cancel()
	t.wg.Wait()
}

// plan lets each caller begin at its time, spread over one interval of its rate.
func (t *traffic) plan() {
	m := t.mesh
	for i := range m.scenario.Traffic {
		spec := &m.scenario.Traffic[i]
		gap := time.Duration(float64(time.Second) / spec.Rate)
		for _, x := range m.selected(spec.From) {
			c := &caller{traffic: t, spec: spec, machine: x, port: m.service(spec.To).spec.Port, gap: gap, slots: make(chan struct{}, maxCalls)}
			m.agenda.put(max(m.now(), spec.Start)+time.Duration(m.rng.Int64N(int64(gap))), c.next)
		}
	}
}

// caller is a simulated program that calls a service at a rate, by its name, through the DNS and the
// service address of its own host.
type caller struct {
	traffic *traffic
	spec    *scenario.Traffic
	machine *machine
	port    uint16
	gap     time.Duration
	slots   chan struct{}
	number  uint64
}

// next makes one call and plans the one after it. A host that is down, or stands still, calls nobody.
func (c *caller) next() {
	m := c.traffic.mesh
	if m.now() >= c.spec.Stop {
		return
	}
	m.agenda.put(m.now()+c.gap, c.next)
	if c.machine.state != running || c.machine.isStalled() || time.Since(c.machine.since) < bootTime {
		return
	}
	began, host := m.now(), c.machine.host
	c.number++
	select {
	case c.slots <- struct{}{}:
	default:
		c.traffic.note(c.spec.To, call{began: began, err: errors.New("too many calls are under way")})
		return
	}
	c.traffic.wg.Go(func() {
		defer func() { <-c.slots }()
		stood, err := c.call(host)
		if c.traffic.ctx.Err() == nil {
			c.traffic.note(c.spec.To, call{began: began, took: m.now() - began, stood: stood, err: err})
			c.judge(err)
		}
	})
}

// judge: no stream carries other bytes than were sent, whatever is demanded of how many end well.
func (c *caller) judge(err error) {
	if errors.Is(err, errOtherBytes) {
		m := c.traffic.mesh
		m.moments.add(func(time.Duration) { m.fail(c.machine.name, "streams", err.Error()) })
	}
}

func (t *traffic) note(service string, c call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[service] = append(t.calls[service], c)
}

// watchPauses returns what a stream that begins now calls whenever something has come back.
func (t *traffic) watchPauses(service string) (answered func()) {
	last := t.mesh.now()
	return func() {
		now := t.mesh.now()
		if took := now - last; took >= pauseLeast {
			t.mu.Lock()
			t.pauses[service] = append(t.pauses[service], call{began: last, took: took})
			t.mu.Unlock()
		}
		last = now
	}
}

// call makes a call and tells for how long nothing had come back at its end.
func (c *caller) call(host *netsim.Host) (stood time.Duration, err error) {
	ctx, cancel := context.WithCancel(c.traffic.ctx)
	defer cancel()
	p := newPatience(c.spec.Patience, host, c.traffic.mesh.now, cancel)
	defer p.timer.Stop()
	err = c.talk(ctx, host, p)
	return p.stood(), err
}

// talk resolves the service, connects and talks.
func (c *caller) talk(ctx context.Context, host *netsim.Host, p *patience) error {
	to, err := lookup(ctx, host, c.spec.To)
	if err != nil {
		return err
	}
	conn, err := host.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(to, c.port))
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if c.spec.Kind == scenario.Streams {
		noted := c.traffic.watchPauses(c.spec.To)
		return talkStream(conn, c.machine.name, c.spec.Size, func() { p.came(); noted() })
	}
	return talkRequest(conn, c.machine.name)
}

func talkRequest(conn net.Conn, from string) error {
	if _, err := io.WriteString(conn, "get "+from+"\n"); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && len(answer) < 2 {
		err = fmt.Errorf("the answer is %q", answer)
	}
	return err
}

// traffic's figures for the report.
func (t *traffic) report() []report.Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []report.Traffic
	for service, calls := range t.calls {
		out = append(out, report.Traffic{Service: service, Buckets: buckets(calls)})
	}
	slices.SortFunc(out, func(a, b report.Traffic) int { return cmp.Compare(a.Service, b.Service) })
	return out
}

// of returns the calls of a service that did not begin in one of the intervals.
func (t *traffic) of(service string, outside []scenario.Interval) []call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return notIn(outside, t.calls[service])
}

func notIn(outside []scenario.Interval, list []call) []call {
	return slices.DeleteFunc(slices.Clone(list), func(c call) bool {
		return slices.ContainsFunc(outside, func(i scenario.Interval) bool { return i.Contains(c.began) })
	})
}

// pausesOf returns the pauses of streams to a service that did not begin in one of the intervals.
func (t *traffic) pausesOf(service string, outside []scenario.Interval) []call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return notIn(outside, t.pauses[service])
}

// allPauses returns those of all streams, in the order in which they began.
func (t *traffic) allPauses() (all []call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, list := range t.pauses {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b call) int { return cmp.Or(cmp.Compare(a.began, b.began), cmp.Compare(a.took, b.took)) })
	return all
}

// buckets counts calls by the time at which they began.
func buckets(calls []call) []report.Bucket {
	by := map[time.Duration][]call{}
	for _, c := range calls {
		at := c.began.Truncate(bucketTime)
		by[at] = append(by[at], c)
	}
	var out []report.Bucket
	for at, list := range by {
		b := report.Bucket{At: at, P50: quantile(list, 0.5), P99: quantile(list, 0.99)}
		for _, c := range list {
			if c.err == nil {
				b.OK++
			} else {
				b.Failed++
			}
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b report.Bucket) int { return cmp.Compare(a.At, b.At) })
	return out
}

// quantile of the times of calls that went well, 0 when there are none (nearest rank).
func quantile(calls []call, q float64) time.Duration {
	var took []time.Duration
	for _, c := range calls {
		if c.err == nil {
			took = append(took, c.took)
		}
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(q*float64(len(took))), len(took)-1)]
}

// lookup asks the daemon of a host for the address of a service.
func lookup(ctx context.Context, host *netsim.Host, service string) (netip.Addr, error) {
	conn, err := host.DialPacket(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort))
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	addrs, err := askDNS(conn, service+"."+domain+".")
	if err == nil && len(addrs) == 0 {
		err = micronet.E("sim.lookup", micronet.NotFound, "%s has no address", service)
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0], nil
}
