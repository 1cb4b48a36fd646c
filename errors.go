package micronet

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
)

// Kind is the closed list of what can go wrong. It alone decides behaviour: retry, DNS rcode,
// exit code and log level are looked up by kind, never by text.
type Kind uint8

// The kinds of an error.
const (
	Internal     Kind = iota // a fault of ours
	Invalid                  // the input is wrong; trying again will not help
	NotFound                 // nothing by that name
	Refused                  // understood and denied: policy, permission, conflict
	Unauthorized             // who asks could not be proved, or is not a member
	Unreachable              // nobody answers there
	Timeout                  // no answer in time
	Overloaded               // a bound was met; later may work
	Closed                   // the thing was closed, or is closing
	NoDaemon                 // no daemon answers on its socket
)

var kindNames = [...]string{
	"internal", "invalid", "not-found", "refused", "unauthorized", "unreachable", "timeout",
	"overloaded", "closed", "no-daemon",
}

// String returns the kind's name as it appears in API problem documents.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind reads what String wrote; unknown names are Internal.
func ParseKind(s string) Kind {
	for i, n := range kindNames {
		if n == s {
			return Kind(i)
		}
	}
	return Internal
}

// Exit codes of the command line.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitRefused     = 4
	ExitUnreachable = 5
	ExitNoDaemon    = 6
	ExitInterrupted = 130
)

// ExitCode is the exit code of a command that ended with an error of this kind.
func (k Kind) ExitCode() int {
	switch k {
	case Invalid:
		return ExitUsage
	case NotFound:
		return ExitNotFound
	case Refused, Unauthorized:
		return ExitRefused
	case Unreachable, Timeout, Overloaded:
		return ExitUnreachable
	case NoDaemon:
		return ExitNoDaemon
	default:
		return ExitFailed
	}
}

// Retryable reports whether the same request may succeed elsewhere or later.
func (k Kind) Retryable() bool { return k == Unreachable || k == Timeout || k == Overloaded }

// Error is the error of every exported function that talks to the outside. It reads from
// outside in: operation, peer, cause; then what to do.
type Error struct {
	Op   string // "tunnel.dial"
	Kind Kind
	Peer NodeID // zero when no peer is concerned
	Err  error  // the cause, never nil
	Fix  string // what the user can do about it, "" when we do not know
}

// E builds an Error. cause may be a string format with arguments.
func E(op string, kind Kind, format string, args ...any) *Error {
	return &Error{Op: op, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// WithFix returns a copy that says what to do.
func (e *Error) WithFix(format string, args ...any) *Error {
	c := *e
	c.Fix = fmt.Sprintf(format, args...)
	return &c
}

// WithPeer returns a copy that names the peer.
func (e *Error) WithPeer(id NodeID) *Error {
	c := *e
	c.Peer = id
	return &c
}

// Error prints "op: peer: cause; fix".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if !e.Peer.IsZero() {
		b.WriteString(": " + e.Peer.Short())
	}
	b.WriteString(": " + e.Err.Error())
	if e.Fix != "" {
		b.WriteString("; " + e.Fix)
	}
	return b.String()
}

// Unwrap yields the cause and the standard sentinel of the kind, so that errors.Is works with
// net.ErrClosed, os.ErrDeadlineExceeded and fs.ErrNotExist.
func (e *Error) Unwrap() []error {
	switch e.Kind {
	case Closed:
		return []error{e.Err, net.ErrClosed}
	case Timeout:
		return []error{e.Err, os.ErrDeadlineExceeded}
	case NotFound:
		return []error{e.Err, fs.ErrNotExist}
	}
	return []error{e.Err}
}

// Timeout and Temporary make an Error a net.Error for those who ask that way.
func (e *Error) Timeout() bool { return e.Kind == Timeout }

// Temporary reports whether trying again may help.
func (e *Error) Temporary() bool { return e.Kind.Retryable() }

var _ net.Error = (*Error)(nil)

// KindOf returns the kind of the outermost Error in err. Foreign errors are classified by the
// standard sentinels; what is left is Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, net.ErrClosed):
		return Closed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrPermission):
		return Refused
	}
	return Internal
}
