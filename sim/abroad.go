package sim

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"path/filepath"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

// abroad is another cluster, which an insider founded by itself: its root, an authority, and a member with everything that
// a member needs. All of it is good there, and none of it counts here.
type abroad struct {
	auth *identity.Authority
	self insider             // signs with the member's key
	home identity.Membership // of the member, in its own cluster
	here identity.Membership // the same, under the name of the cluster that it is not of
	tun  *quic.Tunnel        // by which it calls the members of this one
	way  *tunnel.Underlay
}

// found makes the other cluster once.
func (i *insider) found() *abroad {
	if i.abroad != nil {
		return i.abroad
	}
	a, err := i.foundAbroad()
	if err != nil {
		i.mesh.fail(i.machine.name, "scenario", "another cluster could not be founded: "+err.Error())
		return nil
	}
	i.abroad = a
	return a
}

func (i *insider) foundAbroad() (*abroad, error) {
	env := i.machine.host.Env()
	root, err := identity.NewRoot(env.Entropy, "abroad", env.Wall())
	if err != nil {
		return nil, err
	}
	a := &abroad{self: insider{cluster: root.Cluster}}
	if a.auth, err = root.Authority(env.Entropy); err != nil {
		return nil, err
	}
	if a.self.keys, err = identity.NewKeys(env.Entropy); err != nil {
		return nil, err
	}
	if a.home, err = a.auth.Issue(env.Wall(), identity.Request{ID: a.self.keys.ID(), Name: "stranger"}); err != nil {
		return nil, err
	}
	a.here = a.home
	a.here.Cluster = i.cluster
	return a, i.callFrom(a, env)
}

// callFrom makes a tunnel whose other ends are members of this cluster, and who shows the certificate of the other.
func (i *insider) callFrom(a *abroad, env micronet.Env) error {
	raw, err := i.machine.host.FS().ReadFile(filepath.Join(dataDir, "membership.json"))
	if err != nil {
		return err
	}
	m, err := identity.UnmarshalMembership(raw)
	if err != nil {
		return err
	}
	trust, err := m.Trust()
	if err != nil {
		return err
	}
	conn, err := i.machine.host.ListenPacket(i.machine.life.ctx, netip.AddrPortFrom(i.machine.host.Addr(), 0))
	if err != nil {
		return err
	}
	env = env.EnsureDefaults()
	verify := func(raw []byte) (tunnel.Peer, error) {
		c, err := trust.VerifyCredential(raw, env.Wall(), 0)
		return tunnel.Peer{ID: c.ID, BoxKey: c.Box, Credential: raw, Endpoints: c.Endpoints, Expires: c.Expires}, err
	}
	if a.way, err = tunnel.NewUnderlay(tunnel.UnderlayConfig{Env: env, Conn: conn, Verify: verify, Cluster: i.cluster}); err != nil {
		return err
	}
	a.tun, err = quic.New(quic.Config{Env: env, Self: a.self.keys.ID(), Socket: a.way, TLS: identity.TLS{
		Keys: a.self.keys, Membership: func() identity.Membership { return a.home }, Trust: trust, Wall: env.Wall, Entropy: env.Entropy,
	}})
	if err != nil {
		return err
	}
	i.each(func(_ parts, o gossip.Member) {
		if p, err := verify(o.Credential); err == nil {
			a.way.AddPeer(p)
		}
	})
	ctx, cancel := context.WithCancel(i.machine.life.ctx)
	i.leave = func() { cancel(); _ = conn.Close() }
	for _, run := range []func(context.Context) error{a.way.Run, a.tun.Run} {
		i.mesh.ending.Go(func() { _ = run(ctx) }) // it ends with the insider
	}
	return nil
}

// credential is what the member shows: that it is of its own cluster, or that it is of this one.
func (a *abroad) credential(m identity.Membership) []byte {
	c, err := identity.NewCredential(a.self.keys, m, identity.Self{Epoch: foreignEpoch, Seq: 1})
	if err != nil {
		return nil
	}
	return c
}

// foreignEpoch is that of the member, and so of its record.
const foreignEpoch = 1 << 8

// trespass says in this cluster what counts in another one: that a member of it is alive, what that offers, and what
// its authority says of the victims.
func (i *insider) trespass() {
	a := i.found()
	if a == nil {
		return
	}
	for n, m := range []identity.Membership{a.home, a.here} {
		credential := a.credential(m)
		a.way.SetLocal(tunnel.Local{ID: a.self.keys.ID(), BoxPrivate: a.self.keys.Box, Credential: credential})
		name := memberName(a.self.keys.ID(), foreignEpoch)
		i.tell(aliveAs(uint32(1+2*i.rounds+n), name, a.self.keys.ID(), credential, usual), micronet.NodeID{})
		i.spread(a.record(m.Cluster))
	}
	wall := i.machine.host.Env().Wall()
	i.victims(func(_ parts, o gossip.Member) {
		if raw := a.revocation(wall, o.ID); raw != nil {
			i.spread((&gossip.Statement{Raw: raw, Revokes: true}).Message())
		}
	})
}

// revocation is the word of the other cluster's authority that a key counts for nothing, nil where it cannot say that.
func (a *abroad) revocation(wall time.Time, id micronet.NodeID) []byte {
	body, err := identity.Revocation{Reason: "the insider says so", When: wall}.Body()
	if err != nil {
		return nil
	}
	raw, err := a.auth.State(wall, identity.Statement{Kind: identity.StatementRevocation, Subject: id[:], Clock: identity.ClockAt(wall), Body: body})
	if err != nil {
		return nil
	}
	return raw
}

// intrude calls each victim with the other cluster's certificate, and asks for what only members get. Over a tunnel of
// its own daemon it offers, in a comparison of ledgers, what that cluster's authority has said.
func (i *insider) intrude() {
	a := i.found()
	if a == nil {
		return
	}
	i.victims(func(_ parts, o gossip.Member) {
		for _, p := range []tunnel.Purpose{tunnel.PurposeMembership, tunnel.PurposeCatalog, tunnel.PurposeLedger} {
			i.mesh.ending.Go(func() {
				ctx, cancel := timeout(streamTime)
				defer cancel()
				if s, err := a.tun.Open(ctx, o.ID, tunnel.Opening{Purpose: p}); err == nil {
					s.Abort() // that there is a tunnel is a breach already, which its other end tells
				}
			})
		}
	})
	wall := i.machine.host.Env().Wall()
	l := offeredLedger{}
	i.victims(func(_ parts, o gossip.Member) { l.raws = append(l.raws, a.revocation(wall, o.ID)) })
	i.open(tunnel.PurposeLedger, func(s tunnel.Stream) error {
		_, err := gossip.LedgerClient(s, l)
		return err
	})
}

// offeredLedger holds whatever the other end lacks.
type offeredLedger struct {
	emptyLedger
	raws [][]byte
}

// Among implements gossip.LedgerStore.
func (l offeredLedger) Among([]gossip.StatementHash) [][]byte { return l.raws }

// record is one of the member, without items.
func (a *abroad) record(cluster identity.ClusterID) []byte {
	return a.self.full(header{cluster: cluster, owner: a.self.keys.ID(), version: gossip.Version{Epoch: foreignEpoch, Seq: 1}, hash: sha256.Sum256(nil)}, nil)
}
