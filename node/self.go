package node

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

// self is what this node says of itself: where it can be reached, and what it offers.
type self struct {
	env     micronet.Env
	config  *Config
	pass    *passport
	mesh    netip.AddrPort
	tcp     uint16 // port
	machine [16]byte
	under   *tunnel.Underlay
	mapped  func() []netip.AddrPort // what a router lets in for us
	anchor  func() []byte           // of our heartbeats

	mu        sync.Mutex
	epoch     uint64
	seq       uint64 // of credentials
	endpoints []netip.AddrPort
	carries   carrying
	prefixes  []netip.Prefix // of the interfaces, when they were looked at last
}

func newSelf(l *life) *self {
	s := &self{
		env: l.env, config: l.config, pass: l.pass, epoch: l.epoch, mesh: l.mesh, tcp: l.listeners.tcpPort(), under: l.under, mapped: l.mapper.outer, anchor: l.pulse.published,
		machine: machineTag(l.pass.trust.Cluster(), l.self, l.env.Host.Machine),
	}
	s.endpoints, s.carries = s.look()
	return s
}

// look lists our endpoints as they are now, and looks which part we have in relaying. Interfaces that cannot be read
// leave the rest.
func (s *self) look() ([]netip.AddrPort, carrying) {
	ifaces, err := s.env.Net.Interfaces()
	if err != nil {
		s.env.Events.BackgroundError("node.interfaces", err)
	}
	carries := s.carry(ifaces)
	given := append(slices.Clone(s.config.Advertise), s.mapped()...)
	return endpoints(s.mesh, given, ifaces, s.under.Observed()), carries
}

// refresh looks again and reports whether something changed.
func (s *self) refresh() bool {
	endpoints, carries := s.look()
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Equal(endpoints, s.endpoints) && carries == s.carries {
		return false
	}
	s.endpoints, s.carries = endpoints, carries
	return true
}

func (s *self) where() []netip.AddrPort {
	_, endpoints := s.now()
	return endpoints
}

// raise begins a new epoch.
func (s *self) raise(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = epoch
}

func (s *self) now() (epoch uint64, endpoints []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch, slices.Clone(s.endpoints)
}

// credential makes a new credential of the endpoints as they were last seen.
func (s *self) credential() ([]byte, error) {
	state := s.next()
	return identity.NewCredential(s.pass.keys, s.pass.member(), state)
}

// next is what this node says of itself in its next credential.
func (s *self) next() identity.Self {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	return identity.Self{
		Epoch: s.epoch, Seq: s.seq, Machine: s.machine, Flags: s.flagsLocked(), Endpoints: slices.Clone(s.endpoints), TCP: s.tcp, Relays: s.carries.tags(),
	}
}

// flagsLocked say what this node can do now: a promotion may have ended.
func (s *self) flagsLocked() (f identity.Flags) {
	if s.carries.relay {
		f |= identity.FlagRelay
	}
	if issuer, err := s.pass.issuer(s.env); issuer != nil && err == nil {
		f |= identity.FlagAuthority
		if issuer.IsRoot() {
			f |= identity.FlagRoot
		}
	}
	return f
}

func (s *self) local(credential []byte) tunnel.Local {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tunnel.Local{
		ID: s.pass.id(), BoxPrivate: s.pass.keys.Box, Credential: credential, Machine: machineOf(s.machine, s.machine),
		Relay: s.carries.relay,
	}
}

// document is what this node announces.
func (s *self) document(instances []micronet.Instance) gossip.Document {
	m := s.pass.member()
	return gossip.Document{
		Name: m.Name, Cluster: m.ClusterName, Software: s.config.Version, Endpoints: s.where(), Instances: instances,
		Heartbeat: s.anchor(), Right: s.right(),
	}
}

// right is what this node shows to those who ask whether it signs for the cluster, nil when it does not.
func (s *self) right() []byte {
	issuer, err := s.pass.issuer(s.env)
	if issuer == nil || err != nil {
		return nil
	}
	right, err := issuer.Right(s.pass.member())
	if err != nil {
		s.env.Events.BackgroundError("node.right", err)
		return nil
	}
	return right
}

// node is this node as the view lists it.
func (s *self) node(now time.Time) micronet.Node {
	m := s.pass.member()
	epoch, endpoints := s.now()
	return micronet.Node{
		ID: s.pass.id(), Name: m.Name, Cluster: m.ClusterName, Status: micronet.Alive, Epoch: epoch,
		Endpoints: endpoints, Version: s.config.Version, Heard: now,
	}
}
