package node

import (
	"fmt"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const (
	// graceAfter is how long no authority has answered when expired certificates begin to count.
	graceAfter = 7 * 24 * time.Hour
	// graceTail is how long they count after one has come back: all must have time to renew before
	// the first refuses the last.
	graceTail = 24 * time.Hour
)

// grace says whether certificates that have ended count, by the wall clock. The zero value says no
// until it is asked for the first time.
type grace struct{ until time.Time }

// holds is asked from time to time. answered is when an authority was heard last, zero when that is
// not known.
func (g *grace) holds(now, answered time.Time) bool {
	if now.Sub(answered) >= graceAfter {
		g.until = now.Add(graceTail)
	}
	return now.Before(g.until)
}

// lookGrace finds out how long after its end a certificate counts here, and tells the verifiers. An
// authority always takes expired members: it is who renews them, and it knows whom it has revoked.
func (l *life) lookGrace() {
	now, most := l.env.Wall(), l.config.ExpiredGrace
	if l.gate.authority.Load() == nil && !l.grace.holds(now, l.authorityHeard(now)) {
		most = 0
	}
	if before := l.pass.grace.Swap(int64(most)); before >= int64(most) {
		return
	}
	// Those whose credentials had ended were not given to the path layer.
	for _, p := range l.contacts.peers() {
		l.addPeer(p)
	}
}

// authorityHeard is when an authority was heard last, as exactly as the address book has it. That it is one is its
// own word: once this node's certificate has ended, after half of its term in which all who say so were asked for
// another one, none has been heard since.
func (l *life) authorityHeard(now time.Time) time.Time {
	if m := l.pass.member(); now.After(m.NotAfter) {
		return slices.MinFunc([]time.Time{m.RenewAfter(), l.contacts.authorityHeard()}, time.Time.Compare)
	}
	if l.view.Load() != nil && len(l.authorities()) > 0 {
		return now
	}
	return l.contacts.authorityHeard()
}

// authorityHeard is when an authority of the address book was alive last, zero when it has none.
func (c *contacts) authorityHeard() (last time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.book.Peers() {
		if c.isAuthorityLocked(p.ID) && !p.Revoked && p.Heard.After(last) {
			last = p.Heard
		}
	}
	return last
}

// late lists the members whose certificates have ended, of those for whom want is true.
func (c *contacts) late(want func(micronet.NodeID) bool) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.env.Wall()
	for _, p := range c.book.Peers() {
		if cred, ok := c.known[p.ID]; ok && now.After(cred.Expires) && want(p.ID) {
			names = append(names, cred.Name)
		}
	}
	return names
}

// graceWarning says that certificates count which have ended; false when none does.
func (l *life) graceWarning() (api.Warning, bool) {
	most := time.Duration(l.pass.grace.Load())
	if most == 0 {
		return api.Warning{}, false
	}
	late := l.contacts.late(l.isAlive)
	if len(late) == 0 {
		return api.Warning{}, false
	}
	return api.Warning{
		Code: "expired-grace",
		Text: fmt.Sprintf("the certificates of %s have ended and count until %.0f days after their end: %s", plural(len(late), "node", "nodes"), most.Hours()/24, shortList(late)),
		Fix:  "start an authority of the cluster: it renews them by itself",
	}, true
}
