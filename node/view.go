package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/router"
	"github.com/micro/micro-net/tunnel"
)

const (
	// freshFor is how long a sign of life of a node speaks for it against membership's doubt, also one
	// that came through others: 99.9 % of those arrive within it at a hundred nodes.
	freshFor = 6 * time.Second
	// deadAfter is how long nobody may have heard a node until it is dead. One that was never heard has as
	// long since this node came to know of it: at a start that is everybody who is remembered.
	deadAfter = 10 * time.Second
	// quietFor is how long membership's word that a node is alive stands without any sign of life: a
	// node that is cut off from everybody takes membership a minute to see that. In a large mesh signs
	// of life of those whom nobody doubts are told less often, so it is quietPerNode longer for each
	// node. goneAfter is how much later the node is dead all the same.
	quietFor     = 15 * time.Second
	quietPerNode = 100 * time.Millisecond
	goneAfter    = 10 * time.Second
)

// view is the mesh as this node sees it at one moment: an immutable value that the API, DNS and
// the proxy read without a lock.
type view struct {
	made      time.Time
	nodes     []micronet.Node // all known, this one too, sorted by name, cluster and id
	places    []int           // in nodes, of each in the order in which they were listed
	byID      map[micronet.NodeID]*micronet.Node
	peers     []micronet.NodeID                  // who is told signs of life; see others
	placed    []placed                           // of every node whose instances count, by node and instance id
	instances map[string][]*placed               // the same by service, in that order
	withheld  map[string][]*placed               // by service, those whose nodes were not granted its name: they get no traffic
	basis     []basis                            // what placed follows from
	roster    []gossip.Member                    // what membership says, sorted by id
	members   map[micronet.NodeID]*gossip.Member // of roster
	doubted   map[micronet.NodeID]bool           // members that are not alive to membership
	turns     uint64                             // how often anybody's status had changed, here or to membership
	met       met
	namesakes []namesakes // names that more than one node has
	held      *held       // since when nodes offer services
	synced    bool
}

// basis is what the candidates of one node follow from.
type basis struct {
	node    micronet.NodeID
	version gossip.Version
	status  micronet.NodeStatus
	down    string
	damped  string // which instances flap, and until when
	names   *policy.Names
	rtt     time.Duration
	relay   micronet.NodeID
	tcp     bool
}

// like reports whether the candidates are the same, but for a change of the round trip that no
// choice depends on.
func (b basis) like(o basis) bool {
	near := (b.rtt - o.rtt).Abs() <= o.rtt/sameRTT
	b.rtt = o.rtt
	return near && b == o
}

// sameRTT is the part of a round trip by which it may change before the router is told.
const sameRTT = 8

// placed is an instance with the node that runs it.
type placed struct {
	instance micronet.Instance
	node     *micronet.Node
	down     string        // why its node cannot be used, "" when it can
	age      time.Duration // of the record, since its owner confirmed it
	damped   bool          // it flaps
	damping  router.Damping
}

// usable reports whether callers here may be led to the instance. It may flap.
func (p *placed) usable() bool { return p.down == "" && p.instance.Health.Serving() }

// met tells since when, in this life, a node knows of others.
type met map[micronet.NodeID]time.Time

// of is when a node was met; now for one that is new.
func (m met) of(id micronet.NodeID, now time.Time) time.Time {
	if at, ok := m[id]; ok {
		return at
	}
	return now
}

// with is what is known with these nodes. It is the same table when they are the same nodes.
func (m met) with(nodes []micronet.Node, now time.Time) met {
	same := len(m) == len(nodes)
	for i := 0; same && i < len(nodes); i++ {
		_, same = m[nodes[i].ID]
	}
	if same {
		return m
	}
	out := make(met, len(nodes))
	for i := range nodes {
		out[nodes[i].ID] = m.of(nodes[i].ID, now)
	}
	return out
}

// sight is what a view is made from.
type sight struct {
	now      time.Time
	self     micronet.Node
	members  []gossip.Member
	entries  []gossip.Entry
	name     func(micronet.NodeID) string // by credential, for members without a record yet
	silent   []silence                    // remembered, and how long ago they were alive
	outcasts outcasts
	wall     time.Time // by which the revoked are listed for a while
	path     func(micronet.NodeID) (tunnel.PathInfo, bool)
	lanes    func(micronet.NodeID) int
	heard    func(micronet.NodeID) time.Time // the newest sign of life, also through others
	issued   func(micronet.NodeID) time.Time // when a certificate begins, zero: not known
	former   *view                           // nil at first
	met      met                             // of the former view
	names    *policy.Names                   // which services nodes may offer
	synced   bool
	room     *[]micronet.Node // that is used again for each view, nil: none
}

// roomFor returns room for a list of nodes.
func (s *sight) roomFor(size int) []micronet.Node {
	if s.room == nil || cap(*s.room) < size {
		return make([]micronet.Node, 0, size)
	}
	return (*s.room)[:0]
}

// makeView combines membership, catalog and our own packets. It is pure.
func makeView(s sight) *view {
	v := &view{made: s.now, instances: map[string][]*placed{}, withheld: map[string][]*placed{}, roster: s.members, synced: s.synced}
	v.list(&s)
	v.peers = v.others(s.self.ID)
	v.namesakes = findNamesakes(v.nodes, s.issued)
	v.placed = make([]placed, 0, countInstances(s.entries))
	for i := range s.entries {
		v.place(&s, &s.entries[i])
	}
	for i := range v.placed {
		p := &v.placed[i]
		v.instances[p.instance.Service] = append(v.instances[p.instance.Service], p)
	}
	return v
}

// list lists all nodes that anything is known of.
func (v *view) list(s *sight) {
	size := max(len(s.members), len(s.entries), len(s.silent)) + 1
	v.byID = make(map[micronet.NodeID]*micronet.Node, size)
	v.enroll()
	isNew := func(id micronet.NodeID) bool {
		_, listed := v.byID[id]
		v.byID[id] = nil
		return !listed
	}
	isNew(s.self.ID)
	list := append(s.roomFor(size), s.self)
	for i := range s.entries {
		if id := s.entries[i].Document.Owner; isNew(id) {
			list = append(list, s.node(id, v.members[id], &s.entries[i]))
		}
	}
	for i := range s.members {
		if id := s.members[i].ID; isNew(id) {
			list = append(list, s.node(id, &s.members[i], nil))
		}
	}
	for _, gone := range s.silent {
		if isNew(gone.id) {
			list = append(list, s.absent(gone))
		}
	}
	for _, id := range s.outcasts.lately(s.wall) {
		if isNew(id) {
			list = append(list, s.node(id, nil, nil))
		}
	}
	v.arrange(s, slices.DeleteFunc(list, s.forgets))
	if s.room != nil {
		*s.room = list
	}
}

// enroll takes over what membership says.
func (v *view) enroll() {
	v.members, v.doubted = make(map[micronet.NodeID]*gossip.Member, len(v.roster)), map[micronet.NodeID]bool{}
	for i := range v.roster {
		m := &v.roster[i]
		v.members[m.ID] = m
		if m.Status != micronet.Alive {
			v.doubted[m.ID] = true
		}
	}
}

// arrange sorts the nodes of a list. Mostly they are those of the former view, and stand where they
// stood there.
func (v *view) arrange(s *sight, list []micronet.Node) {
	same := s.former.lists(list)
	if same {
		v.places = s.former.places
	} else {
		v.places = placesOf(list)
	}
	v.nodes = make([]micronet.Node, len(list))
	for i := range list {
		n := &v.nodes[v.places[i]]
		*n = list[i]
		v.byID[n.ID] = n
	}
	if v.met = s.met; !same {
		v.met = s.met.with(v.nodes, s.now)
	}
}

// lists reports whether a view was made of the same nodes, listed in the same order.
func (v *view) lists(list []micronet.Node) bool {
	if v == nil || len(v.places) != len(list) {
		return false
	}
	for i := range list {
		a, b := &list[i], &v.nodes[v.places[i]]
		if a.ID != b.ID || a.Name != b.Name || a.Cluster != b.Cluster {
			return false
		}
	}
	return true
}

// placesOf is where each node of a list stands once they are sorted by name, cluster and id.
func placesOf(list []micronet.Node) []int {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &list[i], &list[j]
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Cluster, b.Cluster), a.ID.Compare(b.ID))
	})
	places := make([]int, len(list))
	for place, i := range order {
		places[i] = place
	}
	return places
}

// countInstances counts the instances of all documents.
func countInstances(entries []gossip.Entry) (n int) {
	for i := range entries {
		n += len(entries[i].Document.Instances)
	}
	return n
}

// node says what is believed of one other node.
func (s *sight) node(id micronet.NodeID, m *gossip.Member, e *gossip.Entry) micronet.Node {
	n := micronet.Node{ID: id, Cluster: s.self.Cluster, Heard: s.heard(id)}
	if p, ok := s.path(id); ok {
		n.RTT = p.RTT
		if p.Confirmed {
			n.Path, n.Relay, n.TCP, n.Lanes = pathKind(p.Relay), p.Relay, p.TCP, s.lanes(id)
		}
		if p.Heard.After(n.Heard) {
			n.Heard = p.Heard
		}
	}
	if e != nil {
		d := &e.Document
		n.Name, n.Cluster, n.Version, n.Gateway, n.Epoch, n.Endpoints = d.Name, d.Cluster, d.Software, d.Gateway, d.Version.Epoch, d.Endpoints
	} else {
		n.Name = s.name(id)
	}
	if r, revoked := s.outcasts.revoked[id]; revoked {
		n.Name = cmp.Or(n.Name, r.Name)
	}
	if m != nil {
		n.Epoch = max(n.Epoch, m.Epoch)
	}
	n.Status = s.status(&n, m, e)
	return n
}

// absent says what is believed of a node of which there is nothing but what this node remembers.
func (s *sight) absent(gone silence) micronet.Node {
	n := s.node(gone.id, nil, nil)
	n.Heard = s.now.Add(-gone.ago)
	if gone.left != 0 && n.Status != micronet.Revoked {
		n.Status, n.Epoch = micronet.Left, gone.left
	}
	return n
}

// status: only the owner's signed goodbye makes a node left. Membership's word is a hint: a node of
// which there is a fresh sign of life, its own or one that others pass on, is alive whatever
// membership says, and one that nobody has heard for a while is dead. One that was never heard is suspect
// until it is that long since this node knows of it: nobody can have heard it for us before.
func (s *sight) status(n *micronet.Node, m *gossip.Member, e *gossip.Entry) micronet.NodeStatus {
	if s.outcasts.isRevoked(n.ID) {
		return micronet.Revoked
	}
	if e != nil && e.Document.Left && (m == nil || m.Epoch <= e.Document.Version.Epoch) {
		return micronet.Left
	}
	silent := s.now.Sub(n.Heard)
	if m != nil && m.Status == micronet.Alive {
		return s.quiet(n, m, e)
	}
	switch {
	case silent < freshFor:
		return micronet.Alive
	case min(silent, s.now.Sub(s.met.of(n.ID, s.now))) < deadAfter, m != nil && m.Status == micronet.Suspect:
		return micronet.Suspect
	}
	return micronet.Dead
}

// forgets reports whether a node is not to be listed. Who is met anew is suspect first.
func (s *sight) forgets(n micronet.Node) bool {
	return (n.Status == micronet.Dead || n.Status == micronet.Suspect) && s.outcasts.isForgotten(n.ID, n.Epoch)
}

// quiet is the status of a node that is alive to membership and has shown no sign of life for a while.
// One whose record promises no heartbeats makes none. Who was never heard is believed on membership's
// word, as long as that is new. Where others tell how long ago a node was alive, that counts from
// the first moment: who has just started may have learned membership from a node that stood alone, and has not
// seen yet who died.
func (s *sight) quiet(n *micronet.Node, m *gossip.Member, e *gossip.Entry) micronet.NodeStatus {
	limit := quietFor + time.Duration(len(s.members))*quietPerNode
	silent, known := s.now.Sub(n.Heard), s.now.Sub(m.Since)
	if n.Heard.IsZero() {
		silent = known
	}
	switch {
	case silent < limit, e == nil, len(e.Document.Heartbeat) == 0:
		return micronet.Alive
	case min(silent, known) < limit+goneAfter:
		return micronet.Suspect
	}
	return micronet.Dead
}

// place adds the instances of a document. Those of nodes that left, and of dead nodes, are
// withdrawn at once.
func (v *view) place(s *sight, e *gossip.Entry) {
	n := v.byID[e.Document.Owner]
	if n == nil || !n.Status.Serving() || len(e.Document.Instances) == 0 {
		return
	}
	down := s.down(n, v.isDoubted(n.ID), e)
	age := max(0, s.now.Sub(e.Confirmed))
	if n.ID == s.self.ID {
		age = 0 // nobody knows it better
	}
	v.basis = append(v.basis, basis{node: n.ID, version: e.Document.Version, status: n.Status, down: down, names: s.names, rtt: n.RTT, relay: n.Relay, tcp: n.TCP})
	for _, i := range e.Document.Instances {
		p := placed{instance: i, node: n, down: down, age: age}
		if s.names.Allows(n.ID, i.Service) {
			v.placed = append(v.placed, p)
		} else {
			v.withheld[i.Service] = append(v.withheld[i.Service], &p)
		}
	}
}

// down is why callers here are not led to a node, "" when they are.
func (s *sight) down(n *micronet.Node, doubted bool, e *gossip.Entry) string {
	switch {
	case n.ID == s.self.ID:
		return ""
	case gossip.StartOf(n.Epoch) > gossip.StartOf(e.Document.Version.Epoch):
		return "its node has started again and has not said yet what it offers"
	case n.Status == micronet.Suspect:
		return "its node has fallen silent"
	case doubted && !s.hears(n.ID):
		return "no path to its node: only others hear it"
	case s.sought(n.ID):
		return "no path to its node: no way that was tried answers, directly, over a relay or over TCP"
	}
	return ""
}

// hears reports whether packets of a node itself arrive.
func (s *sight) hears(id micronet.NodeID) bool {
	p, ok := s.path(id)
	return ok && s.now.Sub(p.Heard) < freshFor
}

// sought reports whether a way to a node was looked for in vain.
func (s *sight) sought(id micronet.NodeID) bool {
	p, ok := s.path(id)
	return ok && p.InVain
}

// reach counts the nodes that are alive, this one too, and those that are or were and have not left.
func (v *view) reach() (heard, known int) {
	for i := range v.nodes {
		switch s := v.nodes[i].Status; {
		case s.Serving():
			heard, known = heard+1, known+1
		case s == micronet.Dead:
			known++
		}
	}
	return heard, known
}

// isDoubted reports whether membership does not take a member for alive.
func (v *view) isDoubted(id micronet.NodeID) bool { return v.doubted[id] }

// doubts is isDoubted, nil when nobody is: then nobody need be asked about.
func (v *view) doubts() func(micronet.NodeID) bool {
	if len(v.doubted) == 0 {
		return nil
	}
	return v.isDoubted
}

// suspects lists the members of which a sign of life would change what is believed, sorted as nodes are: the
// suspect, and those that are dead for their silence alone, because a small part of a mesh that was split takes
// minutes to probe all others. Who is only remembered is not among them: that is Redial's affair.
func (v *view) suspects() (out []micronet.NodeID) {
	for i := range v.nodes {
		n := &v.nodes[i]
		m := v.members[n.ID]
		if m != nil && (n.Status == micronet.Suspect || (n.Status == micronet.Dead && m.Status == micronet.Alive)) {
			out = append(out, n.ID)
		}
	}
	return out
}

// count tells whether anybody's status is another than in the view before.
func (v *view) count(former *view) {
	if former == nil {
		return
	}
	v.turns = former.turns
	sameNodes := slices.EqualFunc(v.nodes, former.nodes, func(a, b micronet.Node) bool { return a.ID == b.ID && a.Status == b.Status })
	if !sameNodes || !slices.EqualFunc(v.roster, former.roster, func(a, b gossip.Member) bool { return a.ID == b.ID && a.Status == b.Status }) {
		v.turns++
	}
}

// deadMemory is how long signs of life are still sent to a node that is dead.
const deadMemory = time.Minute

// others lists all nodes that have not left and were not dead for long, without one.
func (v *view) others(self micronet.NodeID) []micronet.NodeID {
	out := make([]micronet.NodeID, 0, len(v.nodes))
	for i := range v.nodes {
		if n := &v.nodes[i]; n.ID != self && (n.Status.Serving() || (n.Status == micronet.Dead && v.made.Sub(n.Heard) < deadMemory)) {
			out = append(out, n.ID)
		}
	}
	return out
}

// sameCandidates reports whether the router need not be told of this view after the former one. It
// then takes over the former's basis: small changes must not add up unnoticed.
func (v *view) sameCandidates(former *view) bool {
	if former == nil || !slices.EqualFunc(v.basis, former.basis, basis.like) {
		return false
	}
	v.basis = former.basis
	return true
}

// candidates returns what the router chooses from.
func (v *view) candidates(self micronet.NodeID) []router.Candidate {
	out := make([]router.Candidate, len(v.placed))
	for i := range v.placed {
		out[i] = v.placed[i].candidate(self)
	}
	return out
}

func (p *placed) candidate(self micronet.NodeID) router.Candidate {
	c := router.Candidate{Down: p.down, Damped: p.damped, Damping: p.damping, Route: micronet.Route{
		Instance: p.instance, Node: p.node.ID, NodeName: p.node.Name, Cluster: p.node.Cluster,
		Path: micronet.PathDirect, Transport: micronet.TransportQUIC, RTT: p.node.RTT,
	}}
	if !p.node.Relay.IsZero() {
		c.Path, c.Relay = micronet.PathRelay, p.node.Relay
	}
	if p.node.TCP {
		c.Transport = micronet.TransportTCP
	}
	if p.node.ID == self {
		c.Path, c.Transport = micronet.PathLocal, micronet.TransportNone
	}
	if p.instance.Protocol == micronet.UDP {
		c.Down = "it speaks UDP, which this version does not carry"
	}
	// Tags are asked for in lower case: DNS knows no other.
	c.Instance.Tags = slices.Clone(c.Instance.Tags)
	for i, tag := range c.Instance.Tags {
		c.Instance.Tags[i] = strings.ToLower(tag)
	}
	return c
}

// of lists the instances of a destination, those that are not healthy too. It is the view's own
// list: nobody may change it.
func (v *view) of(d micronet.Destination) []*placed {
	if d.Tag == "" && d.Cluster == "" {
		return v.instances[d.Service]
	}
	var out []*placed
	for _, p := range v.instances[d.Service] {
		if p.instance.HasTag(d.Tag) && (d.Cluster == "" || d.Cluster == p.node.Cluster) {
			out = append(out, p)
		}
	}
	return out
}

// tagsAt lists the tags of the instances of a service at one node.
func (v *view) tagsAt(node micronet.NodeID, service string) (tags []string) {
	for _, p := range v.instances[service] {
		if p.node.ID == node {
			tags = append(tags, p.instance.Tags...)
		}
	}
	return tags
}

// find resolves what people type: a name, a whole id, or a prefix of one that only one node has. A
// name goes before an id, and who has it before who had it.
func (v *view) find(word string) (*micronet.Node, error) {
	var hits []*micronet.Node
	best := claimNone
	for i := range v.nodes {
		n := &v.nodes[i]
		switch c := claimOf(n, word); {
		case c == claimNone || c > best:
			continue
		case c < best:
			best, hits = c, nil
		}
		hits = append(hits, n)
	}
	switch len(hits) {
	case 0:
		return nil, micronet.E("node", micronet.NotFound, "no node %q", word).WithFix("see `micro-net nodes`")
	case 1:
		return hits[0], nil
	}
	which := make([]string, len(hits))
	for i, n := range hits {
		which[i] = fmt.Sprintf("%s (%s, %s)", n.ID.Short(), n.Name, n.Status)
	}
	return nil, micronet.E("node", micronet.Refused, "%q could be any of %d nodes: %s", word, len(hits), shortList(which)).WithFix("name one by its id")
}

// claim is how good a node's claim is to be meant by a word, the best first.
type claim int

const (
	claimName   claim = iota // it is there under that name
	claimHolder              // it is dead, and holds the name
	claimOther               // it has left and had the name, or its id begins so
	claimRevoked
	claimNone
)

func claimOf(n *micronet.Node, word string) claim {
	named := n.Name == word
	switch {
	case !named && (len(word) < minPrefix || !strings.HasPrefix(n.ID.String(), word)):
		return claimNone
	case n.Status == micronet.Revoked:
		return claimRevoked
	case named && n.Status.Serving():
		return claimName
	case named && n.Status == micronet.Dead:
		return claimHolder
	}
	return claimOther
}

// minPrefix is the shortest prefix of an id that is looked at.
const minPrefix = 4
