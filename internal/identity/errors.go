package identity

import (
	"errors"
	"time"

	micronet "github.com/micro/micro-net"
)

// What errors.Is finds in an error about dates.
var (
	ErrExpired     = errors.New("expired")
	ErrNotYetValid = errors.New("not yet valid")
)

// ErrDemoted is what errors.Is finds where a node's right to issue was ended.
var ErrDemoted = errors.New("demoted")

// ErrVoid is what errors.Is finds where something was issued by who had no right to any more.
var ErrVoid = errors.New("no authority any more")

// ErrUntrusted is what errors.Is finds where something leads to no root that is trusted: it is another cluster's, or its
// root was forgotten, as another one was preferred to it.
var ErrUntrusted = errors.New("not trusted here")

const clockFix = "check the clocks of this host and of the peer"

func invalid(op, format string, args ...any) *micronet.Error {
	return micronet.E("identity."+op, micronet.Invalid, format, args...)
}

func unauthorized(op, format string, args ...any) *micronet.Error {
	return micronet.E("identity."+op, micronet.Unauthorized, format, args...)
}

func refused(op, format string, args ...any) *micronet.Error {
	return micronet.E("identity."+op, micronet.Refused, format, args...)
}

func internal(op, format string, args ...any) *micronet.Error {
	return micronet.E("identity."+op, micronet.Internal, format, args...)
}

// window is the time during which a statement holds, both ends included.
type window struct{ from, to time.Time }

// intersect returns the time during which both hold.
func (w window) intersect(v window) window {
	if v.from.After(w.from) {
		w.from = v.from
	}
	if v.to.Before(w.to) {
		w.to = v.to
	}
	return w
}

// at is the time to check at: now, or the end where that was at most grace ago.
func (w window) at(now time.Time, grace time.Duration) time.Time {
	if now.After(w.to) && !now.After(w.to.Add(grace)) {
		return w.to
	}
	return now
}

// issued is when what holds for that time was made: it is back-dated.
func (w window) issued() time.Time { return w.from.Add(BackDated) }

// term is how long it holds from then on.
func (w window) term() time.Duration { return w.to.Sub(w.issued()) }

// renewAt is the part of a term that is left when it is time to renew.
const renewAt = 2

func (w window) renewAfter() time.Time { return w.issued().Add(w.term() / renewAt) }

// check reports why now lies outside.
func (w window) check(op, what string, now time.Time) error {
	switch {
	case now.Before(w.from):
		return unauthorized(op, "%s is %w: it begins %s and it is %s here", what, ErrNotYetValid, stamp(w.from), stamp(now)).WithFix(clockFix)
	case now.After(w.to):
		return unauthorized(op, "%s has %w on %s and it is %s here", what, ErrExpired, stamp(w.to), stamp(now)).WithFix(clockFix)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
