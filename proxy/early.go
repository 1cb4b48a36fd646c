package proxy

import (
	"errors"
	"net"
	"os"
	"time"

	micronet "github.com/micro/micro-net"
)

// What a connection does before its verdict:
//
//	await:   waits for the answer of the first, fresh node
//	           accepted ─▶ settle
//	           silent, and bytes were written ─▶ waits on for detourWait
//	           refused, or silent and nothing written ─▶ failOver: the next instance that accepts
//	             ─▶ replay what was kept ─▶ settle
//	           else ─▶ rule: there is no stream
//	Write:   sends to the current stream and keeps a copy, up to maxKept, then waits
//	Read:    waits
//
// The pen makes order: while await exchanges the stream and replays, it holds the pen, so that
// nothing written later can overtake what was kept.

// maxKept is how much a connection keeps for a replay. Later writes wait for the verdict.
const maxKept = 64 << 10

// await decides about a connection whose first link is not accepted yet.
func (c *conn) await(h *hunt) {
	l := c.current()
	ranOut, err := within(c.ctx, silenceOf(l.ticket.Route.RTT), l.stream.Answered)
	if ranOut && c.firstWrite.Load() != 0 {
		// Nobody else may get the bytes. Later connections go to others, and this one waits on: where the way to
		// the node has died, another one is found about now.
		if c.takeBack(l) {
			h.failed(c.ctx, l.ticket, err)
		}
		_, err = within(c.ctx, detourWait, l.stream.Answered)
	}
	switch {
	case c.ctx.Err() != nil: // closed by its user, who has also ended the stream
		h.drop(c.ctx)
		c.rule(nil, errClosed())
	case err == nil:
		c.settle(l)
		c.forgetKept()
	default:
		c.failOver(h, l, err)
	}
}

func errClosed() error {
	return micronet.E("proxy.conn", micronet.Closed, "the connection was closed before it was accepted")
}

// failOver turns to other instances after the first did not accept. Aborting comes first: it ends
// a Write that is stuck in the old stream and holds the pen.
func (c *conn) failOver(h *hunt, old *link, err error) {
	old.stream.Abort()
	if c.takeBack(old) {
		h.failed(c.ctx, old.ticket, err)
	}
	if c.lock(nil) != nil {
		c.rule(nil, errClosed())
		return
	}
	defer c.unlock()
	unsafe := len(c.kept) > 0 || c.finished
	if unsafe && !c.d.cfg.Refused(err) {
		c.rule(nil, h.broken(old, err))
		return
	}
	l, err := h.connect(c.ctx, false)
	if err != nil {
		c.rule(nil, err)
		return
	}
	c.replay(h, l)
}

// broken is the error of a connection whose bytes may have arrived, so that nobody else gets them.
func (h *hunt) broken(l *link, err error) error {
	kind := micronet.KindOf(err)
	if kind != micronet.Timeout {
		kind = micronet.Unreachable
	}
	return micronet.E("proxy.dial", kind, "%s: the node %s did not answer after it was sent bytes: %w",
		h.dest, l.ticket.Route.NodeName, err).WithPeer(l.ticket.Route.Node)
}

// takeBack marks the ticket of a link as given back; false when it was already.
func (c *conn) takeBack(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !l.done
	l.done = true
	return first
}

// replay is called with the pen: it makes l the current link and sends what was kept.
func (c *conn) replay(h *hunt, l *link) {
	if !c.exchange(l) {
		l.stream.Abort()
		l.ticket.Done(time.Now(), Outcome{Err: errClosed()})
		c.rule(nil, errClosed())
		return
	}
	if err := h.recheck(c.ctx, l); err != nil {
		l.stream.Abort()
		c.rule(nil, err)
		return
	}
	if len(c.kept) > 0 {
		if _, err := l.stream.Write(c.kept); err != nil {
			l.stream.Abort()
			c.rule(nil, micronet.E("proxy.dial", micronet.Unreachable, "%s: %w", c.flow.dest, err))
			return
		}
	}
	if c.finished {
		// A fault shows at the next Read.
		_ = l.stream.CloseWrite()
	}
	c.settle(l)
	c.kept = nil
}

// forgetKept frees the copy after the verdict. A Write that holds the pen does it itself.
func (c *conn) forgetKept() {
	select {
	case c.pen <- struct{}{}:
		c.kept = nil
		<-c.pen
	default:
	}
}

// exchange makes l the current link, with the deadlines of the old one; false when the connection
// was closed meanwhile.
func (c *conn) exchange(l *link) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.link = l
	c.flow.reroute(&l.ticket.Route)
	// A stream that cannot take deadlines tells so when its user sets the next one.
	_ = l.stream.SetWriteDeadline(c.writeAlarm.time())
	return true
}

// settle makes l the final link.
func (c *conn) settle(l *link) { c.rule(l, nil) }

// rule gives the verdict. It is called once.
func (c *conn) rule(l *link, err error) {
	c.mu.Lock()
	if err != nil {
		c.err = err
	} else {
		if !l.accepted {
			l.accepted, l.latency = true, time.Since(l.began)
		}
		if at := c.readAlarm.time(); !at.IsZero() {
			_ = l.stream.SetReadDeadline(at) // as in exchange
		}
		c.final.Store(l)
	}
	c.mu.Unlock()
	close(c.ruled)
}

// ruling returns the verdict; it has been given.
func (c *conn) ruling() (*link, error) {
	if l := c.final.Load(); l != nil {
		return l, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return nil, c.err
}

// verdict waits for the verdict, until the alarm or Close.
func (c *conn) verdict(a *alarm) (*link, error) {
	select {
	case <-c.ruled:
		return c.ruling()
	default:
	}
	select {
	case <-c.ruled:
		return c.ruling()
	case <-c.ctx.Done():
		return nil, net.ErrClosed
	case <-a.C():
		return nil, os.ErrDeadlineExceeded
	}
}

// lock takes the pen; a may be nil.
func (c *conn) lock(a *alarm) error {
	var rung <-chan struct{}
	if a != nil {
		rung = a.C()
	}
	select {
	case <-c.ctx.Done():
		return net.ErrClosed
	case <-rung:
		return os.ErrDeadlineExceeded
	default:
	}
	select {
	case c.pen <- struct{}{}:
		return nil
	case <-c.ctx.Done():
		return net.ErrClosed
	case <-rung:
		return os.ErrDeadlineExceeded
	}
}

func (c *conn) unlock() { <-c.pen }

// writeEarly is Write before the verdict, or around it.
func (c *conn) writeEarly(p []byte) (int, error) {
	total := 0
	for {
		n, wait, err := c.writeKept(p[total:])
		total += n
		if err != nil || total == len(p) {
			return total, err
		}
		if !wait {
			continue
		}
		if _, err := c.verdict(c.writeAlarm); err != nil {
			return total, err
		}
	}
}

// writeKept sends a part of p to the current stream and keeps a copy. wait says that nothing more
// can be done before the verdict: there is no room, or the stream broke, and then the verdict
// tells whether the copy saves it.
func (c *conn) writeKept(p []byte) (n int, wait bool, err error) {
	if err := c.lock(c.writeAlarm); err != nil {
		return 0, false, err
	}
	defer c.unlock()
	if c.isRuled() {
		l, err := c.ruling()
		if err != nil {
			return 0, false, err
		}
		c.kept = nil
		n, err := c.writeOn(l, p)
		return n, false, err
	}
	p = p[:min(len(p), maxKept-len(c.kept))]
	if len(p) == 0 {
		return 0, true, nil
	}
	c.mark(&c.firstWrite)
	c.kept = append(c.kept, p...)
	defer func() {
		if c.isRuled() {
			c.kept = nil
		}
	}()
	n, err = c.current().stream.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.kept = c.kept[:len(c.kept)-len(p)+n]
		c.sent.Add(int64(n))
		return n, false, err
	}
	c.sent.Add(int64(len(p)))
	return len(p), err != nil, nil
}

func (c *conn) isRuled() bool {
	select {
	case <-c.ruled:
		return true
	default:
		return false
	}
}

// closeWriteEarly is CloseWrite before the verdict, or around it.
func (c *conn) closeWriteEarly() error {
	if err := c.lock(c.writeAlarm); err != nil {
		return err
	}
	defer c.unlock()
	if c.isRuled() {
		l, err := c.ruling()
		if err != nil {
			return err
		}
		return l.stream.CloseWrite()
	}
	c.finished = true
	// When the stream is broken the verdict tells, and a replay ends with CloseWrite too.
	_ = c.current().stream.CloseWrite()
	return nil
}
