package tunneltest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// Pair is two tunnels that can reach each other and are not running yet.
type Pair struct {
	A, B     tunnel.Tunnel
	IDA, IDB micronet.NodeID
	Buffered int // the most bytes that a writer can hand over on one stream while nobody reads
}

// Ready is what a tunnel may offer to say that its Run has begun to carry.
type Ready interface {
	Ready() <-chan struct{}
}

// Conform runs the suite in virtual time, each test in a bubble of its own. make is called inside
// the bubble.
func Conform(t *testing.T, make func(t *testing.T) Pair) {
	t.Helper()
	conform(t, synctest.Test, make)
}

// ConformReal runs the suite in real time, for implementations on real sockets.
func ConformReal(t *testing.T, make func(t *testing.T) Pair) {
	t.Helper()
	conform(t, func(t *testing.T, f func(t *testing.T)) { t.Helper(); f(t) }, make)
}

// patience bounds every step of a test.
const patience = 20 * time.Second

func conform(t *testing.T, run func(*testing.T, func(*testing.T)), make func(t *testing.T) Pair) {
	t.Helper()
	t.Run("NotRunning", func(t *testing.T) {
		run(t, func(t *testing.T) { testNotRunning(t, make(t)) })
	})
	for _, c := range []struct {
		name string
		test func(t *testing.T, f *fixture)
	}{
		{"Echo", testEcho},
		{"InvalidOpenings", testInvalidOpenings},
		{"ConcurrentOpens", testConcurrentOpens},
		{"BothOpenAtOnce", testBothOpenAtOnce},
		{"HalfCloseByCaller", testHalfCloseByCaller},
		{"HalfCloseByCallee", testHalfCloseByCallee},
		{"CloseDelivers", testCloseDelivers},
		{"CloseEndsOwnCalls", testCloseEndsOwnCalls},
		{"CloseWithoutAnswer", testCloseWithoutAnswer},
		{"AbortByCallee", testAbortByCallee},
		{"AbortByCaller", testAbortByCaller},
		{"AbortBeforeAnswer", testAbortBeforeAnswer},
		{"Refuse", testRefuse},
		{"AnswerOnce", testAnswerOnce},
		{"PayloadBeforeAnswer", testPayloadBeforeAnswer},
		{"AnsweredIsInterruptible", testAnsweredIsInterruptible},
		{"BackPressure", testBackPressure},
		{"Deadlines", testDeadlines},
		{"Transfer", testTransfer},
		{"Disconnect", testDisconnect},
		{"EndOfRun", testEndOfRun},
		{"UnknownPeer", testUnknownPeer},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, func(t *testing.T) { c.test(t, start(t, make(t))) })
		})
	}
}

// fixture is a running pair.
type fixture struct {
	Pair
	stopA func() // ends A's Run and waits for it
}

// start runs both tunnels until the test ends.
func start(t *testing.T, p Pair) *fixture {
	t.Helper()
	f := &fixture{Pair: p}
	f.stopA = runTunnel(t, p.A)
	runTunnel(t, p.B)
	return f
}

func runTunnel(t *testing.T, tun tunnel.Tunnel) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := tun.Run(ctx); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	stop = func() { cancel(); group.Wait() }
	t.Cleanup(stop)
	if r, ok := tun.(Ready); ok {
		<-r.Ready()
	}
	return stop
}

// within returns a context for one step.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// opening is one with every field set.
var opening = tunnel.Opening{
	Purpose: tunnel.PurposeService, Service: "web", Instance: "web-1", Caller: "shop",
	Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}

// open starts a stream from A to B without waiting for the answer.
func (f *fixture) open(t *testing.T) tunnel.Outbound {
	t.Helper()
	out, err := f.A.Open(within(t), f.IDB, opening)
	if err != nil {
		t.Fatalf("Open = %v", err)
	}
	return out
}

// take returns the next stream at B, unanswered.
func (f *fixture) take(t *testing.T) tunnel.Inbound {
	t.Helper()
	in, err := f.B.Accept(within(t))
	if err != nil {
		t.Fatalf("Accept = %v", err)
	}
	return in
}

// call returns both ends of an accepted stream. They are closed when the test ends.
func (f *fixture) call(t *testing.T) (tunnel.Outbound, tunnel.Inbound) {
	t.Helper()
	out := f.open(t)
	in := f.take(t)
	if err := in.Accept(); err != nil {
		t.Fatalf("accepting = %v", err)
	}
	if err := out.Answered(within(t)); err != nil {
		t.Fatalf("Answered = %v", err)
	}
	t.Cleanup(func() { closeBoth(out, in) })
	return out, in
}

// closeBoth is the end of a test; what Close says then is of no interest.
func closeBoth(a, b tunnel.Stream) {
	_ = a.Close()
	_ = b.Close()
}
