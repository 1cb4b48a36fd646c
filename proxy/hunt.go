package proxy

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxAttempts is how many instances are tried for one connection.
	maxAttempts = 5

	// answerWait is how long a node that was not heard lately is waited for before the next
	// instance is tried. It had nothing but the opening frame.
	answerWait = 250 * time.Millisecond

	// silence is how long a fresh node may owe the answer to bytes it was sent.
	silence = time.Second

	// detourWait is how much longer such an answer is waited for when the bytes may go to nobody else.
	detourWait = 1500 * time.Millisecond

	// lastWait is how long the answer is waited for when there is no other instance to turn to.
	lastWait = 3 * time.Second
)

// patience is answerWait, or what four round trips (a handshake, the answer, one loss) take on
// paths so long that no answer could come within it.
func patience(rtt time.Duration) time.Duration { return max(answerWait, 4*rtt) }

// silenceOf is silence, or longer where the daemon's own wait for its backend and the path leave
// no second.
func silenceOf(rtt time.Duration) time.Duration { return max(silence, backendWait+2*rtt) }

// hunt is one search for an instance that takes a connection. It is used by one goroutine.
type hunt struct {
	d      *Dialer
	dest   micronet.Destination
	caller micronet.Caller
	tried  []micronet.InstanceKey
	left   int     // attempts
	next   *Ticket // picked already by another, used by the next take
	last   error   // why the last attempt failed
}

// link is a stream to an instance, with the ticket it was opened on.
type link struct {
	ticket   Ticket
	stream   Opened
	began    time.Time
	latency  time.Duration // until accepted
	accepted bool
	done     bool // the ticket was given back; guarded by the conn's mu once there is one
}

// connect tries instances until one has accepted. With optimistic, it returns as soon as a
// fresh node was sent the opening frame.
func (h *hunt) connect(ctx context.Context, optimistic bool) (*link, error) {
	for {
		t, err := h.take()
		if err != nil {
			return nil, h.giveUp(err)
		}
		l := &link{ticket: t, began: time.Now()}
		if err = h.try(ctx, l, optimistic); err == nil {
			return l, nil
		}
		h.failed(ctx, t, err)
		if ctx.Err() != nil {
			h.drop(ctx)
			return nil, micronet.E("proxy.dial", ended(ctx), "%s: %w", h.dest, context.Cause(ctx))
		}
	}
}

// ended is the kind of an error whose cause is the end of ctx.
func ended(ctx context.Context) micronet.Kind {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return micronet.Timeout
	}
	return micronet.Closed
}

// try opens a stream on a ticket. On error nothing but the opening frame was sent, and the stream
// is gone.
func (h *hunt) try(ctx context.Context, l *link, optimistic bool) error {
	route := &l.ticket.Route
	if route.Node == h.d.cfg.Self {
		return h.tryLocal(ctx, l)
	}
	optimistic = optimistic && h.d.cfg.Opener.Fresh(route.Node) && !h.foreseen(route)
	err := h.patiently(ctx, patience(route.RTT), func(ctx context.Context) (err error) {
		if l.stream == nil {
			if l.stream, err = h.d.cfg.Opener.OpenService(ctx, *route, h.caller); err != nil {
				l.stream = nil // an interface may hold a nil pointer
				return err
			}
		}
		if optimistic {
			return nil
		}
		return l.stream.Answered(ctx)
	})
	if err != nil {
		if l.stream != nil {
			l.stream.Abort()
		}
		return err
	}
	l.accepted, l.latency = !optimistic, time.Since(l.began)
	return nil
}

// foreseen reports whether the other node will refuse the caller, by the policies as they are known here.
// It decides itself, perhaps by newer ones; but it gets no payload before it has, and the caller hears
// the reason from Dial instead of a reset.
func (h *hunt) foreseen(r *micronet.Route) bool {
	return h.d.cfg.Guard.Allows(h.caller, &r.Instance) != nil
}

// recheck asks about an instance of this node again once its flow is registered: policies may have
// changed in between, and then nobody who looked for flows saw this one. Another node decides by itself,
// unless only now it was asked which service calls.
func (h *hunt) recheck(ctx context.Context, l *link) error {
	r := &l.ticket.Route
	before := h.caller
	h.caller = h.d.cfg.Attest(ctx, before)
	if r.Node != h.d.cfg.Self && h.caller == before {
		return nil
	}
	return refusal(h.d.cfg.Guard.Allows(h.caller, &r.Instance))
}

// refusal makes an error of what a guard says.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return micronet.E("proxy.dial", micronet.Refused, "%w", err)
}

func (h *hunt) tryLocal(ctx context.Context, l *link) error {
	if err := refusal(h.d.cfg.Guard.Admit(h.caller, &l.ticket.Route.Instance)); err != nil {
		return err
	}
	from := h.d.cfg.LocalFrom(h.caller)
	c, err := dialBackend(ctx, h.d.cfg.Env, from, l.ticket.Route.Instance.AddrPort())
	if err != nil {
		return err
	}
	l.stream, l.accepted, l.latency = local{c}, true, time.Since(l.began)
	return nil
}

// patiently calls f with the time a first try gets and, when that ran out and there is no other
// instance to turn to, once more with the time of a last resort.
func (h *hunt) patiently(ctx context.Context, first time.Duration, f func(context.Context) error) error {
	ranOut, err := within(ctx, first, f)
	if !ranOut || h.another() {
		return err
	}
	_, err = within(ctx, max(lastWait, 2*first)-first, f)
	return err
}

// within bounds f. ranOut says that it was its own time that ended, not ctx.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) (ranOut bool, err error) {
	sub, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	err = f(sub)
	if err == nil || ctx.Err() != nil || sub.Err() == nil {
		return false, err
	}
	return true, micronet.E("proxy.dial", micronet.Timeout, "no answer in %v: %w", d, err)
}

// take returns the next ticket to try.
func (h *hunt) take() (Ticket, error) {
	if h.next == nil {
		if err := h.pick(); err != nil {
			return Ticket{}, err
		}
	}
	t := *h.next
	h.next = nil
	h.left--
	h.tried = append(h.tried, t.Route.Key())
	return t, nil
}

// another reports whether there is one more instance to try.
func (h *hunt) another() bool { return h.next != nil || h.pick() == nil }

func (h *hunt) pick() error {
	if h.left == 0 {
		return micronet.E("proxy.dial", micronet.Unreachable, "%d instances of %s were tried", maxAttempts, h.dest)
	}
	t, err := h.d.cfg.Routes.Pick(time.Now(), h.dest, h.tried)
	if err != nil {
		return err
	}
	h.next = &t
	return nil
}

// drop gives back a ticket that was picked and not used.
func (h *hunt) drop(ctx context.Context) {
	if h.next != nil {
		h.next.Done(time.Now(), Outcome{Err: context.Cause(ctx)})
		h.next = nil
	}
}

// failed gives a ticket back after an attempt that did not work. A caller that left or is not
// allowed says nothing about the instance.
func (h *hunt) failed(ctx context.Context, t Ticket, err error) {
	h.last = err
	guilty := ctx.Err() == nil
	switch micronet.KindOf(err) {
	case micronet.Refused, micronet.Unauthorized, micronet.Invalid:
		guilty = guilty && isConnRefused(err)
	}
	t.Done(time.Now(), Outcome{Err: err, Failed: guilty})
}

func isConnRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// giveUp is the error of a hunt that has no instance left. none says why there is none.
func (h *hunt) giveUp(none error) error {
	if h.last == nil {
		return none
	}
	kind := micronet.KindOf(h.last)
	cause := h.last
	switch {
	case kind == micronet.Unauthorized || kind == micronet.Refused && !isConnRefused(h.last):
		kind = micronet.Refused
	case kind == micronet.Timeout:
	case h.d.cfg.Refused(h.last) && !isConnRefused(h.last):
		kind, cause = micronet.Unreachable, fmt.Errorf("%w (%w)", h.last, syscall.ECONNREFUSED)
	default:
		kind = micronet.Unreachable
	}
	see := "routes"
	if kind == micronet.Refused {
		see = "explain"
	}
	return micronet.E("proxy.dial", kind, "%s: %d of its instances tried, the last: %w", h.dest, len(h.tried), cause).
		WithFix("see `micro-net %s %s`", see, h.dest.Service)
}
