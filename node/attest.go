package node

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	micronet "github.com/micro/micro-net"
)

// attestor finds out which service of this host a program that calls is. It is asked only while a policy
// depends on it: looking through the processes of a host takes milliseconds.
type attestor struct {
	// constant
	finder micronet.ProcessFinder // nil where processes cannot be told apart
	known  func() []speaker

	turn    chan struct{} // capacity 1: one look at a time, on behalf of all who wait
	started atomic.Uint64 // counts the looks
	last    look          // guarded by turn
}

// speaker is a registered service whose connections are known by the processes that make them.
type speaker struct {
	service string
	of      micronet.Processes
}

// look is what the processes of the host held at one time.
type look struct {
	number   uint64
	speakers []speaker
	holders  map[uint64]int // sockets, with the index of the speaker
}

func newAttestor(env micronet.Env, known func() []speaker) *attestor {
	f, _ := env.Net.(micronet.ProcessFinder)
	return &attestor{finder: f, known: known, turn: make(chan struct{}, 1)}
}

// serviceOf names the calling service, "" when no registration speaks for the program. It may wait for
// others' looks; the end of ctx ends that, and the program is nobody then.
func (a *attestor) serviceOf(ctx context.Context, c *micronet.Caller) string {
	return a.serviceBy(c, func() (look, bool) { return a.look(ctx) })
}

// survey is serviceOf for many callers that have called already: one look does for all.
func (a *attestor) survey(ctx context.Context) func(*micronet.Caller) string {
	once := sync.OnceValues(func() (look, bool) { return a.look(ctx) })
	return func(c *micronet.Caller) string { return a.serviceBy(c, once) }
}

func (a *attestor) serviceBy(c *micronet.Caller, see func() (look, bool)) string {
	if a.finder == nil {
		return ""
	}
	speakers := a.known()
	if len(speakers) == 0 {
		return ""
	}
	if c.PID != 0 {
		if i := a.finder.SetOf(c.PID, sets(speakers)); i >= 0 {
			return speakers[i].service
		}
		return ""
	}
	socket, ok := a.finder.ClientSocket(c.Addr, c.Dialled)
	theirs := func(s speaker) bool { return s.of.UID == micronet.AnyUser || s.of.UID == socket.UID }
	if !ok || !slices.ContainsFunc(speakers, theirs) {
		return ""
	}
	l, ok := see()
	if i, held := l.holders[socket.ID]; ok && held && theirs(l.speakers[i]) {
		return l.speakers[i].service
	}
	return ""
}

// look returns what was seen after it was called: a look that began later, by whoever had the turn
// meanwhile, or one of its own.
func (a *attestor) look(ctx context.Context) (look, bool) {
	before := a.started.Load()
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return look{}, false
	}
	defer func() { <-a.turn }()
	if a.last.number <= before {
		l := look{number: a.started.Add(1), speakers: a.known()}
		l.holders = a.finder.Sockets(sets(l.speakers))
		a.last = l
	}
	return a.last, true
}

func sets(speakers []speaker) []micronet.Processes {
	out := make([]micronet.Processes, len(speakers))
	for i := range speakers {
		out[i] = speakers[i].of
	}
	return out
}

// speakers are the registrations that name processes. An ordinary user speaks for processes of its own,
// and for a service only when nobody who may do more has registered it here as well. Of services with the
// same processes the first counts: those of users who may do more come first, then it is by name.
func (r *registry) speakers(daemon int) []speaker {
	all := r.all()
	entitled := func(e *entry) bool { return e.owner == 0 || e.owner == daemon }
	var out []speaker
	for i := range all {
		e := &all[i]
		s := speaker{service: e.service.Name, of: micronet.Processes{Cgroup: e.service.Cgroup, UID: e.owner}}
		if e.service.PIDStart != 0 {
			s.of.Root = micronet.ProcessID{PID: e.service.PID, Start: e.service.PIDStart, Boot: e.service.PIDBoot}
		}
		if s.of.Root.PID == 0 && s.of.Cgroup == "" {
			continue
		}
		if entitled(e) {
			s.of.UID = micronet.AnyUser
		} else if e.owner < 0 || slices.ContainsFunc(all, func(o entry) bool { return entitled(&o) && o.service.Name == s.service }) {
			continue
		}
		out = append(out, s)
	}
	rank := func(s speaker) int {
		if s.of.UID == micronet.AnyUser {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(out, func(a, b speaker) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.service, b.service))
	})
	return out
}

// attested is a caller of this host with its service, where a policy asks for that.
func (l *life) attested(ctx context.Context, c micronet.Caller) micronet.Caller {
	return l.attestedBy(c, func(c *micronet.Caller) string { return l.attest.serviceOf(ctx, c) })
}

func (l *life) attestedBy(c micronet.Caller, serviceOf func(*micronet.Caller) string) micronet.Caller {
	if c.Node == l.self && !c.Attested && l.guard.rules.Load().AsksForService() {
		c.Service, c.Attested = serviceOf(&c), true
	}
	return c
}

// hindsight is the guard for connections that are there already: those of this host may come from before any
// policy asked for their service.
type hindsight struct {
	*guard
	attested func(micronet.Caller) micronet.Caller
	came     map[string]bool // rules that are new: others have counted what was there when they came
}

// Admit decides about a caller as it is known now.
func (g hindsight) Admit(c micronet.Caller, to *micronet.Instance) error {
	return g.admit(g.attested(c), to, func(rule string) bool { return g.came[rule] })
}

// Allows leaves a connection to the node that it leads to, which decides and counts, unless it is not known
// there which service calls.
func (g hindsight) Allows(c micronet.Caller, to *micronet.Instance) error {
	known := g.attested(c)
	if known.Service == c.Service {
		return nil
	}
	return g.guard.Allows(known, to)
}

func (l *life) hindsight(ctx context.Context, came map[string]bool) hindsight {
	serviceOf := l.attest.survey(ctx)
	return hindsight{l.guard, func(c micronet.Caller) micronet.Caller { return l.attestedBy(c, serviceOf) }, came}
}
