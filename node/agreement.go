package node

import (
	"context"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

const (
	// ledgerTime bounds one comparison of ledgers.
	ledgerTime = 5 * time.Second
	// maxComparing bounds the comparisons that this node has going: a peer that stalls one does not hold up
	// those with others.
	maxComparing = 4
	// unequalQueue bounds the peers that wait to be compared with. Who did not fit is heard again.
	unequalQueue = 64
)

// agreement is which peers are known to hold the same statements. It is safe for concurrent use.
type agreement struct {
	mu          sync.Mutex // a leaf
	comparisons *gossip.Comparisons
}

// reset says that other statements are held here than before.
func (a *agreement) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.comparisons.Changed(time.Now())
}

// differs takes whether a peer says that it holds the same, and reports whether to compare with it now.
func (a *agreement) differs(now time.Time, id micronet.NodeID, same bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.comparisons.Heard(now, id, same)
}

func (a *agreement) agrees(id micronet.NodeID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.comparisons.Same(id)
}

// compared tells how a comparison ended.
func (a *agreement) compared(id micronet.NodeID, moved int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.comparisons.Compared(time.Now(), id, moved, err)
}

func (a *agreement) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.comparisons.Expire(time.Now())
}

// tunnelled learns of a new tunnel: both ends compare what the authorities have said before anything else.
func (l *life) tunnelled(c micronet.TunnelChange) {
	switch {
	case !c.Up || !l.started():
	case l.outcasts.Load().isRevoked(c.Peer):
		l.look() // which sweeps
	case !l.statements.agrees(c.Peer):
		l.unlike(c.Peer)
	}
}

// unlike asks for a comparison with a peer.
func (l *life) unlike(id micronet.NodeID) {
	select {
	case l.unequal <- id:
	default: // it says so again
	}
}

// agree compares ledgers with peers that hold other statements.
func (l *life) agree(ctx context.Context) error {
	g, turn := newGroup(ctx), make(chan struct{}, maxComparing)
	defer g.stop()
	for {
		var id micronet.NodeID
		select {
		case <-ctx.Done():
			return nil
		case id = <-l.unequal:
		}
		select {
		case <-ctx.Done():
			return nil
		case turn <- struct{}{}:
		}
		g.run(func(ctx context.Context) error {
			defer func() { <-turn }()
			l.report("ledger.sync", l.agreeWith(ctx, id))
			return nil
		})
	}
}

// agreeWith compares ledgers with a peer that is not known to hold the same. Afterwards both do.
func (l *life) agreeWith(ctx context.Context, peer micronet.NodeID) error {
	if l.statements.agrees(peer) {
		return nil
	}
	moved := 0
	err := l.withStream(ctx, peer, tunnel.PurposeLedger, ledgerTime, func(s tunnel.Stream) (err error) {
		moved, err = gossip.LedgerClient(s, l.statements)
		return err
	})
	l.statements.compared(peer, moved, err)
	return err
}

// serveLedger answers a peer's comparison.
func (l *life) serveLedger(ctx context.Context, in tunnel.Inbound) {
	l.serveStream(ctx, in, ledgerTime, "ledger.serve", func() error { return gossip.LedgerServer(in, l.statements) })
}
