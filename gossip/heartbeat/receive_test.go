package heartbeat

import (
	"testing"
	"time"
)

// Each reason for which an entry changes nothing, and what it costs.
func TestReceiveReasons(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	forged := beat(c, 6, 0)
	forged.value[0]++
	otherMark := beat(c, 6, 0)
	otherMark.mark++
	wrongNumber := beat(c, 7, 0)
	wrongNumber.value = c.at(6)
	beyond := beat(c, 6, 0)
	beyond.beat = DefaultLength + 1
	for _, x := range []struct {
		name  string
		entry entry
		want  Stats
	}{
		{"again", beat(c, 5, 0), Stats{Stale: 1}},
		{"older", beat(c, 1, 0), Stats{Stale: 1}},
		{"anchor", entry{prefix: prefixOf(testID(1)), mark: c.anchor.Value[0], value: c.anchor.Value}, Stats{Stale: 1}},
		{"nobody", entry{prefix: 1}, Stats{Unknown: 1}},
		{"ourselves", entry{prefix: prefixOf(testID(0))}, Stats{}},
		{"other chain", otherMark, Stats{Otherwise: 1}},
		{"beyond the end", beyond, Stats{Impossible: 1}},
		{"forged", forged, Stats{Forged: 1, Hashes: 1}},
		{"wrong number", wrongNumber, Stats{Forged: 1, Hashes: 2}},
	} {
		table := tracking(t, c)
		receive(t, table, epoch.Add(8*sec), testID(2), beat(c, 5, 0))
		if news := receive(t, table, epoch.Add(12*sec), testID(2), x.entry); len(news) > 0 {
			t.Errorf("%s: news %v", x.name, news)
		}
		x.want.Owners, x.want.Packets, x.want.Accepted = 1, 2, 1
		x.want.Hashes += 5
		if got := table.Stats(); got != x.want {
			t.Errorf("%s: %+v, want %+v", x.name, got, x.want)
		}
		wantHeard(t, table, testID(1), epoch.Add(8*sec))
		receive(t, table, epoch.Add(12*sec), testID(3), beat(c, 7, sec))
		wantHeard(t, table, testID(1), epoch.Add(11*sec))
	}
}

// An insider withholds beats and tells them when their owner is long dead, with an age of 0.
func TestWithheldBeats(t *testing.T) {
	c := testChain(t, epoch.Add(sec), testID(1), 1)
	table := tracking(t, c)
	for k := uint32(1); k <= 20; k++ { // honest tellers, up to half a second late
		receive(t, table, epoch.Add(time.Duration(k)*2*sec-sec+500*ms), testID(2), beat(c, k, time.Duration(k%5)*100*ms))
	}
	now := epoch.Add(time.Hour)
	for k := uint32(21); k <= 40; k++ {
		receive(t, table, now, testID(3), beat(c, k, 0))
		made := epoch.Add(time.Duration(k)*2*sec - sec)
		at, _ := table.Heard(testID(1))
		if at.Before(made) || at.After(made.Add(Slack+900*ms)) {
			t.Errorf("beat %d was made %v after the epoch and looks made at %v", k, made.Sub(epoch), at.Sub(epoch))
		}
		now = now.Add(2 * sec)
	}
}

// The same against a node that never heard the owner before: it knows when the anchor came.
func TestWithheldFromTheBeginning(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	table := tracking(t, c)
	now := epoch.Add(time.Hour)
	for k := uint32(1); k <= 40; k++ {
		receive(t, table, now, testID(3), beat(c, k, 0))
		now = now.Add(2 * sec)
	}
	at, _ := table.Heard(testID(1))
	if limit := epoch.Add(80*sec + Slack + 4*sec); at.After(limit) { // an hour of drift
		t.Errorf("heard %v after the epoch, all beats were made by %v", at.Sub(epoch), 80*sec)
	}
}

// Ages that are too high must not make a living node look dead, neither now nor later.
func TestAgesTooHigh(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	table := tracking(t, c)
	for k := uint32(1); k <= 1000; k++ {
		due := epoch.Add(time.Duration(k-1) * 2 * sec)
		if k%3 == 1 { // the very first among them
			receive(t, table, due.Add(100*ms), testID(3), beat(c, k, time.Hour))
			continue
		}
		receive(t, table, due.Add(500*ms), testID(2), beat(c, k, 500*ms))
		if at, _ := table.Heard(testID(1)); k > 1 && !at.Equal(due) {
			t.Fatalf("beat %d was made %v after the epoch and looks made at %v", k, due.Sub(epoch), at.Sub(epoch))
		}
	}
}

// A liar tells every beat first. The next teller corrects it, and that is news.
func TestLiarIsFirst(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	table := tracking(t, c)
	for k := uint32(1); k <= 1000; k++ {
		due := epoch.Add(time.Duration(k-1) * 2 * sec)
		before, _ := table.Heard(testID(1))
		receive(t, table, due.Add(100*ms), testID(3), beat(c, k, time.Hour))
		if at, ok := table.Heard(testID(1)); ok && k > 1 && !at.Equal(before) {
			t.Fatalf("beat %d: the liar moved it from %v to %v", k, before.Sub(epoch), at.Sub(epoch))
		}
		news := receive(t, table, due.Add(500*ms), testID(2), beat(c, k, 500*ms))
		if at, _ := table.Heard(testID(1)); !at.Equal(due) || len(news) != 1 {
			t.Fatalf("beat %d was made at %v and looks made at %v, news %v", k, due.Sub(epoch), at.Sub(epoch), news)
		}
		if news := receive(t, table, due.Add(600*ms), testID(4), beat(c, k, 600*ms)); len(news) != 0 {
			t.Fatalf("beat %d is news for ever: %v", k, news)
		}
	}
}

// "At least" 6,553.5 s is a beat without a time.
func TestAgeSaturated(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	table := tracking(t, c)
	e := beat(c, 3, 0)
	e.age = ageMax
	receive(t, table, epoch.Add(3*time.Hour), testID(2), e)
	if at, ok := table.Heard(testID(1)); ok {
		t.Errorf("heard at %v", at)
	}
	if got := table.Packet(epoch.Add(3*time.Hour), testID(1<<20), nil, MaxPacket); got != nil {
		t.Errorf("tells %x", got)
	}
	receive(t, table, epoch.Add(3*time.Hour), testID(2), beat(c, 3, 0)) // a lie; the anchor says more
	wantHeard(t, table, testID(1), epoch.Add(6*sec+300*ms))
}

// A host was suspended for a minute, and so was its clock. Who hears it directly believes it at
// once, the others when it begins a new generation.
func TestOwnerSuspended(t *testing.T) {
	const asleep = time.Minute
	c := testChain(t, epoch, testID(1), 1)
	near, far := tracking(t, c), tracking(t, c)
	for k := uint32(1); k <= 10; k++ {
		receive(t, near, epoch.Add(time.Duration(k-1)*2*sec), testID(2), beat(c, k, 0))
		receive(t, far, epoch.Add(time.Duration(k-1)*2*sec), testID(2), beat(c, k, 0))
	}
	now := epoch.Add(20*sec + asleep)
	_, _, age, _ := c.Beat(epoch.Add(20 * sec)) // its clock knows nothing
	receive(t, near, now, testID(1), beat(c, 11, age))
	wantHeard(t, near, testID(1), now)
	receive(t, far, now, testID(2), beat(c, 11, 0))
	if at, _ := far.Heard(testID(1)); at.After(epoch.Add(20*sec + Slack + 100*ms)) {
		t.Errorf("a third node believes that it was heard %v after the epoch", at.Sub(epoch))
	}

	now = now.Add(4 * sec)
	receive(t, near, now, testID(2), beat(c, 13, 500*ms)) // told by others, from now on as well
	wantHeard(t, near, testID(1), now.Add(-500*ms))

	c.wall = c.start
	if !c.Due(epoch.Add(24*sec), epoch.Add(24*sec+asleep)) {
		t.Error("the owner does not notice that it slept")
	}
	renewed := testChain(t, now, testID(1), 2)
	if err := far.Track(now, testID(1), renewed.Anchor()); err != nil {
		t.Fatal(err)
	}
	receive(t, far, now.Add(sec), testID(2), beat(renewed, 1, sec))
	wantHeard(t, far, testID(1), now)
}

// The owner's word about a beat that a third node told first.
func TestOwnerCorrects(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	table := tracking(t, c)
	receive(t, table, epoch.Add(50*sec), testID(3), beat(c, 3, 40*sec))
	receive(t, table, epoch.Add(50*sec), testID(1), beat(c, 3, 100*ms))
	receive(t, table, epoch.Add(52*sec), testID(3), beat(c, 4, 100*ms))
	table.owners[testID(1)].direct = time.Time{}
	wantHeard(t, table, testID(1), epoch.Add(51900*ms))
}

// Our own clock stood still for an hour: all numbers are far ahead, and true.
func TestOurselvesSuspended(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	table := tracking(t, c)
	receive(t, table, epoch.Add(sec), testID(2), beat(c, 1, 0))
	receive(t, table, epoch.Add(3*sec), testID(2), beat(c, 1802, sec))
	wantHeard(t, table, testID(1), epoch.Add(2*sec))
	receive(t, table, epoch.Add(5*sec), testID(2), beat(c, 1803, sec))
	wantHeard(t, table, testID(1), epoch.Add(4*sec))
	if s := table.Stats(); s.Hashes != 1803 || s.Ahead != 0 {
		t.Errorf("%+v", s)
	}
}

// Clocks that run 500 ppm fast or slow for a day, told by a third node.
func TestDrift(t *testing.T) {
	const length = 50000
	for _, rate := range []float64{1 - 500e-6, 1 + 500e-6} {
		c, err := NewChain(epoch, ChainConfig{Owner: testID(1), Seed: make([]byte, 16), Length: length})
		if err != nil {
			t.Fatal(err)
		}
		table := tracking(t, c)
		var worst time.Duration
		for now := epoch; now.Before(epoch.Add(24 * time.Hour)); now = now.Add(2500 * ms) {
			k, _, age, ok := c.Beat(epoch.Add(time.Duration(float64(now.Sub(epoch)) * rate)))
			if !ok {
				t.Fatal("the chain is too short for this test")
			}
			receive(t, table, now.Add(100*ms), testID(2), beat(c, k, age))
			at, _ := table.Heard(testID(1))
			worst = max(worst, now.Sub(at))
			if now.Sub(at) < -100*ms {
				t.Fatalf("rate %v: looks %v younger than now", rate, at.Sub(now))
			}
		}
		if worst > 2100*ms { // a beat is up to an interval old, and ages are rounded
			t.Errorf("rate %v: it looked %v old at worst", rate, worst)
		}
		if start := table.owners[testID(1)].estimate.start; rate < 1 && start.Sub(epoch) < 30*sec {
			t.Errorf("rate %v: the estimate moved by %v only, the test shows nothing", rate, start.Sub(epoch))
		}
	}
}

// False values cost no more than the bound, and the sender alone pays for them.
func TestFlood(t *testing.T) {
	c, d := testChain(t, epoch, testID(1), 1), testChain(t, epoch, testID(2), 1)
	liar := testChain(t, epoch, testID(3), 1)
	table := tracking(t, c, d, liar)
	receive(t, table, epoch.Add(2*sec), testID(2), beat(c, 1, 0))
	const seconds = 100
	for i := range seconds * 100 { // a hundred full packets a second
		e := beat(c, 2+uint32(i%30), 0)
		e.value[0]++
		es := make([]entry, MaxEntries)
		for j := range es {
			es[j] = e
		}
		receive(t, table, epoch.Add(60*sec+time.Duration(i)*10*ms), testID(3), es...)
	}
	s := table.Stats()
	if limit := uint64(hashBurst + seconds*hashRate + 1); s.Hashes > limit || s.Hashes < limit-100 {
		t.Errorf("%d hashes, want hardly less than %d", s.Hashes, limit)
	}
	if s.Accepted != 1 || s.Unpaid == 0 || s.Forged+s.Unpaid != seconds*100*MaxEntries {
		t.Errorf("%+v", s)
	}
	wantHeard(t, table, testID(1), epoch.Add(2*sec))
	now := epoch.Add(160 * sec)
	receive(t, table, now, testID(3), beat(c, 80, sec)) // even true values of the liar are not looked at
	wantHeard(t, table, testID(1), epoch.Add(2*sec))
	receive(t, table, now, testID(2), beat(c, 80, sec))
	wantHeard(t, table, testID(1), now.Add(-sec))
}

// A newcomer's first teller may make it hash more than any liar: what proves true is free.
func TestTrueValuesAreFree(t *testing.T) {
	var chains []*Chain
	var es []entry
	for i := range MaxEntries {
		c := testChain(t, epoch, testID(i+1), 1)
		chains, es = append(chains, c), append(es, beat(c, 4000, 0))
	}
	table := tracking(t, chains...)
	if news := receive(t, table, epoch, testID(100), es...); len(news) != MaxEntries {
		t.Errorf("%d of %d owners were verified: %+v", len(news), MaxEntries, table.Stats())
	}
	if s := table.Stats(); s.Hashes < 2*hashBurst {
		t.Errorf("%d hashes, the test shows nothing", s.Hashes)
	}
}

// Numbers far ahead are tried for those who have not lied.
func TestLeaps(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	var table *Table
	ahead := func(now time.Time, from, k uint32, forge byte) Stats {
		e := beat(c, k, 0)
		e.value[0] ^= forge
		before := table.Stats()
		receive(t, table, now, testID(int(from)), e)
		after := table.Stats()
		return Stats{Accepted: after.Accepted - before.Accepted, Ahead: after.Ahead - before.Ahead, Forged: after.Forged - before.Forged}
	}
	table = tracking(t, c, testChain(t, epoch, testID(2), 1), testChain(t, epoch, testID(3), 1))
	now := epoch
	for i, x := range []struct {
		wait  time.Duration
		from  uint32
		k     uint32
		forge byte
		want  Stats
	}{
		{0, 2, 16, 0, Stats{Accepted: 1}},          // within the slack
		{0, 2, 33, 1, Stats{Forged: 1}},            // a leap
		{0, 2, 33, 0, Stats{Ahead: 1}},             // not again
		{0, 2, 32, 0, Stats{Accepted: 1}},          // but no leap is fine
		{0, 3, 4000, 0, Stats{Accepted: 1}},        // others may leap
		{59 * sec, 2, 4090, 0, Stats{Ahead: 1}},    // 29 beats passed
		{2 * sec, 2, 4090, 0, Stats{Accepted: 1}},  // forgiven, after a minute
		{10 * sec, 9, 4096, 0, Stats{Accepted: 1}}, // a stranger
		{0, 9, 4097 - 1, 0, Stats{}},               // stale
		{time.Hour, 9, 4096, 1, Stats{}},           // stale as well
		{time.Hour, 9, DefaultLength, 0, Stats{}},  // the chain is over
		{time.Hour, 9, DefaultLength - 1, 1, Stats{}},
	} {
		now = now.Add(x.wait)
		if got := ahead(now, x.from, x.k, x.forge); got != x.want {
			t.Errorf("step %d: %+v, want %+v", i, got, x.want)
		}
	}
}

// An owner that makes ever new chains is verified from afar only so often.
func TestChurn(t *testing.T) {
	table := NewTable(testID(0))
	const chains = 100
	for generation := range uint64(chains) {
		c := testChain(t, epoch, testID(1), generation+1)
		now := epoch.Add(time.Duration(generation) * sec)
		if err := table.Track(now, testID(1), c.Anchor()); err != nil {
			t.Fatal(err)
		}
		receive(t, table, now, testID(1), beat(c, 4000, 0))
	}
	s := table.Stats()
	if want := uint64(leapBurst + chains/10); s.Accepted > want || s.Accepted < want-1 || s.Accepted+s.Ahead != chains {
		t.Errorf("%d leaps, want %d: %+v", s.Accepted, want, s)
	}
}

// Two nodes tell each other of a third that is gone, again and again: it grows no younger.
func TestEcho(t *testing.T) {
	c := testChain(t, epoch, testID(5), 1)
	a, b := NewTable(testID(1)), NewTable(testID(2))
	for _, table := range []*Table{a, b} {
		if err := table.Track(epoch, testID(5), c.Anchor()); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, a, epoch.Add(3*sec), testID(5), beat(c, 2, 140*ms))
	want, _ := a.Heard(testID(5))
	for i := range 100 {
		now := epoch.Add(4*sec + time.Duration(i)*330*ms)
		for _, way := range []struct {
			from, to *Table
		}{{a, b}, {b, a}} {
			p := way.from.Packet(now, way.to.self, nil, MaxPacket)
			if _, err := way.to.Receive(now, way.from.self, p); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantHeard(t, a, testID(5), want)
	if at, _ := b.Heard(testID(5)); at.After(want) || at.Before(epoch.Add(2700*ms)) {
		t.Errorf("the second hand says %v, the first %v", at.Sub(epoch), want.Sub(epoch))
	}
}
