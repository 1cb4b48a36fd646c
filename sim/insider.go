package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/sim/scenario"
	"github.com/micro/micro-net/tunnel"
)

const (
	// streamEvery is how often an insider opens a stream to everybody, and streamTime how long it may take.
	streamEvery = 2 * time.Second
	streamTime  = 10 * time.Second
)

// craft is how a forgery is made.
type craft struct {
	every  time.Duration        // between two rounds of lies
	lie    func(*insider)       // what is sent in each round
	stream func(*insider)       // what is done every streamEvery; nil: nothing
	grip   func(*insider) *grip // how its daemon is kept from what is honest; nil: it goes on as usual
	carry  misdeed              // what it makes of what it forwards; nil: what it should
}

func crafts() map[scenario.Forgery]craft {
	const often, seldom, rarely = 100 * time.Millisecond, 500 * time.Millisecond, time.Second
	return map[scenario.Forgery]craft{
		scenario.ForgeDead:       {every: often, lie: (*insider).claim},
		scenario.ForgeSuspect:    {every: often, lie: (*insider).claim},
		scenario.ForgeAlive:      {every: often, lie: (*insider).claim},
		scenario.ForgePoison:     {every: seldom, lie: (*insider).poison, stream: (*insider).offerFakes},
		scenario.ForgeFlood:      {every: often, lie: (*insider).flood, stream: (*insider).offerFakes},
		scenario.ForgeReplay:     {every: often, lie: (*insider).replay, stream: (*insider).offerOld},
		scenario.ForgeBombs:      {every: seldom, lie: (*insider).bomb, stream: (*insider).bombStreams},
		scenario.ForgeBlock:      {every: seldom, lie: (*insider).misversion, stream: (*insider).missync, grip: blockade},
		scenario.ForgeMangle:     {every: often, lie: (*insider).mangle, grip: mangling},
		scenario.ForgeWithhold:   {every: often, lie: (*insider).appease, grip: eclipse},
		scenario.ForgeSuppress:   {every: often, lie: (*insider).appease, grip: suppression},
		scenario.ForgeEquivocate: {every: seldom, lie: (*insider).equivocate},
		scenario.ForgeEndpoints:  {every: often, lie: (*insider).misplace},
		scenario.ForgeReflect:    {every: often, lie: (*insider).reflect},
		scenario.ForgeFuture:     {every: rarely, lie: (*insider).foresee, stream: (*insider).offerFuture},
		scenario.ForgeForeign:    {every: seldom, lie: (*insider).trespass, stream: (*insider).intrude},
		scenario.ForgeSquat:      {every: seldom, lie: (*insider).squat},

		scenario.ForgeRelayDrops:   {carry: dropping},
		scenario.ForgeRelayThins:   {carry: thinning},
		scenario.ForgeRelaySieves:  {carry: sieving},
		scenario.ForgeRelayDelays:  {carry: delaying},
		scenario.ForgeRelayAlters:  {carry: altering},
		scenario.ForgeRelayRepeats: {carry: repeating},
	}
}

// insider is a member with valid keys whose owner sends what no honest member does. Its daemon goes
// on as usual beside that.
type insider struct {
	mesh    *mesh
	machine *machine
	forgery scenario.Forgery
	craft   craft
	about   map[*machine]bool // the victims
	rng     *rand.Rand
	keys    identity.Keys
	cluster [16]byte
	rounds  int
	serial  uint64 // numbers forged versions
	taken   map[*machine]*flooded
	since   time.Duration
	before  footprint      // what had been sent when it began
	packed  []byte         // a compressed stream, nil before it is needed
	socket  net.PacketConn // beside its daemon's, nil before it is needed
	late    chan late      // packets that its daemon sends later than it should; see mangling
	abroad  *abroad        // its own other cluster, nil before it is founded
	leave   func()         // ends what it calls from there; nil: nothing
	over    bool
}

// forge makes a machine an insider, and honest again.
func (m *mesh) forge(a scenario.Insider) (undo func()) {
	x := m.selected(a.Node)[0]
	i := &insider{
		mesh: m, machine: x, forgery: a.Forge, craft: crafts()[a.Forge], about: set(m.machines), taken: map[*machine]*flooded{},
		rng: rand.New(rand.NewPCG(m.rng.Uint64(), 0x1a51de)), since: m.now(), late: make(chan late, maxLate),
	}
	if !a.About.IsZero() {
		i.about = set(m.selected(a.About))
	}
	delete(i.about, x)
	if err := i.steal(); err != nil {
		m.fail(x.name, "scenario", err.Error())
		return nil
	}
	m.insiders = append(m.insiders, i)
	m.witness.distrusts(i.keys.ID())
	i.before = m.observer.traffic.footprint(i)
	before := x.doubted
	x.doubted = forever()
	if i.craft.grip != nil {
		x.inside.seize(i.craft.grip(i))
	}
	if i.craft.carry != nil {
		x.host.SetHand(newCarrier(i))
	}
	if i.craft.lie != nil {
		i.round()
	}
	return func() {
		i.over = true
		m.recorder.add(x.name, "insider", "", m.observer.traffic.footprint(i).since(&i.before))
		x.inside.seize(nil)
		x.host.SetHand(nil)
		if i.socket != nil {
			_ = i.socket.Close()
		}
		if i.leave != nil {
			i.leave()
		}
		x.doubted = time.Now()
		if before.After(x.doubted) {
			x.doubted = before
		}
	}
}

// steal reads what is needed to sign from the machine's disk.
func (i *insider) steal() error {
	raw, err := i.machine.host.FS().ReadFile(filepath.Join(dataDir, "node.key"))
	if err != nil {
		return fmt.Errorf("the keys of %s: %w", i.machine.name, err)
	}
	if err := i.keys.UnmarshalBinary(raw); err != nil {
		return err
	}
	token, err := identity.ParseToken(i.mesh.token, identity.JoinToken)
	i.cluster = token.Cluster
	return err
}

// round sends one set of lies and plans the next.
func (i *insider) round() {
	if i.over {
		return
	}
	if i.machine.alive() {
		i.craft.lie(i)
		if i.craft.stream != nil && i.rounds%int(streamEvery/i.craft.every) == 0 {
			i.craft.stream(i)
		}
		i.rounds++
	}
	i.mesh.agenda.put(i.mesh.now()+i.craft.every, i.round)
}

// parts are those of its daemon that an insider uses. There are none before the daemon has joined.
type parts struct {
	swim    swim.Config
	members gossip.Membership
	tun     tunnel.Tunnel
	under   *tunnel.Underlay
}

func (i *insider) parts() (parts, bool) {
	in := &i.machine.inside
	in.mu.Lock()
	defer in.mu.Unlock()
	return parts{in.swim, in.members, in.tun, in.under}, in.members != nil && in.tun != nil
}

// each does something for each peer in membership.
func (i *insider) each(do func(parts, gossip.Member)) {
	p, ok := i.parts()
	if !ok {
		return
	}
	for _, o := range p.members.Members() {
		do(p, o)
	}
}

// victims does something for each of those whom it is about.
func (i *insider) victims(do func(parts, gossip.Member)) {
	i.each(func(p parts, o gossip.Member) {
		if i.about[i.mesh.machineOf(o.ID)] {
			do(p, o)
		}
	})
}

// tell seals a packet for each peer of membership but one, which may be nobody.
func (i *insider) tell(payload []byte, not micronet.NodeID) {
	i.each(func(p parts, o gossip.Member) {
		if o.ID != not {
			_ = p.swim.Transport.Send(o.ID, payload) // best effort, as all packets are
		}
	})
}

// claim says of each victim, to everybody else, that it is in another state. The victim hears of it
// from those only who believed it.
func (i *insider) claim() {
	i.victims(func(p parts, o gossip.Member) {
		from, name := memberName(p.swim.Self, p.swim.Epoch), memberName(o.ID, o.Epoch)
		switch i.forgery {
		case scenario.ForgeDead:
			i.tell(claimMessage(kindDead, uint32(1+i.rounds), name, from), o.ID)
		case scenario.ForgeSuspect:
			i.tell(claimMessage(kindSuspect, uint32(1+i.rounds), name, from), o.ID)
		case scenario.ForgeAlive:
			i.tell(aliveMessage(nearTheEnd, o), o.ID)
			i.tell(aliveMessage(theEnd, o), o.ID)
		}
	})
}

// offerFakes opens a stream to each peer and offers it a catalog that no honest node has.
func (i *insider) offerFakes() { i.offer(i.catalog()) }

func (i *insider) offer(store gossip.Store) {
	i.open(tunnel.PurposeCatalog, func(s tunnel.Stream) error {
		_, err := gossip.SyncClient(s, store, gossip.SyncLimits{})
		return err
	})
}

// open opens a stream to each peer and does something with it.
func (i *insider) open(purpose tunnel.Purpose, do func(tunnel.Stream) error) {
	i.each(func(p parts, o gossip.Member) {
		i.mesh.ending.Go(func() {
			ctx, cancel := timeout(streamTime)
			defer cancel()
			s, err := p.tun.Open(ctx, o.ID, tunnel.Opening{Purpose: purpose})
			if err != nil {
				return // nobody there, or nobody who wants to hear it
			}
			defer context.AfterFunc(ctx, s.Abort)()
			defer s.Abort()
			if err := do(s); err != nil {
				i.mesh.recorder.add(i.machine.name, "forged", "", "it was not taken: "+err.Error())
			}
		})
	})
}
