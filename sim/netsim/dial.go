package netsim

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// synRetry is the wait before the first repetition of a handshake (RFC 6298 section 2); it
	// doubles each time.
	synRetry = time.Second

	// synTries is how often a handshake is repeated before it times out after 127 s, Linux's
	// tcp_syn_retries.
	synTries = 6
)

// handshake is a connection that is being opened.
//
//	client                     server
//	  │ ── syn ───────────────▶ │  no listener: refused
//	  │ ◀─────────── answer ─── │  the server's end exists from here on
//	  │ ── first segment ─────▶ │  and is accepted from here on
type handshake struct {
	client *stream
	find   func(p *packet) (*listener, bool) // who listens where the handshake arrives
	done   chan error                        // holds the one result

	// Guarded by World.mu.
	server *stream
	tries  int
	over   bool
}

// Dial opens a TCP connection; see micronet.Network. It takes one round trip. It is refused at
// once when nobody listens, and times out when nothing comes back.
func (s *stack) Dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	to = normal(to)
	h, err := s.openTCP(ctx, from, to)
	if err == nil {
		err = h.wait(ctx)
	}
	if err != nil {
		return nil, opError("connect", "tcp", nil, net.TCPAddrFromAddrPort(to), err)
	}
	return h.client, nil
}

func (s *stack) openTCP(ctx context.Context, from netip.Addr, to netip.AddrPort) (*handshake, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.down {
		return nil, net.ErrClosed
	}
	target := s.redirectedLocked(to)
	src, err := s.dialSourceLocked(from, target.Addr())
	if err != nil {
		return nil, err
	}
	local, err := s.freePortLocked(src, s.tcp.conflicts)
	if err != nil {
		return nil, err
	}
	c := s.newTCPStream(local, target, to)
	c.maker = s.host.Credentials()
	h := s.newHandshake(c, func(p *packet) (*listener, bool) { return p.to.stack.tcp.lookup(p.dst) })
	h.synLocked()
	return h, nil
}

func (s *stack) dialSourceLocked(from, to netip.Addr) (netip.Addr, error) {
	if !from.IsValid() || from.IsUnspecified() {
		return s.sourceLocked(to)
	}
	from = from.Unmap().WithZone("")
	return from, s.checkSourceLocked(from, to)
}

func (s *stack) newHandshake(c *stream, find func(*packet) (*listener, bool)) *handshake {
	return &handshake{client: c, find: find, done: make(chan error, 1)}
}

// synLocked asks for the connection, and again until it is over.
func (h *handshake) synLocked() {
	c := h.client
	if h.over || c.st.down || c.st.host.afterStallLocked(h.synLocked) {
		return
	}
	if h.tries > synTries {
		h.finishLocked(syscall.ETIMEDOUT)
		return
	}
	p := c.packetLocked(0, nil, h.askedLocked)
	p.repeated = true
	c.st.w.launchLocked(p)
	c.st.w.afterLocked(synRetry<<h.tries, h.synLocked)
	h.tries++
}

// askedLocked runs where the handshake arrives.
func (h *handshake) askedLocked(p *packet) Why {
	c, to := h.client, p.to
	if to.stack.down {
		return WhyDown
	}
	if s := h.server; s == nil || s.st != to.stack || s.dst != p.src { // the host or a NAT may have restarted since
		l, ok := h.find(p)
		if !ok {
			p.answerLocked(endsBoth, h.refusedLocked)
			return ""
		}
		if len(l.backlog) >= backlogMax {
			return WhyOverflow
		}
		h.server = c.acceptedLocked(l, p)
	}
	p.answerLocked(endsNothing, h.answeredLocked)
	return ""
}

// answerLocked sends a packet without payload back from where p arrived.
func (p *packet) answerLocked(closes ending, arrive func(*packet) Why) bool {
	s := p.to.stack
	_, ok := s.w.launchLocked(&packet{proto: p.proto, from: s, src: p.dst, dst: p.src, closes: closes, arrive: arrive})
	return ok
}

// refusedLocked runs where the word arrives that nobody listens.
func (h *handshake) refusedLocked(p *packet) Why {
	if p.to.stack != h.client.st {
		return WhyNoSocket
	}
	h.finishLocked(syscall.ECONNREFUSED)
	return ""
}

// answeredLocked runs where the answer arrives: the connection is open. The first segment tells
// the server.
func (h *handshake) answeredLocked(p *packet) Why {
	if p.to.stack != h.client.st {
		return WhyNoSocket
	}
	if h.over {
		return ""
	}
	h.client.joinLocked(h.server)
	h.finishLocked(nil)
	h.client.sendLocked(segment{})
	return ""
}

func (h *handshake) finishLocked(err error) {
	if h.over {
		return
	}
	h.over = true
	h.done <- err
}

// wait returns when the handshake is over.
func (h *handshake) wait(ctx context.Context) error {
	select {
	case err := <-h.done:
		return err
	case <-h.client.st.gone:
		return net.ErrClosed
	case <-ctx.Done():
	}
	mu := &h.client.st.w.mu
	mu.Lock()
	defer mu.Unlock()
	if h.over { // at the same moment
		h.client.abortLocked()
	}
	h.over = true
	return ctx.Err()
}

// redirect sends connections to a prefix to a listener.
type redirect struct {
	table string
	from  netip.Prefix
	to    netip.AddrPort
}

// Redirect sends TCP connections of this host elsewhere; see micronet.Redirector.
func (s *stack) Redirect(_ context.Context, table string, from netip.Prefix, to net.Listener) (func() error, error) {
	if s.host.Credentials().UID != 0 {
		return nil, micronet.E("netsim.redirect", micronet.Refused, "%w", syscall.EPERM)
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.down {
		return nil, micronet.E("netsim.redirect", micronet.Closed, "the host has crashed")
	}
	s.removeRedirectLocked(table)
	s.redirects = append(s.redirects, redirect{table, from.Masked(), micronet.AddrPortOf(to.Addr())})
	return func() error {
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		s.removeRedirectLocked(table)
		return nil
	}, nil
}

func (s *stack) removeRedirectLocked(table string) {
	for i, r := range s.redirects {
		if r.table == table {
			s.redirects = append(s.redirects[:i:i], s.redirects[i+1:]...)
			return
		}
	}
}

// redirectedLocked returns where a connection to an address really goes.
func (s *stack) redirectedLocked(to netip.AddrPort) netip.AddrPort {
	for _, r := range s.redirects {
		if r.from.Contains(to.Addr()) && to != r.to {
			return r.to
		}
	}
	return to
}
