package node

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/tunnel"
)

const (
	// shunFor is how long a part of this node does not listen to a peer on whose input it failed. It is short, and for
	// that part alone: the peer may have passed on in good faith what another one made.
	shunFor = time.Minute
	// maxShunned bounds the pairs of peer and part that are remembered; of further ones each failure is met anew.
	maxShunned = 1024
	// maxStack bounds what is reported of where it failed.
	maxStack = 4 << 10
)

// poison keeps faults of this program that a peer's input brings out from ending the daemon: all others get the same
// input, and would end with it. It is safe for concurrent use.
type poison struct {
	env micronet.Env

	some atomic.Bool // anybody is shunned: spares all packets the lock

	mu    sync.Mutex // a leaf
	until map[poisonKey]time.Time
	met   uint64
	last  poisonKey
}

// poisonKey is a part of this node, and whose input it failed on; zero where nobody knows.
type poisonKey struct {
	peer micronet.NodeID
	part string
}

func newPoison(env micronet.Env) *poison {
	return &poison{env: env, until: map[poisonKey]time.Time{}}
}

// guard runs what a part does with a peer's input. A panic in it becomes an error, is counted, and has the part shun the
// peer. Whoever is called here must unlock what it locks by defer.
func (p *poison) guard(peer micronet.NodeID, part string, do func() error) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = p.caught(poisonKey{peer, part}, fault)
		}
	}()
	return do()
}

func (p *poison) caught(k poisonKey, fault any) error {
	stack := debug.Stack()
	p.mu.Lock()
	p.met++
	p.last = k
	if _, known := p.until[k]; !k.peer.IsZero() && (known || len(p.until) < maxShunned) {
		p.until[k] = time.Now().Add(shunFor)
		p.some.Store(true)
	}
	p.mu.Unlock()
	p.env.Events.PacketDropped(micronet.PacketDrop{Where: "node", Why: "panic", Peer: k.peer})
	err := micronet.E("node."+k.part, micronet.Internal, "a fault of this program: %v", fault).WithPeer(k.peer)
	p.env.Events.BackgroundError("node.panic", fmt.Errorf("%w\n%s", err, stack[:min(len(stack), maxStack)]))
	return err
}

// shuns reports whether a part does not listen to a peer now, and counts what is not listened to.
func (p *poison) shuns(peer micronet.NodeID, part string) bool {
	if !p.some.Load() || !p.shunned(time.Now(), poisonKey{peer, part}) {
		return false
	}
	p.env.Events.PacketDropped(micronet.PacketDrop{Where: "node", Why: "shunned", Peer: peer})
	return true
}

func (p *poison) shunned(now time.Time, k poisonKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for k, until := range p.until {
		if !now.Before(until) {
			delete(p.until, k)
		}
	}
	p.some.Store(len(p.until) > 0)
	_, there := p.until[k]
	return there
}

// packets guards who takes the packets of a channel.
func (p *poison) packets(part string, take tunnel.Receive) tunnel.Receive {
	return func(from micronet.NodeID, payload []byte, at time.Time) {
		if p.shuns(from, part) {
			return
		}
		_ = p.guard(from, part, func() error { // it was reported
			take(from, payload, at)
			return nil
		})
	}
}

// warning tells of faults; false when none was met in this life.
func (p *poison) warning(name func(micronet.NodeID) string) (api.Warning, bool) {
	p.mu.Lock()
	met, last := p.met, p.last
	p.mu.Unlock()
	if met == 0 {
		return api.Warning{}, false
	}
	from := "what a node sent"
	if !last.peer.IsZero() {
		from = "what " + name(last.peer) + " sent"
	}
	return api.Warning{
		Code: "fault", Text: fmt.Sprintf("this program has failed %d times on input of other nodes, the last time in %q on %s; it went on without that", met, last.part, from),
		Fix: "please report it with the log's lines of \"node.panic\"; other versions may not have it",
	}, true
}

// partOf names what a stream is for.
func partOf(p tunnel.Purpose) string {
	switch p {
	case tunnel.PurposeService:
		return "service"
	case tunnel.PurposeMembership:
		return "membership"
	case tunnel.PurposeCatalog:
		return "catalog"
	case tunnel.PurposeLedger:
		return "ledger"
	case tunnel.PurposeControl:
		return "control"
	}
	return "unknown"
}
