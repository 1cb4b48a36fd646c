package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// conn is what Dial returns: a stream to an instance that may be exchanged for one to another
// instance until an answer has come. See early.go for what happens before.
type conn struct {
	// constant
	d      *Dialer
	flow   *flow
	began  time.Time
	ctx    context.Context // ends with Close and Abort
	cancel context.CancelFunc
	ruled  chan struct{} // closed when it is decided which stream is the one, or that there is none

	readAlarm, writeAlarm *alarm

	final    atomic.Pointer[link] // the accepted link; nil before and when there is none
	sent     atomic.Int64
	received atomic.Int64
	// nanoseconds after began, 0 for not yet
	firstWrite, firstRead atomic.Int64

	// pen is the right to write before the verdict. Its holder owns kept and finished.
	pen      chan struct{}
	kept     []byte // all that was written before the verdict
	finished bool   // CloseWrite was called before the verdict

	mu     sync.Mutex
	link   *link // the current one
	err    error // why there is no final link, or the first fault after
	closed bool
	ended  bool // reported
	holds  int  // pumps that still count
}

var (
	_ Conn      = (*conn)(nil)
	_ accounted = (*conn)(nil)
)

func newConn(ctx context.Context, d *Dialer, h *hunt, l *link) *conn {
	c := &conn{
		d: d, link: l, began: time.Now(),
		ruled: make(chan struct{}), pen: make(chan struct{}, 1),
		readAlarm: newAlarm(), writeAlarm: newAlarm(),
	}
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.flow = d.cfg.Flows.flow(c.began, h.dest, &l.ticket.Route, h.caller, c.Abort)
	c.flow.begin() // from here on others may abort it
	return c
}

// Read waits for the answer first.
func (c *conn) Read(p []byte) (int, error) {
	l := c.final.Load()
	if l == nil {
		var err error
		if l, err = c.verdict(c.readAlarm); err != nil {
			return 0, err
		}
	}
	n, err := l.stream.Read(p)
	if n > 0 {
		c.received.Add(int64(n))
		c.mark(&c.firstRead)
	}
	return n, c.note(err)
}

// Write sends at once, also before the answer.
func (c *conn) Write(p []byte) (int, error) {
	l := c.final.Load()
	if l == nil {
		return c.writeEarly(p)
	}
	return c.writeOn(l, p)
}

func (c *conn) writeOn(l *link, p []byte) (int, error) {
	c.mark(&c.firstWrite)
	n, err := l.stream.Write(p)
	c.sent.Add(int64(n))
	return n, c.note(err)
}

func (c *conn) mark(at *atomic.Int64) {
	if at.Load() == 0 {
		at.CompareAndSwap(0, max(1, int64(time.Since(c.began))))
	}
}

// note keeps the first fault for the report.
func (c *conn) note(err error) error {
	if err == nil || err == io.EOF || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, net.ErrClosed) { //nolint:errorlint // the io.Reader contract
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	return err
}

// CloseWrite says that no more bytes come.
func (c *conn) CloseWrite() error {
	if l := c.final.Load(); l != nil {
		return l.stream.CloseWrite()
	}
	return c.closeWriteEarly()
}

// Close ends both directions; what was written is still delivered, if the instance accepts it.
func (c *conn) Close() error {
	l, first := c.shut()
	if !first {
		return nil
	}
	err := l.stream.Close()
	c.report()
	return err
}

// Abort resets both directions.
func (c *conn) Abort() {
	if l, first := c.shut(); first {
		l.stream.Abort()
		c.report()
		return
	}
	// Also after Close: a half-sent rest is not waited for any more.
	c.current().stream.Abort()
}

// shut marks the connection closed and returns the stream that is to be ended.
func (c *conn) shut() (l *link, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first = !c.closed
	c.closed = true
	c.cancel()
	return c.link, first
}

func (c *conn) current() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.link
}

// Answered waits for the verdict.
func (c *conn) Answered(ctx context.Context) error {
	select {
	case <-c.ruled:
		_, err := c.ruling()
		return err
	default:
	}
	select {
	case <-c.ruled:
		_, err := c.ruling()
		return err
	case <-ctx.Done():
		return micronet.E("proxy.dial", ended(ctx), "no answer yet: %w", context.Cause(ctx))
	}
}

// Route returns the way that is taken now.
func (c *conn) Route() micronet.Route { return c.current().ticket.Route }

// LocalAddr returns the current stream's local address.
func (c *conn) LocalAddr() net.Addr { return c.current().stream.LocalAddr() }

// RemoteAddr returns the current stream's remote address.
func (c *conn) RemoteAddr() net.Addr { return c.current().stream.RemoteAddr() }

// Raw gives the connection to an instance of this host itself, or the stream to another one.
func (c *conn) Raw() net.Conn {
	l := c.final.Load()
	if l == nil {
		return nil
	}
	return l.stream
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds Read, the wait for the answer included.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readAlarm.set(t)
	if l := c.final.Load(); l != nil {
		return l.stream.SetReadDeadline(t)
	}
	// A stream whose answer is outstanding is not touched: its own wait may use the deadline.
	return nil
}

// SetWriteDeadline bounds Write.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeAlarm.set(t)
	return c.link.stream.SetWriteDeadline(t)
}

func (c *conn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds++
}

func (c *conn) release(err error) {
	c.mu.Lock()
	c.holds--
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.report()
}

func (c *conn) count(sent, received int64) {
	c.sent.Add(sent)
	c.received.Add(received)
}

// report gives the ticket back and ends the flow, once, when the connection is closed and nobody
// counts any more.
func (c *conn) report() {
	c.mu.Lock()
	if !c.closed || c.holds > 0 || c.ended {
		c.mu.Unlock()
		return
	}
	c.ended = true
	l, err := c.link, c.err
	giveBack, outcome := !l.done, Outcome{Latency: c.latencyLocked(l)}
	if !l.accepted {
		outcome.Err = errClosed() // a caller that did not wait is no proof that the instance serves
	}
	l.done = true
	c.mu.Unlock()
	now := time.Now()
	if giveBack {
		l.ticket.Done(now, outcome)
	}
	c.flow.end(now, c.sent.Load(), c.received.Load(), err)
}

// latencyLocked is the time from the first byte sent to the first received, or that of the acceptance.
func (c *conn) latencyLocked(l *link) time.Duration {
	asked, got := c.firstWrite.Load(), c.firstRead.Load()
	if asked > 0 && got > asked {
		return time.Duration(got - asked)
	}
	return l.latency
}
