package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	minAcceptPause = 5 * time.Millisecond // after a failed accept, doubled each time
	maxAcceptPause = time.Second
)

// acceptor takes connections of one or more listeners and hands each to a goroutine of its own,
// at most limit at once. Beyond that the newest is reset and reported as dropped: those that
// are being served matter more.
type acceptor struct {
	events *micronet.Events
	slots  chan struct{}  // one entry per connection being served
	wg     sync.WaitGroup // the loops and the connections
}

func newAcceptor(events *micronet.Events, limit int) *acceptor {
	return &acceptor{events: events, slots: make(chan struct{}, limit)}
}

// loop accepts until the listener is closed. A failing accept (no file descriptors, say) is
// reported and tried again after a pause.
func (a *acceptor) loop(ctx context.Context, ln net.Listener, serve func(net.Conn)) {
	pause := minAcceptPause
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			pause = minAcceptPause
			a.serve(c, serve)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			a.events.BackgroundError("proxy.accept", err)
			if !micronet.Pause(ctx, pause) {
				return
			}
			pause = min(2*pause, maxAcceptPause)
		}
	}
}

func (a *acceptor) serve(c net.Conn, serve func(net.Conn)) {
	select {
	case a.slots <- struct{}{}:
	default:
		a.events.PacketDropped(micronet.PacketDrop{Where: "proxy", Why: "too-many-connections"})
		abort(c)
		return
	}
	a.wg.Go(func() {
		defer func() { <-a.slots }()
		serve(c)
	})
}
