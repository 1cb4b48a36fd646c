package light

import (
	"context"
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// conn is what the network's streams have to be able to do.
type conn interface {
	net.Conn
	CloseWrite() error
	SetLinger(sec int) error // 0: Close resets the connection
}

// abort resets both directions.
func abort(c conn) {
	// Errors say that there is nothing left to reset.
	_ = c.SetLinger(0)
	_ = c.Close()
}

// directory is an optional power of the Socket: the addresses that a peer may be at.
type directory interface {
	Peer(id micronet.NodeID) (tunnel.Peer, bool)
}

// pinger is an optional power of the Socket: a sign of life. Who was pinged knows who has pinged.
type pinger interface {
	Ping(ctx context.Context, id micronet.NodeID) (tunnel.PathInfo, error)
}

// dial connects to where a peer is, and tries again until ctx, dialTime or the peer has ended:
// handshakes of QUIC go on as well while nobody answers.
func (t *Tunnel) dial(ctx context.Context, p *peer) (conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, dialTime, noAnswer(p.id))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	stop := context.AfterFunc(p.life, func() { giveUp(gone(p)) })
	defer stop()
	for each := t.firstAttempt(p.id); ; each = min(2*each, attemptMax) {
		next := time.Now().Add(each)
		if t.reach(ctx, p.id) {
			if c := t.attempt(ctx, p.id, each); c != nil {
				return c, nil
			}
		}
		if !micronet.Pause(ctx, time.Until(next)) {
			return nil, explain("tunnel.dial", p.id, context.Cause(ctx))
		}
	}
}

// gone says why a peer has ended, which the end of the tunnel does not say.
func gone(p *peer) error {
	cause := context.Cause(p.life)
	if micronet.KindOf(cause) == micronet.Closed {
		return cause
	}
	return tunnel.NotRunning("tunnel.dial")
}

func noAnswer(to micronet.NodeID) error {
	return micronet.E("tunnel.dial", micronet.Timeout, "nobody takes the connection").WithPeer(to).
		WithFix("is the peer running, and does its network let TCP through on the port of the mesh?")
}

// reach makes sure that packets get to a peer, and that it knows who sends them. Without that its
// port may be open to TCP alone, where QUIC would not get through.
func (t *Tunnel) reach(ctx context.Context, to micronet.NodeID) bool {
	s, ok := t.socket.(pinger)
	path, _ := t.socket.Path(to)
	if !ok || path.Confirmed && time.Since(path.Heard) < silence {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, introTime)
	defer cancel()
	_, err := s.Ping(ctx, to)
	return err == nil
}

// firstAttempt is how long the first attempt may take.
func (t *Tunnel) firstAttempt(to micronet.NodeID) time.Duration {
	if path, ok := t.socket.Path(to); ok && path.RTT > 0 {
		return min(max(attemptMin, attemptTrips*path.RTT), attemptMax)
	}
	return attemptBlind
}

// attempt tries a peer's addresses once, for so long each; nil when nobody takes the connection.
func (t *Tunnel) attempt(ctx context.Context, to micronet.NodeID, each time.Duration) conn {
	for _, a := range t.addresses(to) {
		if c := t.attemptAt(ctx, a, each); c != nil {
			return c
		}
	}
	return nil
}

func (t *Tunnel) attemptAt(ctx context.Context, a netip.AddrPort, within time.Duration) conn {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := t.connect(ctx, a)
	if err != nil {
		return nil // what is wrong with one attempt is of no interest when there is another one
	}
	return c
}

func (t *Tunnel) connect(ctx context.Context, a netip.AddrPort) (conn, error) {
	raw, err := t.env.Net.Dial(ctx, netip.Addr{}, a)
	if err != nil {
		return nil, err
	}
	return asConn(raw)
}

func asConn(raw net.Conn) (conn, error) {
	if c, ok := raw.(conn); ok {
		return c, nil
	}
	_ = raw.Close() // the error below says more
	return nil, micronet.E("tunnel.dial", micronet.Internal, "streams of this network cannot end one direction alone")
}

// addresses are those that packets to a peer go to now, or may go to.
func (t *Tunnel) addresses(to micronet.NodeID) []netip.AddrPort {
	if path, ok := t.socket.Path(to); ok && path.Remote.IsValid() && path.Relay.IsZero() {
		return []netip.AddrPort{path.Remote}
	}
	if s, ok := t.socket.(directory); ok {
		p, _ := s.Peer(to)
		return p.Endpoints
	}
	return nil
}
