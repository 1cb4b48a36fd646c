package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// visitDial is how long a member has to answer over TCP, TLS included.
	visitDial = 5 * time.Second
	// visitRest bounds what is read from a guest that has its answer, while it is waited for to hang up: bytes.
	visitRest = 64 << 10
	// visitBuffer holds a request to join.
	visitBuffer = 4 << 10
)

// visit is a guest's connection over TCP, on either side: TLS with nothing inside but the exchange of joining.
type visit struct {
	*tls.Conn
	in *bufio.Reader
}

var _ GuestConn = (*visit)(nil)

func newVisit(conn *tls.Conn) *visit { return &visit{conn, bufio.NewReaderSize(conn, visitBuffer)} }

func (v *visit) Read(p []byte) (int, error) { return v.in.Read(p) }

// Close ends the exchange; what was written is still delivered. It says no goodbye in TLS, which could wait for the other side.
func (v *visit) Close() error { return v.NetConn().Close() }

// cut ends reads and writes.
func (v *visit) cut() {
	_ = v.SetDeadline(time.Unix(1, 0)) // an error says that they have ended
}

// Exporter derives n bytes that only the two ends of this connection know.
func (v *visit) Exporter(label string, context []byte, n int) ([]byte, error) {
	state := v.ConnectionState()
	return state.ExportKeyingMaterial(label, context, n)
}

// serveGuest gives a guest GuestTime. When Serve has returned, what it wrote is still delivered: the guest hangs up, or its
// time ends.
func (t *trunks) serveGuest(ctx context.Context, conn *tls.Conn) {
	v, from := newVisit(conn), conn.RemoteAddr()
	defer func() { _ = v.Close() }()
	if !t.guests.Begin(from) {
		t.u.drops.count(dropTrunkGuests, micronet.NodeID{})
		return
	}
	defer t.guests.End(from)
	ctx, cancel := context.WithTimeout(ctx, GuestTime)
	defer cancel()
	defer context.AfterFunc(ctx, v.cut)()
	if _, err := v.in.Peek(1); err != nil {
		return // it got through over UDP meanwhile, or is none
	}
	t.config.Guest.Serve(ctx, v)
	// A connection that is closed with something unread is reset, and the answer may be lost with it.
	if v.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, v.in, visitRest)
	}
}

// DialGuest connects to a member over TCP, to join through it where UDP does not pass. conf has to check who answers; its
// ALPN is set here. The connection ends with Close, and within GuestTime.
func DialGuest(ctx context.Context, n micronet.Network, addr netip.AddrPort, conf *tls.Config) (GuestConn, error) {
	ctx, cancel := context.WithTimeout(ctx, visitDial)
	defer cancel()
	conn, err := n.Dial(ctx, netip.Addr{}, addr)
	if err != nil {
		return nil, explainVisit(err)
	}
	v := newVisit(tls.Client(conn, Harden(conf, ALPNJoin)))
	if err = v.HandshakeContext(ctx); err == nil {
		err = v.SetDeadline(time.Now().Add(GuestTime))
	}
	if err != nil {
		_ = v.Close()
		return nil, explainVisit(err)
	}
	return v, nil
}

// explainVisit tells who answered and is not what we look for from who did not answer.
func explainVisit(err error) error {
	const op = "tunnel.join"
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[syscall.Errno](err); ok && e != syscall.ECONNRESET && e != syscall.EPIPE {
		return micronet.E(op, micronet.Unreachable, "%w", e)
	}
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	remote, _ := errors.AsType[*net.OpError](err)
	switch {
	case noTLS, remote != nil && remote.Op == "remote error":
		return micronet.E(op, micronet.Unauthorized, "the TLS handshake failed: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return micronet.E(op, micronet.Overloaded, "the peer takes no connection now")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return micronet.E(op, micronet.Timeout, "no answer")
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed):
		return micronet.E(op, micronet.Closed, "%w", err)
	}
	return micronet.E(op, micronet.Unreachable, "%w", err)
}
