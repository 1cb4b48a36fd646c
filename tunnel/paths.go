package tunnel

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

const (
	helloEvery = 100 * time.Millisecond // at most, beside packets on a path that is not confirmed
	helloMost  = time.Second            // the longest pause between hellos that nobody answers
	helloQuick = 4                      // hellos at that pace; then it doubles, so that those remembered reach back further

	probeFirst   = 100 * time.Millisecond // first pause between probes of an unconfirmed candidate
	probeMost    = 5 * time.Second        // longest pause while there is no path
	spareMost    = time.Minute            // longest pause while another candidate works
	probeTimeout = 500 * time.Millisecond // a reply later than this, or than four round trips, is missing
	probeLeast   = 200 * time.Millisecond

	refreshEvery = 5 * time.Second  // of the path in use
	spareEvery   = 15 * time.Second // of other confirmed candidates
	quietAfter   = time.Second      // packets leave and none arrive for so long, or for four round trips: probe at once
	quietLeast   = 300 * time.Millisecond
	insistFor    = 50 * time.Millisecond  // QUIC that has sent for so long without an answer waits for one
	asideAfter   = 500 * time.Millisecond // packets leave, and what comes takes other ways: probe
	muteAfter    = 10 * time.Second       // gossip leaves and nothing arrives: probe
	idleAfter    = 30 * time.Second       // without use a path is no longer kept
	urgentFor    = 2 * time.Second        // how long a challenge is repeated without other use

	silentAfter = 2  // unanswered probes in a row; one is enough where nothing arrives
	lostAfter   = 3  // unanswered probes in a row, with nothing heard
	oneWayAfter = 10 // unanswered probes in a row although the peer is heard

	betterBy     = 2 * time.Millisecond  // and by a quarter: less is no reason to change
	relayPenalty = 10 * time.Millisecond // beside twice the round trip
	trunkPenalty = 15 * time.Millisecond // the same: what is lost on one holds all up
	maxDeclared  = 8                     // addresses taken from a credential
	freshBurst   = 3 * maxDeclared       // addresses of a peer's credentials that it was not heard from, at once
	freshRate    = 0.5                   // and a second: each is probed, and may be a stranger's
	maxObserved  = 8                     // source addresses remembered, oldest out
)

// Reasons of a path change.
const (
	pathConfirmed = "confirmed"
	pathFaster    = "faster"
	pathSilent    = "silent"
	pathGrey      = "grey" // probes are answered, and nothing that QUIC sends arrives
	PathLost      = "lost" // the way in use does not answer; without another one nothing is left
	pathRemoved   = "removed"
	pathStopped   = "relay-stopped" // the relay in use has said goodbye
)

// paths chooses, for one peer, the address that packets go to. It is pure: it is told what
// happened and when, and says what to probe. It is not safe for concurrent use.
type paths struct {
	best       *candidate   // where packets go, confirmed or not; nil: nowhere
	candidates []*candidate // declared ones in the credential's order, then observed ones
	shown      netip.AddrPort
	used       time.Time // last packet of a user to the peer
	asked      time.Time // the first one since something arrived
	arrived    time.Time // last packet from the peer, QUIC's included
	unmet      time.Time // the first packet of QUIC to it since one came from it
	met        time.Time // last packet of QUIC from it
	strange    time.Time // last one that came another way than the one before
	relayed    time.Time // the first one of QUIC that left over a relay since one came from it
	complained time.Time // when QUIC had got no answer over a relay for too long
	urgent     time.Time // until then probes go out without use
	sought     time.Time // the same, for others: over no relay
	hello      time.Time // last hello beside a packet
	ticked     time.Time
	fresh      bucket
	search     search
	kept       bool // probed whether it is used or not
	gaveUp     bool // the best candidate was lost since choose was asked last
}

// pathMove is a change of the confirmed path; zero addresses mean none.
type pathMove struct {
	from, to netip.AddrPort
	rtt      time.Duration
	reason   string
}

// declare replaces the addresses that the credential names. Others stay if they were heard. A peer that names
// ever other ones is not believed all of them: where it really is, it will be heard from.
func (s *paths) declare(now time.Time, addrs []netip.AddrPort) {
	s.fresh.rate, s.fresh.burst = freshRate, freshBurst
	if len(addrs) > maxDeclared {
		addrs = addrs[:maxDeclared]
	}
	list := make([]*candidate, 0, len(addrs)+len(s.candidates))
	for _, a := range addrs {
		if slices.ContainsFunc(list, func(c *candidate) bool { return c.addr == a }) {
			continue
		}
		c := s.find(a)
		if c == nil {
			if !s.fresh.take(now, 1) {
				continue
			}
			c = newCandidate(a)
		}
		c.declared = true
		list = append(list, c)
	}
	for _, c := range s.candidates {
		if slices.Contains(list, c) {
			continue
		}
		c.declared = false
		if !c.heard.IsZero() || !c.straight() {
			list = append(list, c)
		}
	}
	s.candidates = list
	s.trim(nil)
}

func (s *paths) find(a netip.AddrPort) *candidate {
	for _, c := range s.candidates {
		if c.addr == a {
			return c
		}
	}
	return nil
}

// observe takes note of an authenticated frame from addr. A new address is probed, and the
// path in use with it: the peer may have moved. A frame that may be a replay (not fresh) makes
// nothing look alive.
func (s *paths) observe(now time.Time, addr netip.AddrPort, fresh bool) *candidate {
	c := s.find(addr)
	if c == nil {
		c = newCandidate(addr)
		c.hurried = true
		s.candidates = append(s.candidates, c)
		if s.best != nil {
			s.best.hurried = true
		}
	}
	if fresh || c.heard.IsZero() {
		c.heard = now
	}
	if fresh {
		s.arrived = now
	}
	s.trim(c)
	return c
}

// trim keeps the number of observed candidates: the one longest silent goes, confirmed ones
// last, never the best one nor keep.
func (s *paths) trim(keep *candidate) {
	for {
		n, victim := 0, -1
		for i, c := range s.candidates {
			if c.declared || !c.straight() {
				continue
			}
			n++
			if c != s.best && c != keep && (victim < 0 || worseObserved(c, s.candidates[victim])) {
				victim = i
			}
		}
		if n <= maxObserved || victim < 0 {
			return
		}
		s.candidates = slices.Delete(s.candidates, victim, victim+1)
	}
}

func worseObserved(a, b *candidate) bool {
	if a.confirmed != b.confirmed {
		return b.confirmed
	}
	return a.heard.Before(b.heard)
}

// wanted reports whether the peer is worth probing now.
func (s *paths) wanted(now time.Time) bool {
	return s.kept || now.Before(s.urgent) || now.Before(s.sought) || s.inUse(now)
}

// inUse reports whether QUIC is, or was a moment ago, sent to the peer.
func (s *paths) inUse(now time.Time) bool { return !s.used.IsZero() && now.Sub(s.used) < idleAfter }

// approach looks for a direct way for a while, whatever was tried before.
func (s *paths) approach(now time.Time) {
	s.restart(now)
	s.sought = now.Add(approachFor)
}

// use takes note that a user sends a packet now. After a time without use the search for a path
// starts afresh.
func (s *paths) use(now time.Time) {
	if !s.wanted(now) {
		s.restart(now)
	}
	if now.After(s.used) {
		s.used = now
	}
	if !s.asked.After(s.arrived) {
		s.asked = now
	}
}

// doubtful reports whether packets of gossip need a look at the way they take: it is not confirmed, or
// the peer was neither heard nor asked for a while. It may have restarted and know us no more.
func (s *paths) doubtful(now time.Time) bool {
	b := s.best
	return b == nil || !b.confirmed || (now.Sub(s.arrived) >= muteAfter && now.Sub(b.probed) >= muteAfter)
}

// seek takes note that a packet of gossip leaves now: a way is looked for, and not kept. Gossip goes to
// ever other peers; keeping the ways to all would cost each node as many probes as there are nodes.
func (s *paths) seek(now time.Time) {
	if !s.wanted(now) {
		s.restart(now)
	}
	if until := now.Add(urgentFor); until.After(s.urgent) {
		s.urgent = until
	}
	if s.best != nil && s.best.confirmed {
		s.best.hurried = true
	}
}

// restart ends all pauses: what is not confirmed is tried at once.
func (s *paths) restart(now time.Time) {
	s.ticked = now
	for _, c := range s.candidates {
		if !c.confirmed {
			c.forget()
			c.probed = time.Time{}
		}
	}
}

// challenge asks for repeated probes of c, and reports whether one is to be sent now.
func (s *paths) challenge(now time.Time, c *candidate) bool {
	if !s.wanted(now) {
		s.restart(now)
	}
	c.hurried = true
	if until := now.Add(urgentFor); until.After(s.urgent) {
		s.urgent = until
	}
	return c.probed.IsZero() || now.Sub(c.probed) >= c.helloGap()
}

// flight returns the candidates that get a hello beside a packet that leaves now: none while
// the path is confirmed.
func (s *paths) flight(now time.Time, dst []*candidate) []*candidate {
	s.try(now)
	if (s.best != nil && s.best.confirmed) || (!s.hello.IsZero() && now.Sub(s.hello) < helloEvery) {
		return dst
	}
	s.hello = now
	for _, c := range s.candidates {
		// A reply that a proven address owes is waited for: probes that come faster would never be missed.
		if c.probed.IsZero() || (now.Sub(c.probed) >= c.helloGap() && (!c.confirmed || !c.open)) {
			dst = append(dst, c)
		}
	}
	return dst
}

// due returns the candidates to probe now. It gives silent paths up and lets unused ones go;
// the caller asks choose afterwards.
func (s *paths) due(now time.Time, dst []*candidate) []*candidate {
	s.ticked = now
	if !s.wanted(now) {
		s.idle(now)
		return dst
	}
	s.try(now)
	switch {
	case s.starved(now):
		s.complain(now)
	case s.quiet(now) || s.aside(now) || s.curious(now):
		s.best.hurried = true
	}
	for _, c := range s.candidates {
		c.hurried = c.hurried || (c.confirmed && c.rested(now) && !c.onTrial())
		if !now.Before(s.dueAt(c)) {
			s.missing(now, c)
		}
	}
	for _, c := range s.candidates { // once more: one that is missing hurries the others
		if !now.Before(s.dueAt(c)) {
			dst = append(dst, c)
		}
	}
	return dst
}

// idle lets go of paths that nobody has proved for a while and nobody needs.
func (s *paths) idle(now time.Time) {
	s.lapse(now)
	for _, c := range s.candidates {
		if c.confirmed && now.Sub(c.replied) >= idleAfter {
			c.forget()
		}
	}
	s.straighten(now)
}

// missing counts an unanswered probe, gives c up when it is one too many, and looks at all
// other ways when the path in use falls silent.
func (s *paths) missing(now time.Time, c *candidate) {
	if !c.confirmed || !c.open {
		return
	}
	c.missed++
	if c == s.best && c.missed == 1 {
		s.hurry()
	}
	if c.lost(now) {
		c.forget()
		c.lapsed = true
		s.gaveUp = s.gaveUp || c == s.best
	}
}

// quiet reports that packets leave on a confirmed path and nothing comes back.
func (s *paths) quiet(now time.Time) bool {
	b := s.best
	return b != nil && b.confirmed && !b.open && s.asked.After(s.arrived) &&
		now.Sub(s.asked) >= s.quietFor() && now.Sub(b.probed) >= s.quietFor()
}

// starved reports that QUIC goes on sending over a relay, and gets nothing. Answers to probes do not count: they tell that
// the way there works, and nothing of the way back, which may be over another relay. Nor does a single packet, which may be
// no more than QUIC's thanks for one. After a complaint more must have left for the next.
func (s *paths) starved(now time.Time) bool {
	b := s.best
	return b != nil && b.via != nil && b.confirmed && s.relayed.After(s.met) && s.used.Sub(s.relayed) >= insistFor &&
		s.used.After(s.complained) && now.Sub(s.relayed) >= s.quietFor() && now.Sub(s.complained) >= s.quietFor()
}

// ask takes note that QUIC leaves over a relay.
func (s *paths) ask(now time.Time) {
	if !s.relayed.After(s.met) {
		s.relayed = now
	}
}

// complain looks at the way in use because QUIC is starved, together with the next best one, and tells the peer.
func (s *paths) complain(now time.Time) {
	s.complained, s.best.contested = now, true
	s.compare(s.fastest(func(c *candidate) bool { return c != s.best }))
}

// compare asks the way in use together with another one: when only that answers, it is at hand.
func (s *paths) compare(other *candidate) {
	s.best.hurried = true
	if other != nil {
		other.hurried = true
	}
}

// complains reports whether the peer is to be told that packets of users get no answer: it may hear us over another way
// than it sends over, and then cannot know.
func (s *paths) complains(now time.Time) bool {
	return !s.complained.IsZero() && now.Sub(s.complained) < quietAfter && !s.met.After(s.complained)
}

// aside reports that packets leave on a confirmed path, and that for a while what comes back takes other ways: nothing else
// would tell that they do not arrive any more.
func (s *paths) aside(now time.Time) bool {
	b := s.best
	if b == nil || !b.confirmed || b.open || now.Sub(s.used) >= quietAfter || now.Sub(b.probed) < asideAfter {
		return false
	}
	return now.Sub(b.sign()) >= asideAfter && s.arrived.After(b.sign())
}

// heed takes note of a complaint: the peer hears nothing of what goes over a relay. Unless that was just heard itself, it is
// looked at, together with the way that the complaint came over.
func (s *paths) heed(now time.Time, way *candidate) {
	b := s.best
	if !s.proven() || b.via == nil || way == b || now.Sub(s.used) >= quietAfter || now.Sub(b.sign()) < s.quietFor() {
		return
	}
	b.contested, way.hurried = true, true
	if !b.open && now.Sub(b.probed) >= helloEvery {
		b.hurried = true
	}
}

// turned takes note that QUIC comes over a way now, and reports whether it is one that the peer has just turned to: it may
// have lost the way in use, which is looked at then.
func (s *paths) turned(now time.Time, way *candidate) bool {
	b := s.best
	if way == b || b == nil || !b.confirmed || now.Sub(way.carried) < asideAfter {
		return false
	}
	b.contested = true
	if !b.open && now.Sub(b.probed) >= helloEvery {
		s.compare(way)
	}
	return true
}

// quietFor is how long nothing may come back.
func (s *paths) quietFor() time.Duration { return min(quietAfter, max(quietLeast, 4*s.best.rtt.value)) }

// quietAt is when to ask quiet again: nobody tells when packets leave.
func (s *paths) quietAt(now time.Time) time.Time {
	if s.asked.After(s.arrived) {
		last := s.asked
		if s.best.probed.After(last) {
			last = s.best.probed
		}
		if at := last.Add(s.quietFor()); at.After(s.ticked) {
			return at
		}
	}
	if now.Sub(s.used) < quietAfter {
		return s.ticked.Add(s.quietFor())
	}
	return s.ticked.Add(quietAfter)
}

// dueAt is when c is to be probed next, if the peer is wanted.
func (s *paths) dueAt(c *candidate) time.Time {
	if c.probed.IsZero() {
		return time.Time{}
	}
	return c.probed.Add(s.pause(c))
}

func (s *paths) pause(c *candidate) time.Duration {
	switch {
	case c.confirmed && c.open:
		return c.patience()
	case c.hurried:
		return c.helloGap()
	case c.confirmed && c == s.best:
		return refreshEvery
	case c.confirmed:
		return spareEvery
	case s.proven() && s.best.straight():
		return backoff(c.attempts, spareMost)
	}
	return backoff(c.attempts, probeMost)
}

// helloGap is the least time between two hellos to an address. As few probes are remembered, hellos that
// kept coming fast would be forgotten before a far peer could answer.
func (c *candidate) helloGap() time.Duration {
	if c.confirmed || c.attempts <= helloQuick {
		return helloEvery
	}
	return min(helloMost, helloEvery<<min(c.attempts-helloQuick, 8))
}

// backoff is the pause after the n-th probe in a row, n from 1: it doubles up to most.
func backoff(n int, most time.Duration) time.Duration {
	return min(most, probeFirst<<min(max(n-1, 0), 16))
}

// next is when due wants to be called, zero when there is nothing to wait for.
func (s *paths) next(now time.Time) time.Time {
	if !s.wanted(now) {
		return s.nextIdle()
	}
	at := s.used.Add(idleAfter)
	for _, until := range []time.Time{s.urgent, s.sought} {
		if at.Before(until) {
			at = until
		}
	}
	if s.best != nil && s.best.confirmed {
		at = earlier(at, s.quietAt(now))
		if t := s.curiousAt(now); !t.IsZero() {
			at = earlier(at, t)
		}
		if s.relayed.After(s.met) && s.relayed.Add(s.quietFor()).After(s.ticked) {
			at = earlier(at, s.relayed.Add(s.quietFor()))
		}
	}
	for _, c := range s.candidates {
		at = earlier(at, s.dueAt(c))
		if c.grey && c.rest.After(s.ticked) {
			at = earlier(at, c.rest)
		}
	}
	if at.Before(now) {
		return now
	}
	return at
}

func (s *paths) nextIdle() time.Time {
	var at time.Time
	for _, c := range s.candidates {
		if t := c.replied.Add(idleAfter); c.confirmed && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// answered takes a reply. It returns the candidate whose probe it answers, and that probe; nil
// when no probe with that nonce is outstanding.
func (s *paths) answered(now time.Time, nonce uint64) (*candidate, sentProbe) {
	for _, c := range s.candidates {
		if p, ok := c.take(nonce); ok {
			c.confirm(now, max(now.Sub(p.at), 0), p.clean)
			s.arrived, s.search = now, search{}
			return c, p
		}
	}
	return nil, sentProbe{}
}

// choose decides where packets go, and reports a change of the confirmed path. A path that was
// let go because nobody used it is no change.
func (s *paths) choose() (pathMove, bool) {
	was := s.best
	if was != nil && !slices.Contains(s.candidates, was) {
		was, s.gaveUp = nil, true
	}
	lost := s.gaveUp
	s.gaveUp = false
	reason := ""
	s.best, reason = s.pick(was)
	if lost {
		reason = PathLost
	}
	if s.best != nil && s.best.confirmed {
		return s.show(s.best.addr, s.best.rtt.value, reason)
	}
	if lost {
		return s.show(netip.AddrPort{}, 0, reason)
	}
	return pathMove{}, false
}

// show reports a confirmed path that differs from the one reported last.
func (s *paths) show(to netip.AddrPort, rtt time.Duration, reason string) (pathMove, bool) {
	if to == s.shown {
		return pathMove{}, false
	}
	if reason == "" {
		reason = pathConfirmed
	}
	m := pathMove{from: s.shown, to: to, rtt: rtt, reason: reason}
	s.shown = to
	return m, true
}

// pick returns the best candidate given the one in use.
func (s *paths) pick(current *candidate) (*candidate, string) {
	if current == nil || !current.confirmed {
		if c := s.refuge(nil); c != nil {
			return c, pathConfirmed
		}
		return s.likeliest(), ""
	}
	if current.parting() {
		if c := s.instead(current); c != nil {
			return c, pathStopped
		}
		return current, ""
	}
	if s.silent(current) {
		if c := s.refuge(func(c *candidate) bool { return c.replied.After(current.since) }); c != nil {
			return c, pathSilent
		}
		return current, ""
	}
	c := s.fastest(nil)
	if c != nil && current.grey {
		return c, pathGrey
	}
	if c != nil && c.cost() < current.cost()*3/4 && current.cost()-c.cost() > betterBy {
		return c, pathFaster
	}
	return current, ""
}

// silent reports whether the unanswered probes of a candidate are no accident: a single one may be, unless nothing arrives
// or something else speaks against it as well.
func (s *paths) silent(c *candidate) bool {
	return c.missed >= silentAfter || (c.missed > 0 && (c.contested || !s.arrived.After(c.since)))
}

// refuge is fastest, but where there is none it takes a grey way: that is better than none.
func (s *paths) refuge(ok func(*candidate) bool) *candidate {
	if c := s.fastest(ok); c != nil {
		return c
	}
	return s.quickest(func(c *candidate) bool { return ok == nil || ok(c) })
}

// fastest returns the confirmed candidate with the least cost that answers, is not grey and passes ok.
func (s *paths) fastest(ok func(*candidate) bool) *candidate {
	return s.quickest(func(c *candidate) bool { return !c.grey && (ok == nil || ok(c)) })
}

func (s *paths) quickest(ok func(*candidate) bool) *candidate {
	var best *candidate
	for _, c := range s.candidates {
		if !c.confirmed || c.missed > 0 || !ok(c) {
			continue
		}
		if best == nil || c.cost() < best.cost() {
			best = c
		}
	}
	return best
}

// cost is what a way is compared by: its round trip. A relay is used by others too, and may go away at any
// time: it has to be much faster than a direct way to be preferred to it.
func (c *candidate) cost() time.Duration {
	cost := c.rtt.value
	if c.via != nil {
		cost = 2*c.rtt.value + relayPenalty
	}
	if c.overTCP() {
		cost += c.rtt.value + trunkPenalty
	}
	if c.parting() {
		cost += partedPenalty
	}
	return cost
}

// likeliest returns the unconfirmed candidate that replied last, or else was heard last, or else
// comes first.
func (s *paths) likeliest() *candidate {
	var best *candidate
	for _, c := range s.candidates {
		if best == nil || cmp.Or(c.replied.Compare(best.replied), c.heard.Compare(best.heard)) > 0 {
			best = c
		}
	}
	return best
}
