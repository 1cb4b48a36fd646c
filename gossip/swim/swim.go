package swim

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// maxCredential bounds a credential: memberlist carries it as a member's metadata.
const maxCredential = memberlist.MetaMaxSize

// MaxPacket is the largest payload that is given to Transport.Send, in bytes.
const MaxPacket = 1100

// Transport carries packets and streams to nodes, by identity.
type Transport interface {
	// Send passes one packet of at most MaxPacket bytes to a node, best effort. It must not
	// block, and must copy what it keeps. An error counts as a lost packet. It may be called
	// from within HandlePacket.
	Send(to micronet.NodeID, payload []byte) error
	// OpenStream opens a stream that the peer's user hands to HandleStream. ctx bounds the
	// opening alone; it must return soon after ctx has ended.
	OpenStream(ctx context.Context, to micronet.NodeID) (net.Conn, error)
}

// Config is what a Swim is made of. Zero values are allowed where said.
type Config struct {
	Env        micronet.Env
	Self       micronet.NodeID
	Epoch      uint64 // higher than any that Self has used before; at least 1, at most 2^62
	Transport  Transport
	Delegate   gossip.Delegate
	Credential []byte  // at most 512 bytes
	Profile    Profile // zero fields: DefaultProfile
	// Poisoned is called once, from a goroutine of membership, when somebody pushed our
	// incarnation near its end, so that others may not believe us any more. The remedy is a new
	// Swim with a higher Epoch. It must not block. May be nil.
	Poisoned func()
}

// Swim is gossip.Membership by memberlist. Make it with New, start it with Run.
type Swim struct {
	// constant
	config   Config
	env      micronet.Env
	self     life
	name     []byte // self's member name
	reporter *reporter
	carrier  *carrier

	// safe for several goroutines
	tasks    chan task     // unbuffered: what the loop of Run starts
	refresh  chan struct{} // holds one: the credential changed
	done     chan struct{} // closed when Run has ended
	phase    atomic.Int32  // idle, running or ended
	poisoned atomic.Bool
	suspects atomic.Bool  // anybody is suspect
	size     atomic.Int64 // nodes to spread messages to, this one included

	outboxMu sync.Mutex // innermost, as mu
	outbox   outbox

	mu         sync.Mutex // innermost: nothing is called while it is held
	table      *table
	contacts   contacts
	senders    senders
	credential []byte
	defence    defence
	announced  []byte // the credential that memberlist tells others
	rng        *rand.Rand
}

// The phases of a Swim.
const (
	idle int32 = iota
	running
	ended
)

var _ gossip.Membership = (*Swim)(nil)

// New allocates a Swim; Run starts it. Faults of the configuration are told by Run.
func New(config Config) *Swim {
	env := config.Env.EnsureDefaults()
	config.Profile = config.Profile.ensureDefaults()
	self := life{id: config.Self, epoch: config.Epoch}
	s := &Swim{
		config:     config,
		env:        env,
		self:       self,
		name:       []byte(self.String()),
		reporter:   &reporter{events: env.Events},
		tasks:      make(chan task),
		refresh:    make(chan struct{}, 1),
		done:       make(chan struct{}),
		table:      newTable(self),
		contacts:   make(contacts),
		senders:    make(senders),
		credential: bytes.Clone(config.Credential),
		rng:        env.Rand("swim"),
	}
	s.size.Store(1)
	s.carrier = newCarrier(s)
	return s
}

func (c *Config) validate() error {
	switch {
	case c.Self.IsZero():
		return fmt.Errorf("no node id")
	case c.Epoch == 0 || c.Epoch > maxEpoch:
		return fmt.Errorf("epoch %d is not between 1 and 2^62", c.Epoch)
	case c.Transport == nil || c.Delegate == nil:
		return fmt.Errorf("no transport or no delegate")
	case len(c.Credential) > maxCredential:
		return fmt.Errorf("the credential has %d bytes, %d are allowed", len(c.Credential), maxCredential)
	}
	return nil
}

// Members implements gossip.Membership. Dead and left nodes stay listed for 72 hours.
func (s *Swim) Members() []gossip.Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.snapshot()
}

// SetCredential implements gossip.Membership. One that is too long is reported and not used.
func (s *Swim) SetCredential(credential []byte) {
	if len(credential) > maxCredential {
		s.reporter.report("swim.credential", micronet.E("swim.credential", micronet.Invalid,
			"the credential has %d bytes, %d are allowed", len(credential), maxCredential))
		return
	}
	s.mu.Lock()
	s.credential = bytes.Clone(credential)
	s.mu.Unlock()
	s.wake()
}

// wake tells the loop that the credential may have to be announced.
func (s *Swim) wake() {
	select {
	case s.refresh <- struct{}{}:
	default:
	}
}

// knows reports whether packets and streams may go to a node.
func (s *Swim) knows(id micronet.NodeID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.entries[id] != nil || s.contacts.has(time.Now(), id)
}

// locked does something with what mu guards. The lock is given back whatever happens: a fault that a packet brings
// out is caught above, and must not leave everybody waiting.
func (s *Swim) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// changed brings the figures that are read without the lock up to date, and tells the user.
func (s *Swim) changed(yes bool) {
	if !yes {
		return
	}
	s.locked(func() {
		s.size.Store(int64(s.table.serving + 1))
		s.suspects.Store(s.table.suspects())
	})
	if s.phase.Load() == running {
		s.config.Delegate.Changed()
	}
}
