package gossip

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// Hub connects the members of one process. It is the Membership that needs nothing: no network,
// no delay, no loss. A member that stops is dead to the others at once.
//
// Members see each other after a Join, directly or through others, as in a real cluster.
type Hub struct {
	mu sync.Mutex // guards up and the views of all members; nothing is called while it is held
	up map[micronet.NodeID]*HubMember
}

// NewHub returns an empty hub.
func NewHub() *Hub { return &Hub{up: make(map[micronet.NodeID]*HubMember)} }

// HubConfig is what a member of a Hub is made of.
type HubConfig struct {
	Self       micronet.NodeID
	Epoch      uint64 // higher than any that Self has used before
	Credential []byte
	Delegate   Delegate
	Events     *micronet.Events // nil: nobody listens
}

// Attach makes a member; its Run starts it.
func (h *Hub) Attach(config HubConfig) *HubMember {
	if config.Events == nil {
		config.Events = &micronet.Events{}
	}
	config.Events.EnsureDefaults()
	return &HubMember{
		hub:        h,
		config:     config,
		inbox:      newHubInbox(config.Events),
		tasks:      make(chan func()),
		killed:     make(chan struct{}),
		done:       make(chan struct{}),
		credential: bytes.Clone(config.Credential),
		view:       make(map[micronet.NodeID]Member),
		group:      make(map[*HubMember]bool),
	}
}

// Kill stops a member as a crash would: no goodbye, and its Run returns an error. It reports
// whether the member was running.
func (h *Hub) Kill(id micronet.NodeID) bool {
	h.mu.Lock()
	m := h.up[id]
	changed := h.downLocked(m)
	h.mu.Unlock()
	tellChanged(changed)
	return m != nil
}

// start makes a member reachable. A former life that still runs ends as if killed.
func (h *Hub) start(m *HubMember) error {
	h.mu.Lock()
	if m.started {
		h.mu.Unlock()
		return micronet.E("gossip.hub", micronet.Refused, "membership runs once")
	}
	m.started = true
	changed := h.downLocked(h.up[m.config.Self])
	h.up[m.config.Self] = m
	m.group[m] = true
	h.mu.Unlock()
	tellChanged(changed)
	return nil
}

// stop makes a member unreachable when its Run ends.
func (h *Hub) stop(m *HubMember) {
	h.mu.Lock()
	changed := h.downLocked(m)
	h.mu.Unlock()
	tellChanged(changed)
}

// downLocked takes a member out and returns those whose view changed.
func (h *Hub) downLocked(m *HubMember) []*HubMember {
	if m == nil || h.up[m.config.Self] != m {
		return nil
	}
	delete(h.up, m.config.Self)
	close(m.killed)
	changed := m.statusLocked(micronet.Dead)
	for other := range m.group {
		delete(other.group, m)
	}
	m.group = nil
	return changed
}

// answers returns the running member of an id.
func (h *Hub) answers(id micronet.NodeID) *HubMember {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up[id]
}

// introduction is one member about to appear in the view of another.
type introduction struct {
	to, of *HubMember
	member Member
}

// introductions lists who would meet whom if two members joined: all that know the one and all
// that know the other.
func (h *Hub) introductions(a, b *HubMember) []introduction {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []introduction
	for _, x := range sortedGroup(a.group) {
		for _, y := range sortedGroup(b.group) {
			if x != y {
				all = append(all, introduction{x, y, y.selfLocked()}, introduction{y, x, x.selfLocked()})
			}
		}
	}
	return all
}

// merge carries out the introductions that were admitted.
func (h *Hub) merge(a, b *HubMember, admitted []introduction) []*HubMember {
	h.mu.Lock()
	defer h.mu.Unlock()
	var changed []*HubMember
	for _, i := range admitted {
		if h.up[i.of.config.Self] == i.of && i.to.listLocked(i.member) {
			changed = append(changed, i.to)
		}
	}
	if a.group == nil || b.group == nil {
		return changed
	}
	whole := make(map[*HubMember]bool, len(a.group)+len(b.group))
	for x := range a.group {
		whole[x] = true
	}
	for x := range b.group {
		whole[x] = true
	}
	for x := range whole {
		for y := range whole {
			x.group[y] = true
		}
	}
	return changed
}

// sortedGroup returns the members of a group by id: delegates are asked in this order.
func sortedGroup(group map[*HubMember]bool) []*HubMember {
	return slices.SortedFunc(maps.Keys(group), func(a, b *HubMember) int { return a.config.Self.Compare(b.config.Self) })
}

func tellChanged(members []*HubMember) {
	for _, m := range members {
		m.inbox.put("changed", "", m.config.Delegate.Changed)
	}
}

// HubMember is one node's Membership in a Hub.
type HubMember struct {
	// constant
	hub    *Hub
	config HubConfig
	inbox  *hubInbox
	tasks  chan func()   // unbuffered: what the loop of Run does
	killed chan struct{} // closed when the hub has taken the member out
	done   chan struct{} // closed when Run has ended

	// guarded by hub.mu
	started    bool
	left       bool
	credential []byte
	view       map[micronet.NodeID]Member
	group      map[*HubMember]bool // all that joined each other, itself included
}

var _ Membership = (*HubMember)(nil)

// Run implements Membership.
func (m *HubMember) Run(ctx context.Context) error {
	if err := m.hub.start(m); err != nil {
		return err
	}
	defer close(m.done)
	defer m.hub.stop(m)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.killed:
			return micronet.E("gossip.hub", micronet.Closed, "killed")
		case task := <-m.tasks:
			task()
		case <-m.inbox.wake:
			m.inbox.deliver()
		}
	}
}

// do lets the loop of Run carry out f. It waits for Run to be started.
func (m *HubMember) do(ctx context.Context, op string, f func()) error {
	finished := make(chan struct{})
	task := func() { defer close(finished); f() }
	select {
	case m.tasks <- task:
		<-finished
		return nil
	case <-m.done:
		return micronet.E(op, micronet.Closed, "membership has ended")
	case <-ctx.Done():
		return micronet.E(op, micronet.Timeout, "%w", context.Cause(ctx))
	}
}

// Join implements Membership.
func (m *HubMember) Join(ctx context.Context, seeds ...micronet.NodeID) (int, error) {
	answered := 0
	err := m.do(ctx, "gossip.join", func() {
		for _, id := range seeds {
			if other := m.hub.answers(id); other != nil && other != m {
				m.synchronise(other)
				answered++
			}
		}
	})
	if err == nil && answered == 0 {
		err = micronet.E("gossip.join", micronet.Unreachable, "none of %d members answered", len(seeds))
	}
	return answered, err
}

// synchronise joins the groups of two members and exchanges their states.
func (m *HubMember) synchronise(other *HubMember) {
	var admitted []introduction
	for _, i := range m.hub.introductions(m, other) {
		if i.to.config.Delegate.Admit(i.member.ID, i.member.Epoch, i.member.Credential) == nil {
			admitted = append(admitted, i)
		}
	}
	tellChanged(m.hub.merge(m, other, admitted))
	mine, theirs := m.config.Delegate.State(), other.config.Delegate.State()
	other.mergeState(mine)
	m.mergeState(theirs)
}

func (m *HubMember) mergeState(state []byte) {
	if len(state) > 0 && len(state) <= MaxState {
		m.inbox.put("state", "", func() { m.config.Delegate.Merge(state) })
	}
}

// Members implements Membership.
func (m *HubMember) Members() []Member {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	all := make([]Member, 0, len(m.view))
	for _, member := range m.view {
		member.Credential = bytes.Clone(member.Credential)
		all = append(all, member)
	}
	slices.SortFunc(all, func(a, b Member) int { return a.ID.Compare(b.ID) })
	return all
}

// Broadcast implements Membership.
func (m *HubMember) Broadcast(key string, msg []byte) {
	if len(msg) > MaxBroadcast {
		m.config.Events.PacketDropped(micronet.PacketDrop{Where: "gossip", Why: "broadcast-too-large"})
		return
	}
	msg = bytes.Clone(msg)
	for _, to := range m.listeners() {
		to.inbox.put("message", m.config.Self.String()+key, func() { to.config.Delegate.Received(msg) })
	}
}

// listeners returns the running members that this one lists.
func (m *HubMember) listeners() []*HubMember {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	var all []*HubMember
	for _, other := range sortedGroup(m.group) {
		if seen, ok := m.view[other.config.Self]; ok && seen.Status.Serving() {
			all = append(all, other)
		}
	}
	return all
}

// SetCredential implements Membership.
func (m *HubMember) SetCredential(credential []byte) {
	m.hub.mu.Lock()
	m.credential = bytes.Clone(credential)
	m.hub.mu.Unlock()
	m.inbox.put("credential", "", m.announce)
}

// announce shows the current credential to those who list this member.
func (m *HubMember) announce() {
	var admitted []introduction
	for _, i := range m.hub.introductions(m, m) {
		if i.of == m && i.to.config.Delegate.Admit(i.member.ID, i.member.Epoch, i.member.Credential) == nil {
			admitted = append(admitted, i)
		}
	}
	tellChanged(m.hub.merge(m, m, admitted))
}

// Leave implements Membership.
func (m *HubMember) Leave(ctx context.Context) error {
	return m.do(ctx, "gossip.leave", func() {
		m.hub.mu.Lock()
		m.left = true
		changed := m.statusLocked(micronet.Left)
		m.hub.mu.Unlock()
		tellChanged(changed)
	})
}

// selfLocked returns this member as others list it.
func (m *HubMember) selfLocked() Member {
	s := Member{
		ID: m.config.Self, Epoch: m.config.Epoch, Status: micronet.Alive, Since: time.Now(),
		Credential: bytes.Clone(m.credential),
	}
	if m.left {
		s.Status = micronet.Left
	}
	return s
}

// listLocked puts another member into the view unless a newer life of it is there. It reports
// whether the view changed.
func (m *HubMember) listLocked(other Member) bool {
	old, known := m.view[other.ID]
	if known && old.Epoch > other.Epoch {
		return false
	}
	if known && old.Epoch == other.Epoch && old.Status == other.Status {
		other.Since = old.Since
		if bytes.Equal(old.Credential, other.Credential) {
			return false
		}
	}
	m.view[other.ID] = other
	return true
}

// statusLocked changes how others see this member, and returns those whose view changed.
func (m *HubMember) statusLocked(to micronet.NodeStatus) []*HubMember {
	var changed []*HubMember
	for other := range m.group {
		seen, ok := other.view[m.config.Self]
		if ok && seen.Epoch == m.config.Epoch && seen.Status.Serving() {
			seen.Status, seen.Since = to, time.Now()
			other.view[m.config.Self] = seen
			changed = append(changed, other)
		}
	}
	return changed
}
