package sim

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/scenario"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

const (
	// claimEvery is how often an insider claims something, and poisonEvery how often it sends broken records.
	claimEvery  = 100 * time.Millisecond
	poisonEvery = 500 * time.Millisecond
	// floodEvery and floodVersions make 3,000 new versions of its record a second.
	floodEvery    = 100 * time.Millisecond
	floodVersions = 300
	// streamEvery is how often an insider opens a stream to everybody, and streamTime how long it may take.
	streamEvery = 2 * time.Second
	streamTime  = 10 * time.Second
)

// inside is what a machine's daemon is made of, as far as somebody who owns the machine can use it:
// the transport that seals packets in its name, and the tunnel. The daemon writes it when it starts.
type inside struct {
	mu      sync.Mutex
	swim    swim.Config
	members gossip.Membership
	tun     tunnel.Tunnel
}

// membership is that of the daemon now: it can be renewed while the daemon lives.
func (i *inside) membership() gossip.Membership {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.members
}

// plugs look at what the daemon is made of. They change nothing.
func (i *inside) plugs() []node.Option {
	membership := func(c swim.Config) gossip.Membership {
		s := swim.New(c)
		i.mu.Lock()
		defer i.mu.Unlock()
		i.swim, i.members = c, s
		return s
	}
	tunnels := func(c quic.Config) (tunnel.Tunnel, error) {
		t, err := quic.New(c)
		if err != nil {
			return nil, err
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.tun = t
		return t, nil
	}
	return []node.Option{node.WithMembership(membership), node.WithTunnel(tunnels)}
}

// insider is a member with valid keys whose owner sends what no honest member does. Its daemon goes
// on as usual beside that.
type insider struct {
	mesh    *mesh
	machine *machine
	forgery scenario.Forgery
	about   map[*machine]bool // the victims
	keys    identity.Keys
	cluster [16]byte
	rounds  int
	serial  uint64 // numbers forged versions
	taken   map[*machine]*flooded
	over    bool
}

// forge makes a machine an insider, and honest again.
func (m *mesh) forge(a scenario.Insider) (undo func()) {
	x := m.selected(a.Node)[0]
	i := &insider{mesh: m, machine: x, forgery: a.Forge, about: set(m.machines), taken: map[*machine]*flooded{}}
	if !a.About.IsZero() {
		i.about = set(m.selected(a.About))
	}
	delete(i.about, x)
	if err := i.steal(); err != nil {
		m.fail(x.name, "scenario", err.Error())
		return nil
	}
	m.insiders = append(m.insiders, i)
	before := x.doubted
	x.doubted = forever()
	i.round()
	return func() {
		i.over = true
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
	every := i.pace()
	if i.machine.alive() {
		i.lie(every)
		i.rounds++
	}
	i.mesh.agenda.put(i.mesh.now()+every, i.round)
}

// pace is the time between two rounds.
func (i *insider) pace() time.Duration {
	switch i.forgery {
	case scenario.ForgeFlood:
		return floodEvery
	case scenario.ForgePoison:
		return poisonEvery
	}
	return claimEvery
}

// lie sends what the forgery says. Streams are opened less often than packets are sent.
func (i *insider) lie(every time.Duration) {
	streams := i.rounds%int(streamEvery/every) == 0
	switch i.forgery {
	case scenario.ForgePoison:
		i.poison()
	case scenario.ForgeFlood:
		i.flood()
	default:
		i.claim()
		return
	}
	if streams {
		i.synchronise()
	}
}

// tell seals a packet for each peer of membership but one, which may be nobody.
func (i *insider) tell(payload []byte, not micronet.NodeID) {
	i.machine.inside.mu.Lock()
	transport, members := i.machine.inside.swim.Transport, i.machine.inside.members
	i.machine.inside.mu.Unlock()
	if members == nil {
		return // it has not joined yet
	}
	for _, p := range members.Members() {
		if p.ID != not {
			_ = transport.Send(p.ID, payload) // best effort, as all packets are
		}
	}
}

// claim says of each victim, to everybody else, that it is in another state. The victim hears of it
// from those only who believed it.
func (i *insider) claim() {
	i.machine.inside.mu.Lock()
	members, self, epoch := i.machine.inside.members, i.machine.inside.swim.Self, i.machine.inside.swim.Epoch
	i.machine.inside.mu.Unlock()
	if members == nil {
		return
	}
	from := memberName(self, epoch)
	for _, p := range members.Members() {
		if !i.about[i.mesh.machineOf(p.ID)] {
			continue
		}
		switch i.forgery {
		case scenario.ForgeDead:
			i.tell(claimMessage(kindDead, uint32(1+i.rounds), memberName(p.ID, p.Epoch), from), p.ID)
		case scenario.ForgeSuspect:
			i.tell(claimMessage(kindSuspect, uint32(1+i.rounds), memberName(p.ID, p.Epoch), from), p.ID)
		case scenario.ForgeAlive:
			i.tell(aliveMessage(nearTheEnd, p), p.ID)
			i.tell(aliveMessage(theEnd, p), p.ID)
		}
	}
}

// synchronise opens a stream to each peer and offers it a catalog that no honest node has.
func (i *insider) synchronise() {
	i.machine.inside.mu.Lock()
	tun, members := i.machine.inside.tun, i.machine.inside.members
	i.machine.inside.mu.Unlock()
	if tun == nil || members == nil {
		return
	}
	store := i.catalog()
	for _, p := range members.Members() {
		i.mesh.ending.Go(func() {
			if err := offer(tun, p.ID, store); err != nil {
				i.mesh.recorder.add(i.machine.name, "forged", "", "the catalog was not taken: "+err.Error())
			}
		})
	}
}

func offer(tun tunnel.Tunnel, to micronet.NodeID, store gossip.Store) error {
	ctx, cancel := timeout(streamTime)
	defer cancel()
	s, err := tun.Open(ctx, to, tunnel.Opening{Purpose: tunnel.PurposeCatalog})
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, s.Abort)()
	defer s.Abort()
	_, err = gossip.SyncClient(s, store, gossip.SyncLimits{})
	return err
}
