package swim

import (
	"bytes"
	"context"
	"log"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	micronet "github.com/micro/micro-net"
)

const (
	// protocol is the version of memberlist's protocol that all members speak.
	protocol = memberlist.ProtocolVersion2Compatible
	// tickInterval is the time between two rounds of forgetting.
	tickInterval = 15 * time.Second
	// announceTimeout bounds the wait until a credential has been told to somebody.
	announceTimeout = 2 * time.Second
	// leaveTimeout bounds the wait until a goodbye has been told.
	leaveTimeout = 5 * time.Second
	// handoffQueue bounds memberlist's own queue of messages; newer ones are dropped.
	handoffQueue = 1024
)

// task is work with memberlist that Run's loop starts in a goroutine of its own. ctx ends when
// Run does.
type task func(ctx context.Context, list *memberlist.Memberlist)

// Run implements gossip.Membership. It may be called once.
func (s *Swim) Run(ctx context.Context) error {
	if !s.phase.CompareAndSwap(idle, running) {
		return micronet.E("swim.run", micronet.Refused, "membership runs once")
	}
	defer close(s.done)
	defer s.phase.Store(ended)
	if err := s.config.validate(); err != nil {
		return micronet.E("swim.run", micronet.Invalid, "%w", err)
	}
	s.carrier.ctx, s.carrier.cancel = context.WithCancel(ctx)
	defer s.carrier.cancel()
	list, err := memberlist.Create(s.memberlistConfig())
	if err != nil {
		return micronet.E("swim.run", micronet.Internal, "%w", err)
	}
	var tasks sync.WaitGroup
	s.loop(ctx, list, &tasks)
	return s.end(list, &tasks)
}

// loop starts tasks and forgets, until ctx ends.
func (s *Swim) loop(ctx context.Context, list *memberlist.Memberlist, tasks *sync.WaitGroup) {
	tick := time.NewTicker(tickInterval + s.env.Phase)
	defer tick.Stop()
	accuse := time.NewTicker(accuseInterval + s.env.Phase)
	defer accuse.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.tasks:
			tasks.Go(func() { t(s.carrier.ctx, list) })
		case <-s.refresh:
			tasks.Go(func() { s.announce(list) })
		case now := <-tick.C:
			s.tick(now)
		case <-accuse.C:
			s.accuse()
		}
	}
}

// tick forgets what is old, and announces the credential again if memberlist lost it: a
// refutation at the same moment takes the old one along.
func (s *Swim) tick(now time.Time) {
	s.mu.Lock()
	changed := s.table.expire(now)
	s.contacts.expire(now)
	s.senders.expire(now)
	stale := !bytes.Equal(s.announced, s.credential)
	s.mu.Unlock()
	s.changed(changed)
	if stale {
		s.wake()
	}
}

// announce makes memberlist tell others the current credential. A timeout only means that
// nobody was there to be told.
func (s *Swim) announce(list *memberlist.Memberlist) {
	_ = list.UpdateNode(announceTimeout)
}

// end stops everything, in this order: the delegates and packets fall silent, so that nothing
// reaches the user any more; the carrier closes, so that dials and streams end; the tasks end
// because of that; memberlist stops last, because its Leave must not run into a Shutdown.
func (s *Swim) end(list *memberlist.Memberlist, tasks *sync.WaitGroup) error {
	s.phase.Store(ended)
	if err := s.carrier.Shutdown(); err != nil {
		s.reporter.report("swim.stop", err)
	}
	tasks.Wait()
	if err := list.Shutdown(); err != nil {
		return micronet.E("swim.run", micronet.Internal, "%w", err)
	}
	return nil
}

// submit hands a task to the loop. It waits for Run to be started.
func (s *Swim) submit(ctx context.Context, op string, t task) error {
	select {
	case s.tasks <- t:
		return nil
	case <-s.done:
		return micronet.E(op, micronet.Closed, "membership has ended")
	case <-ctx.Done():
		return ctxError(op, ctx)
	}
}

// ctxError is the error of a call whose context ended.
func ctxError(op string, ctx context.Context) error {
	return micronet.E(op, micronet.Timeout, "%w", context.Cause(ctx))
}

// Leave implements gossip.Membership.
func (s *Swim) Leave(ctx context.Context) error {
	told := make(chan error, 1)
	err := s.submit(ctx, "swim.leave", func(_ context.Context, list *memberlist.Memberlist) {
		told <- list.Leave(leaveTimeout)
	})
	if err != nil {
		return err
	}
	select {
	case err := <-told:
		if err != nil {
			return micronet.E("swim.leave", micronet.Timeout, "the goodbye may not have reached all: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctxError("swim.leave", ctx)
	}
}

// memberlistConfig writes out every setting: memberlist's defaults ask the operating system.
// DeadNodeReclaimTime stays 0: an address follows from the id and never changes.
func (s *Swim) memberlistConfig() *memberlist.Config {
	p, phase := s.config.Profile, s.env.Phase
	d := delegate{s}
	return &memberlist.Config{
		Name:                    string(s.name),
		Transport:               s.carrier,
		BindPort:                int(s.self.id.Addr().Port()),
		ProtocolVersion:         protocol,
		TCPTimeout:              p.StreamTimeout,
		IndirectChecks:          p.IndirectProbes,
		RetransmitMult:          p.RetransmitMult,
		SuspicionMult:           p.SuspicionMult,
		SuspicionMaxTimeoutMult: p.SuspicionMaxMult,
		AwarenessMaxMultiplier:  p.AwarenessMax,
		PushPullInterval:        p.SyncInterval + phase,
		ProbeInterval:           p.ProbeInterval + phase,
		ProbeTimeout:            p.ProbeTimeout,
		GossipInterval:          p.GossipInterval + phase,
		GossipNodes:             p.GossipNodes,
		GossipToTheDeadTime:     p.GossipToTheDead,
		RequireNodeNames:        true,
		// memberlist adds its checksum after it has filled a packet.
		UDPBufferSize:      MaxPacket - crcHeader,
		HandoffQueueDepth:  handoffQueue,
		QueueCheckInterval: 30*time.Second + phase,
		Delegate:           d,
		Events:             d,
		Alive:              d,
		Logger:             log.New(logWriter{s.reporter}, "", 0),
	}
}
