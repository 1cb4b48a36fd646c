package quic

import (
	"context"
	"errors"
	"net"
	"sync"

	micronet "github.com/micro/micro-net"
	quicgo "github.com/quic-go/quic-go"
)

// handshakes counts the connections that peers have begun and not finished. Anybody can begin one
// in the name of a peer whose address he forges: when several are open, the address has to answer
// first (Retry, RFC 9000 section 8.1.2). What is left are connections that somebody at the peer's
// address began, and those are few as well.
type handshakes struct {
	mu    sync.Mutex // a leaf
	total int
	of    map[micronet.NodeID]int
}

// crowded reports whether a peer's address has to answer before another one is begun.
func (h *handshakes) crowded(peer micronet.NodeID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total >= retryAbove || h.of[peer] >= retryAbovePerPeer
}

// begin counts one, or refuses it.
func (h *handshakes) begin(peer micronet.NodeID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.total >= maxHandshakes || h.of[peer] >= maxHandshakesPerPeer {
		return false
	}
	h.total++
	h.of[peer]++
	return true
}

func (h *handshakes) end(peer micronet.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	if h.of[peer]--; h.of[peer] == 0 {
		delete(h.of, peer)
	}
}

// mustAnswer reports whether an address has to prove itself before any state is kept for it:
// those of guests always have to.
func (t *Tunnel) mustAnswer(addr net.Addr) bool {
	peer, known := t.socket.IdentityOf(addr)
	return !known || t.handshakes.crowded(peer)
}

// finished keys, in a connection's context, the function that says that its handshake is done.
type finished struct{}

// admitPeer counts the handshake of a peer until it is done or given up.
func (t *Tunnel) admitPeer(ctx context.Context, peer micronet.NodeID) (context.Context, error) {
	if !t.handshakes.begin(peer) {
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "too many handshakes", Peer: peer})
		return nil, micronet.E("tunnel.accept", micronet.Overloaded, "too many handshakes").WithPeer(peer)
	}
	return t.watchHandshake(ctx, peer, func() { t.handshakes.end(peer) }), nil
}

// watchHandshake calls end once, when the handshake of a connection is done or the connection has ended, and
// counts those that ended without. Until then nobody has proved to be the peer: it is the one that the
// address stands for.
func (t *Tunnel) watchHandshake(ctx context.Context, peer micronet.NodeID, end func()) context.Context {
	end = sync.OnceFunc(end)
	stop := context.AfterFunc(ctx, func() {
		end()
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: failureOf(context.Cause(ctx)), Peer: peer})
	})
	return context.WithValue(ctx, finished{}, func() { stop(); end() })
}

// failureOf tells a peer that was refused, or refused us, from one that went silent.
func failureOf(err error) string {
	if e, ok := errors.AsType[*quicgo.TransportError](err); ok && e.ErrorCode >= firstAlert && e.ErrorCode <= lastAlert {
		return "handshake refused"
	}
	return "handshake not finished"
}

// finishHandshake says that the handshake of an accepted connection is done.
func finishHandshake(conn *quicgo.Conn) {
	if end, ok := conn.Context().Value(finished{}).(func()); ok {
		end()
	}
}
