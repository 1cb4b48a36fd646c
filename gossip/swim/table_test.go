package swim

import (
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

var t0 = time.Unix(1_800_000_000, 0)

func at(d time.Duration) time.Time { return t0.Add(d) }

// Each step is one event at a node; want is the status and epoch of node 1 after it.
func TestTableTransitions(t *testing.T) {
	one, two := life{testID(1), 1}, life{testID(1), 2}
	suspect := func(inc uint32) claim { return claim{kind: kindSuspect, incarnation: inc} }
	alive := func(inc uint32) claim { return claim{kind: kindAlive, incarnation: inc} }
	dead := claim{kind: kindDead, node: []byte("a"), from: []byte("b"), incarnation: 9}
	goodbye := claim{kind: kindDead, node: []byte("a"), from: []byte("a"), incarnation: 9}
	type step struct {
		name    string
		do      func(tb *table) bool
		changed bool
		status  micronet.NodeStatus
		epoch   uint64
		serving int
	}
	join := func(l life) func(*table) bool {
		return func(tb *table) bool { return tb.join(at(1), l, nil) }
	}
	gone := func(l life) func(*table) bool { return func(tb *table) bool { return tb.gone(at(3), l) } }
	believe := func(l life, c claim) func(*table) bool {
		return func(tb *table) bool { return tb.believed(at(2), l, c) }
	}
	for name, steps := range map[string][]step{
		"suspected and refuted": {
			{"join", join(one), true, micronet.Alive, 1, 1},
			{"suspect", believe(one, suspect(1)), true, micronet.Suspect, 1, 1},
			{"again", believe(one, suspect(1)), false, micronet.Suspect, 1, 1},
			{"old word", believe(one, alive(1)), false, micronet.Suspect, 1, 1},
			{"refuted", believe(one, alive(2)), true, micronet.Alive, 1, 1},
			{"late", believe(one, suspect(1)), false, micronet.Alive, 1, 1},
		},
		"dead and back": {
			{"join", join(one), true, micronet.Alive, 1, 1},
			{"gone", gone(one), true, micronet.Dead, 1, 0},
			{"again", gone(one), false, micronet.Dead, 1, 0},
			{"join", join(one), true, micronet.Alive, 1, 1},
		},
		"a goodbye seen late": {
			{"join", join(one), true, micronet.Alive, 1, 1},
			{"gone", gone(one), true, micronet.Dead, 1, 0},
			{"spread", believe(one, goodbye), true, micronet.Left, 1, 0},
			{"not its own", believe(one, dead), true, micronet.Dead, 1, 0},
		},
		"a goodbye seen first": {
			{"join", join(one), true, micronet.Alive, 1, 1},
			{"heard", func(tb *table) bool { tb.heardGoodbye(at(2), one); return false }, false, micronet.Alive, 1, 1},
			{"gone", gone(one), true, micronet.Left, 1, 0},
		},
		"a goodbye that memberlist ignored": {
			{"join", join(one), true, micronet.Alive, 1, 1},
			{"heard", func(tb *table) bool { tb.heardGoodbye(at(2), one); return false }, false, micronet.Alive, 1, 1},
			{"gone later", func(tb *table) bool { return tb.gone(at(3+goodbyeFresh), one) }, true, micronet.Dead, 1, 0},
		},
		"restart": {
			{"join", join(one), true, micronet.Alive, 1, 1},
			{"newer", join(two), true, micronet.Alive, 2, 1},
			{"the old one dies", gone(one), false, micronet.Alive, 2, 1},
			{"and is suspected", believe(one, suspect(9)), false, micronet.Alive, 2, 1},
			{"and comes back", join(one), false, micronet.Alive, 2, 1},
		},
		"restart of a dead one": {
			{"join", join(one), true, micronet.Alive, 1, 1},
			{"gone", gone(one), true, micronet.Dead, 1, 0},
			{"newer", join(two), true, micronet.Alive, 2, 1},
		},
	} {
		tb := newTable(life{testID(0), 1})
		for _, s := range steps {
			if got := s.do(tb); got != s.changed {
				t.Errorf("%s: %s: changed = %v, want %v", name, s.name, got, s.changed)
			}
			e := tb.entries[testID(1)]
			if e.Status != s.status || e.Epoch != s.epoch || tb.serving != s.serving {
				t.Errorf("%s: %s: %s, epoch %d, %d serving, want %s, %d, %d",
					name, s.name, e.Status, e.Epoch, tb.serving, s.status, s.epoch, s.serving)
			}
		}
	}
}

func TestTableExpires(t *testing.T) {
	tb := newTable(life{testID(0), 1})
	for i := 1; i <= 4; i++ {
		tb.join(t0, life{testID(i), 1}, nil)
	}
	tb.believed(t0, life{testID(1), 1}, claim{kind: kindSuspect, incarnation: 1})
	tb.gone(t0, life{testID(2), 1})
	tb.gone(at(time.Hour), life{testID(3), 1})
	if tb.expire(at(suspectLimit)) {
		t.Error("something expired at the limit already")
	}
	if !tb.expire(at(suspectLimit+1)) || tb.entries[testID(1)].Status != micronet.Alive {
		t.Error("the suspicion did not end")
	}
	if !tb.expire(at(forgetAfter + time.Minute)) {
		t.Error("nobody was forgotten")
	}
	var left []micronet.NodeID
	for _, m := range tb.snapshot() {
		left = append(left, m.ID)
	}
	if want := []micronet.NodeID{testID(1), testID(3), testID(4)}; !slices.Equal(left, want) {
		t.Errorf("left %v, want %v", left, want)
	}
}

func TestQ15_TableIsBounded(t *testing.T) {
	tb := newTable(life{micronet.NodeID{9}, 1})
	for i := range maxMembers {
		if err := tb.admits(t0, life{testID(i), 1}); err != nil {
			t.Fatalf("member %d: %v", i, err)
		}
		tb.join(t0, life{testID(i), 1}, nil)
	}
	if tb.admits(t0, life{testID(maxMembers), 1}) == nil {
		t.Error("a full table admits another member")
	}
	if err := tb.admits(t0, life{testID(5), 2}); err != nil {
		t.Errorf("a full table does not let a member restart: %v", err)
	}
}

func TestContacts(t *testing.T) {
	c := make(contacts)
	for i := range maxContacts + 5 {
		c.add(t0, testID(i))
	}
	if len(c) != maxContacts {
		t.Errorf("%d contacts, want %d", len(c), maxContacts)
	}
	c.add(at(time.Second), testID(0))
	if !c.has(at(contactFor), testID(0)) || c.has(at(contactFor), testID(1)) {
		t.Error("a contact lasts one minute after it was last added")
	}
	c.expire(at(contactFor))
	if len(c) != 1 {
		t.Errorf("%d contacts after a minute, want 1", len(c))
	}
}

func TestDefenceAnswersOldAccusations(t *testing.T) {
	var d defence
	d.keep(3, []byte("three"))
	d.keep(2, []byte("two"))
	if got, announce := d.answer(t0, 2); string(got) != string(byte(kindAlive))+"three" || announce {
		t.Errorf("answer = %q, %v, want the newest alive message", got, announce)
	}
	for range 2 * defencesPerSecond {
		d.answer(t0, 1)
	}
	if got, _ := d.answer(at(time.Second-1), 1); got != nil {
		t.Error("no limit on answers")
	}
	if got, _ := d.answer(at(time.Second), 1); got == nil {
		t.Error("no answer in the next second")
	}
}

// A current accusation is memberlist's to refute; if it goes on, we are announced again.
func TestDefenceAnnouncesWhenARefutationIsLost(t *testing.T) {
	var d defence
	d.keep(3, []byte("three"))
	for _, step := range []struct {
		after    time.Duration
		accused  uint32
		announce bool
	}{
		{0, 3, false},
		{refuteWithin - 1, 3, false},
		{refuteWithin, 3, true},
		{refuteWithin + 1, 3, false},
		{2 * refuteWithin, 3, true},
		{2*refuteWithin + 1, 4, false},
		{3*refuteWithin + 1, 4, true},
	} {
		if got, announce := d.answer(at(step.after), step.accused); got != nil || announce != step.announce {
			t.Errorf("after %v: answer = %q, %v, want nothing, %v", step.after, got, announce, step.announce)
		}
	}
}
