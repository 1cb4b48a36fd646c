package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

// TestNodeStatus: membership gives hints, the node's own packets and its signed word decide.
func TestNodeStatus(t *testing.T) {
	now := time.Unix(10_000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	member := func(s micronet.NodeStatus, since time.Duration, epoch uint64) *gossip.Member {
		return &gossip.Member{ID: id(1), Epoch: epoch, Status: s, Since: ago(since)}
	}
	again := gossip.NextStart(1)
	document := func(epoch uint64, left bool) *gossip.Entry {
		return &gossip.Entry{Confirmed: ago(time.Second), Document: gossip.Document{
			Owner: id(1), Version: gossip.Version{Epoch: epoch, Seq: 1}, Name: "one", Cluster: "main", Left: left,
			Instances: instancesOf(left, "web"),
		}}
	}
	const never = -1
	for _, c := range []struct {
		name   string
		member *gossip.Member
		entry  *gossip.Entry
		heard  time.Duration // ago; never
		want   micronet.NodeStatus
		placed bool   // its instances are known
		down   string // why they get no traffic
	}{
		{"alive", member(micronet.Alive, time.Hour, 1), document(1, false), time.Second, micronet.Alive, true, ""},
		{"alive, and silent towards us", member(micronet.Alive, time.Hour, 1), document(1, false), time.Hour, micronet.Alive, true, ""},
		{"a member without a record", member(micronet.Alive, time.Second, 1), nil, time.Second, micronet.Alive, false, ""},
		{"a suspect that was just heard", member(micronet.Suspect, 2*time.Second, 1), document(1, false), time.Second, micronet.Alive, true, ""},
		{"a suspect heard before the suspicion", member(micronet.Suspect, time.Second, 1), document(1, false), 5 * time.Second, micronet.Alive, true, ""},
		{"a silent suspect", member(micronet.Suspect, 6*time.Second, 1), document(1, false), 6 * time.Second, micronet.Suspect, true, "silent"},
		{"a suspect never heard", member(micronet.Suspect, time.Second, 1), document(1, false), never, micronet.Suspect, true, "silent"},
		{"dead to membership, and not silent for long", member(micronet.Dead, time.Second, 1), document(1, false), 9 * time.Second, micronet.Suspect, true, "silent"},
		{"dead", member(micronet.Dead, time.Second, 1), document(1, false), 10 * time.Second, micronet.Dead, false, ""},
		{"said to be dead, and heard since", member(micronet.Dead, 2*time.Second, 1), document(1, false), time.Second, micronet.Alive, true, ""},
		{"no member any more, and heard", nil, document(1, false), time.Second, micronet.Alive, true, ""},
		{"a record of no member", nil, document(1, false), time.Minute, micronet.Dead, false, ""},
		{"left by its own word", member(micronet.Left, time.Second, 1), document(1, true), time.Second, micronet.Left, false, ""},
		{"left by its own word, still a member to others", member(micronet.Alive, time.Second, 1), document(1, true), time.Second, micronet.Left, false, ""},
		{"left, and no member any more", nil, document(1, true), never, micronet.Left, false, ""},
		{"left in others' words, a moment ago", member(micronet.Left, time.Second, 1), document(1, false), 7 * time.Second, micronet.Suspect, true, "silent"},
		{"left in others' words alone", member(micronet.Left, time.Minute, 1), document(1, false), time.Hour, micronet.Dead, false, ""},
		{"started again after it left", member(micronet.Alive, time.Second, again), document(1, true), time.Second, micronet.Alive, true, ""},
		{"started again, with the record of before", member(micronet.Alive, time.Second, again), document(1, false), time.Second, micronet.Alive, true, "started again"},
		{"in a renewed membership, with the record of before", member(micronet.Alive, time.Second, again+1), document(again, false), time.Second, micronet.Alive, true, ""},
		{"a record newer than membership knows", member(micronet.Alive, time.Second, 1), document(2, false), time.Second, micronet.Alive, true, ""},
	} {
		path := tunnel.PathInfo{Heard: ago(c.heard), RTT: time.Millisecond}
		v := oneOther(now, c.member, c.entry, path, c.heard != never)
		n := v.byID[id(1)]
		if n == nil || n.Status != c.want {
			t.Errorf("%s: %+v, want %v", c.name, n, c.want)
			continue
		}
		if want := map[bool]string{true: "one", false: "uno"}[c.entry != nil]; n.Name != want {
			t.Errorf("%s: it is called %q, want %q", c.name, n.Name, want)
		}
		list := v.of(micronet.Destination{Service: "web"})
		if placed := len(list) > 0; placed != c.placed && (c.entry == nil || len(c.entry.Document.Instances) > 0) {
			t.Errorf("%s: its instance is known: %v, want %v", c.name, placed, c.placed)
		}
		for _, p := range list {
			if (p.down == "") != (c.down == "") || !strings.Contains(p.down, c.down) {
				t.Errorf("%s: its instance is down because %q, want %q", c.name, p.down, c.down)
			}
		}
	}
}

// oneOther is the view of a node that knows one other, as far as it does.
func oneOther(now time.Time, m *gossip.Member, e *gossip.Entry, path tunnel.PathInfo, known bool) *view {
	return makeView(oneOtherSight(now, m, e, path, known))
}

func oneOtherSight(now time.Time, m *gossip.Member, e *gossip.Entry, path tunnel.PathInfo, known bool) sight {
	s := sight{
		heard: func(micronet.NodeID) time.Time { return time.Time{} }, issued: func(micronet.NodeID) time.Time { return time.Time{} },
		met: met{id(1): now.Add(-time.Hour)},
		now: now, self: micronet.Node{ID: id(0), Name: "zero", Cluster: "main", Status: micronet.Alive},
		name:  calledBy(map[micronet.NodeID]string{id(1): "uno"}),
		lanes: func(micronet.NodeID) int { return 0 },
		path: func(micronet.NodeID) (tunnel.PathInfo, bool) {
			if !known {
				return tunnel.PathInfo{}, false
			}
			return path, true
		},
	}
	if m != nil {
		s.members = append(s.members, *m)
	}
	if e != nil {
		s.entries = append(s.entries, *e)
	}
	return s
}

// TestHeardThroughOthers: a node that only others hear is alive, and nobody is led to it from here.
func TestHeardThroughOthers(t *testing.T) {
	now := time.Unix(10_000, 0)
	doc := &gossip.Entry{Confirmed: now, Document: gossip.Document{
		Owner: id(1), Version: gossip.Version{Epoch: 1, Seq: 1}, Name: "one", Cluster: "main", Instances: instancesOf(false, "web"),
		Heartbeat: []byte{1},
	}}
	for _, c := range []struct {
		member      micronet.NodeStatus
		direct, any time.Duration // ago
		want        micronet.NodeStatus
		down        string
	}{
		{micronet.Alive, time.Hour, 2 * time.Second, micronet.Alive, ""},
		{micronet.Alive, time.Hour, 14 * time.Second, micronet.Alive, ""},
		{micronet.Alive, time.Hour, 16 * time.Second, micronet.Suspect, "silent"},
		{micronet.Alive, time.Hour, 26 * time.Second, micronet.Dead, ""},
		{micronet.Dead, time.Second, 2 * time.Second, micronet.Alive, ""},
		{micronet.Dead, time.Hour, 2 * time.Second, micronet.Alive, "no path"},
		{micronet.Suspect, time.Hour, 5 * time.Second, micronet.Alive, "no path"},
		{micronet.Dead, time.Hour, 7 * time.Second, micronet.Suspect, "silent"},
		{micronet.Dead, time.Hour, 11 * time.Second, micronet.Dead, ""},
	} {
		s := oneOtherSight(now, &gossip.Member{ID: id(1), Epoch: 1, Status: c.member}, doc, tunnel.PathInfo{Heard: now.Add(-c.direct)}, true)
		s.heard = func(micronet.NodeID) time.Time { return now.Add(-c.any) }
		v := makeView(s)
		if got := v.byID[id(1)].Status; got != c.want {
			t.Errorf("%+v: it is %s", c, got)
		}
		for _, p := range v.of(micronet.Destination{Service: "web"}) {
			if (p.down == "") != (c.down == "") || !strings.Contains(p.down, c.down) {
				t.Errorf("%+v: its instance is down because %q", c, p.down)
			}
		}
	}
}

func instancesOf(none bool, services ...string) (out []micronet.Instance) {
	if none {
		return nil
	}
	for _, s := range services {
		out = append(out, micronet.Instance{Service: s, ID: s, Port: 80, Tags: []string{"V2"}, Health: micronet.Passing, Weight: 100})
	}
	return out
}

func TestViewOfTheMesh(t *testing.T) {
	s := mesh(3, 2, 4)
	s.silent = []silence{{id: id(7), ago: time.Hour}, {id: id(1), ago: time.Minute}}
	s.met = met{id(7): s.now.Add(-deadAfter)}
	heard := s.path
	s.path = func(of micronet.NodeID) (tunnel.PathInfo, bool) {
		if of == id(7) {
			return tunnel.PathInfo{}, true
		}
		return heard(of)
	}
	s.name = calledBy(map[micronet.NodeID]string{id(7): "gone"})
	s.entries[1].Confirmed = s.now.Add(-5 * time.Second)
	s.entries[0].Confirmed = s.now.Add(-time.Minute)
	v := makeView(s)
	var names []string
	for _, n := range v.nodes {
		names = append(names, fmt.Sprintf("%s %s", n.Name, n.Status))
	}
	if want := "[gone dead node-0 alive node-1 alive node-2 alive]"; fmt.Sprint(names) != want {
		t.Errorf("nodes are %v, want %s", names, want)
	}
	if n := v.byID[id(7)]; s.now.Sub(n.Heard) != time.Hour {
		t.Errorf("the remembered one was heard %v ago, want an hour", s.now.Sub(n.Heard))
	}
	var got []string
	for _, c := range v.candidates(id(0)) {
		got = append(got, fmt.Sprintf("%s %s %s %s %v", c.NodeName, c.Instance.Service, c.Path, c.Transport, c.Instance.Tags))
	}
	want := []string{
		"node-0 service-0 local none [v2]", "node-0 service-1 local none [v2]", "node-1 service-2 direct quic [v2]",
		"node-1 service-3 direct quic [v2]", "node-2 service-0 direct quic [v2]", "node-2 service-1 direct quic [v2]",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("candidates are\n%v, want\n%v", got, want)
	}
	for service, age := range map[string]time.Duration{"service-0": 0, "service-2": 5 * time.Second} {
		if p := v.of(micronet.Destination{Service: service})[0]; p.age != age {
			t.Errorf("%s is %v old, want %v", service, p.age, age)
		}
	}
	for _, c := range []struct {
		d    micronet.Destination
		want int
	}{
		{micronet.Destination{Service: "service-0"}, 2},
		{micronet.Destination{Service: "service-0", Tag: "v2"}, 2},
		{micronet.Destination{Service: "service-0", Tag: "v3"}, 0},
		{micronet.Destination{Service: "service-0", Cluster: "main"}, 2},
		{micronet.Destination{Service: "service-0", Cluster: "other"}, 0},
		{micronet.Destination{Service: "service-9"}, 0},
	} {
		if got := len(v.of(c.d)); got != c.want {
			t.Errorf("%v has %d instances, want %d", c.d, got, c.want)
		}
	}
}

// Who was never heard in this life is suspect, and not offered, for as long as a silent node is.
func TestNobodyIsDeadAtTheStart(t *testing.T) {
	start := time.Unix(10_000, 0)
	doc := &gossip.Entry{Confirmed: start, Document: gossip.Document{
		Owner: id(1), Version: gossip.Version{Epoch: 256, Seq: 1}, Name: "one", Cluster: "main", Instances: instancesOf(false, "web"),
	}}
	for _, c := range []struct {
		name       string
		remembered bool
		member     *gossip.Member
		entry      *gossip.Entry
	}{
		{"remembered", true, nil, nil},
		{"remembered, and others have its record", true, nil, doc},
		{"of whom others have a record", false, nil, doc},
		{"dead to membership", false, &gossip.Member{ID: id(1), Epoch: 256, Status: micronet.Dead, Since: start}, doc},
	} {
		var former met
		look := func(after time.Duration) *view {
			s := oneOtherSight(start.Add(after), c.member, c.entry, tunnel.PathInfo{}, false)
			s.met = former
			if c.remembered {
				s.silent = []silence{{id: id(1), ago: time.Hour}}
			}
			v := makeView(s)
			former = v.met
			return v
		}
		for _, step := range []struct {
			after time.Duration
			want  micronet.NodeStatus
		}{{0, micronet.Suspect}, {deadAfter - 1, micronet.Suspect}, {deadAfter, micronet.Dead}, {time.Hour, micronet.Dead}} {
			v := look(step.after)
			if got := v.byID[id(1)].Status; got != step.want {
				t.Errorf("%s: after %v it is %s, want %s", c.name, step.after, got, step.want)
			}
			if asked, want := len(v.suspects()) == 1, c.member != nil && step.want == micronet.Suspect; asked != want {
				t.Errorf("%s: after %v it is asked for a sign of life: %v, want %v", c.name, step.after, asked, want)
			}
			for _, p := range v.of(micronet.Destination{Service: "web"}) {
				if p.usable() {
					t.Errorf("%s: after %v its instance is offered", c.name, step.after)
				}
			}
		}
	}
	// One that is not known any more and comes back is met anew.
	s := oneOtherSight(start, nil, nil, tunnel.PathInfo{}, false)
	s.met = met{id(1): start.Add(-time.Hour)}
	if v := makeView(s); len(v.met) != 1 {
		t.Errorf("who is forgotten was met still: %v", v.met)
	}
}

func TestSameCandidates(t *testing.T) {
	rtt := 10 * time.Millisecond
	base := func() sight {
		s := mesh(3, 2, 4)
		heard := s.now
		s.path = func(micronet.NodeID) (tunnel.PathInfo, bool) { return tunnel.PathInfo{Heard: heard, RTT: rtt}, true }
		return s
	}
	former := makeView(base())
	if makeView(base()).sameCandidates(nil) {
		t.Error("the first view is like none before")
	}
	for _, c := range []struct {
		name   string
		change func(s *sight)
		want   bool
	}{
		{"nothing", func(*sight) {}, true},
		{"time", func(s *sight) { s.now = s.now.Add(time.Second) }, true},
		{"a little of the round trip", func(s *sight) { rtt = 11 * time.Millisecond }, true},
		{"much of the round trip", func(s *sight) { rtt = 15 * time.Millisecond }, false},
		{"a record", func(s *sight) { s.entries[1].Document.Version.Seq++ }, false},
		{"membership's mind about one that is heard", func(s *sight) { s.members[0].Status = micronet.Suspect }, true},
		{"a status", func(s *sight) { s.members[0].Status, s.now = micronet.Suspect, s.now.Add(freshFor) }, false},
		{"a node", func(s *sight) { s.members[0].Status, s.now = micronet.Dead, s.now.Add(deadAfter) }, false},
	} {
		rtt = 10 * time.Millisecond
		s := base()
		c.change(&s)
		if got := makeView(s).sameCandidates(former); got != c.want {
			t.Errorf("%s changed: same = %v, want %v", c.name, got, c.want)
		}
	}
	// Small changes add up.
	v := former
	for i := range 20 {
		rtt = 10*time.Millisecond + time.Duration(i)*time.Millisecond/2
		next := makeView(base())
		if !next.sameCandidates(v) {
			if i < 2 {
				t.Errorf("the router is told of %v after 10 ms", rtt)
			}
			return
		}
		v = next
	}
	t.Error("the round trip doubled in small steps, and the router was not told")
}

func TestFindNode(t *testing.T) {
	v := &view{}
	dead, left := micronet.NodeID{0xbe, 0xef, 1}.String()[:minPrefix], micronet.NodeID{0xca, 0xfe}.String()[:minPrefix]
	v.nodes = []micronet.Node{
		{ID: id(0), Name: "a", Status: micronet.Alive},
		{ID: id(1), Name: "b", Status: micronet.Dead},
		{ID: id(2), Name: "b", Status: micronet.Alive},
		{ID: id(3), Name: "c", Status: micronet.Left},
		{ID: id(4), Name: "d", Status: micronet.Alive},
		{ID: id(5), Name: "d", Status: micronet.Suspect},
		{ID: id(6), Name: "aaaa", Status: micronet.Alive},
		{ID: id(256), Name: "far", Status: micronet.Alive},
		{ID: micronet.NodeID{9, 9, 9, 1}, Name: "g", Status: micronet.Alive},
		{ID: micronet.NodeID{9, 9, 9, 2}, Name: "h", Status: micronet.Alive},
		{ID: id(6), Name: "i", Status: micronet.Left},
		{ID: id(7), Name: "i", Status: micronet.Dead},
		{ID: micronet.NodeID{0xbe, 0xef, 1}, Name: "j", Status: micronet.Left},
		{ID: micronet.NodeID{0xbe, 0xef, 2}, Name: "k", Status: micronet.Alive},
		{ID: id(8), Name: dead, Status: micronet.Dead},
		{ID: micronet.NodeID{0xca, 0xfe}, Name: "l", Status: micronet.Alive},
		{ID: id(9), Name: left, Status: micronet.Left},
	}
	far := id(256).String()
	for _, c := range []struct {
		word string
		want int
		kind micronet.Kind
	}{
		{"a", 0, 0},
		{"b", 2, 0}, // the former holder is dead
		{"c", 3, 0},
		{"aaaa", 6, 0}, // a name goes before a prefix
		{id(4).String(), 4, 0},
		{far[:4], 7, 0},
		{far, 7, 0},
		{far + "a", -1, micronet.NotFound},
		{far[:3], -1, micronet.NotFound}, // too short to be meant
		{"d", -1, micronet.Refused},
		{micronet.NodeID{9, 9, 9}.String()[:4], -1, micronet.Refused},
		{"e", -1, micronet.NotFound},
		{"i", 11, 0}, // a dead node holds its name, one that left does not
		{dead, 14, 0},
		{left, -1, micronet.Refused}, // it could be either
		{"", -1, micronet.NotFound},
	} {
		n, err := v.find(c.word)
		switch {
		case c.want < 0:
			wantError(t, c.word, err, c.kind)
		case err != nil || n.ID != v.nodes[c.want].ID:
			t.Errorf("find(%q) = %+v, %v, want %s", c.word, n, err, v.nodes[c.want].Name)
		}
	}
}

// Membership's word that a node is alive counts alone as long as nothing is known of its signs of life. Where
// it is known that they are old, the node is not offered, and dead when neither is new.
func TestQuiet(t *testing.T) {
	const never = -1
	now, limit := time.Unix(10_000, 0), quietFor+quietPerNode
	for _, c := range []struct {
		name         string
		heard, since time.Duration // ago
		mute         bool          // its record promises no heartbeats
		want         micronet.NodeStatus
	}{
		{"never heard, and new", never, limit - 1, false, micronet.Alive},
		{"never heard for a while", never, limit, false, micronet.Suspect},
		{"never heard for long", never, limit + goneAfter, false, micronet.Dead},
		{"heard, and known for long", limit - 1, time.Hour, false, micronet.Alive},
		{"silent for a while", limit, time.Hour, false, micronet.Suspect},
		{"silent for long", limit + goneAfter, time.Hour, false, micronet.Dead},
		{"new, and silent for long, as others tell", limit + goneAfter, 0, false, micronet.Suspect},
		{"new, and silent for a while, as others tell", limit, 0, false, micronet.Suspect},
		{"new, and heard, as others tell", limit - 1, 0, false, micronet.Alive},
		{"silent for long, and makes no heartbeats", time.Hour, time.Hour, true, micronet.Alive},
	} {
		m := &gossip.Member{ID: id(1), Epoch: 1, Status: micronet.Alive, Since: now.Add(-c.since)}
		e := &gossip.Entry{Confirmed: now, Document: gossip.Document{
			Owner: id(1), Version: gossip.Version{Epoch: 1, Seq: 1}, Name: "one", Cluster: "main", Instances: instancesOf(false, "web"),
			Heartbeat: []byte{1},
		}}
		if c.mute {
			e.Document.Heartbeat = nil
		}
		s := oneOtherSight(now, m, e, tunnel.PathInfo{}, false)
		if c.heard != never {
			s.heard = func(micronet.NodeID) time.Time { return now.Add(-c.heard) }
		}
		v := makeView(s)
		if got := v.byID[id(1)].Status; got != c.want {
			t.Errorf("%s: it is %s, want %s", c.name, got, c.want)
		}
		if asked := len(v.suspects()) == 1; asked != (c.want != micronet.Alive) {
			t.Errorf("%s: it is asked for a sign of life: %v", c.name, asked)
		}
		for _, p := range v.of(micronet.Destination{Service: "web"}) {
			if p.usable() != (c.want == micronet.Alive) {
				t.Errorf("%s: its instance is offered: %v", c.name, p.usable())
			}
		}
	}
}
