package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
)

const (
	// heardQueue bounds the statements of broadcasts that wait to be verified; further ones are dropped, as
	// the next comparison brings them.
	heardQueue = 256
	// spreadFetched is how many statements that came by one comparison are broadcast in turn: others may
	// lack a few new ones as well, and all of a ledger only who is new.
	spreadFetched = 32
	// keepAgain is how often writing is tried again after it failed.
	keepAgain = 10 * time.Second
)

// statements is the cluster's ledger with its file: what its authorities have said about all of it. Readers
// take no lock, whoever changes it has the turn. It is safe for concurrent use.
type statements struct {
	env     micronet.Env
	disk    disk
	trust   *identity.Trust
	wall    func() time.Time             // nil while the file is read: this host's clock may have been set back since
	heard   chan []byte                  // of broadcasts
	spread  func(key string, msg []byte) // to all members
	changed func()                       // something else is held now; called without the turn
	strayed func([]gossip.Statement)     // these are held now and do not count; called without the turn

	poison  *poison
	loops   *loops
	turn    chan struct{} // a lock that may be held while the file is written
	unsaved bool          // the file lacks something
	gone    bool          // the file is not ours any more

	held atomic.Pointer[gossip.Ledger] // never changed once it is here
	agreement
}

// statementsFile is the form of the file. What is in it was verified when it came.
type statementsFile struct {
	Cluster    string   `json:"cluster"`
	Statements [][]byte `json:"statements"`
}

var _ gossip.LedgerStore = (*statements)(nil)

// loadStatements reads what was held when the file was written last.
func loadStatements(env micronet.Env, d disk, trust *identity.Trust) (*statements, error) {
	s := &statements{env: env, disk: d, trust: trust, heard: make(chan []byte, heardQueue), poison: newPoison(env), loops: newLoops(), turn: make(chan struct{}, 1)}
	s.comparisons = gossip.NewComparisons()
	var file statementsFile
	_, err := d.read(fileStatements, func(raw []byte) error {
		err := openEnvelope(raw, &file)
		if own := trust.Cluster().String(); err == nil && file.Cluster != own {
			err = fmt.Errorf("it is of cluster %q, and this node of %q", file.Cluster, own)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	kept := gossip.NewLedger(s.read)
	if _, failed := s.takeAll(kept, file.Statements); len(failed) > 0 {
		env.Log.Error("some of what authorities said before does not count any more", "count", len(failed))
	}
	s.held.Store(kept.Freeze())
	s.wall = env.Wall
	return s, nil
}

// readStatements reads what was held, and makes it count in the trust.
func readStatements(env micronet.Env, d disk, trust *identity.Trust) (*statements, error) {
	s, err := loadStatements(env, d, trust)
	if err == nil {
		trust.SetRevoked(s.outcasts().keys())
		trust.SetEnded(s.ended())
	}
	return s, err
}

// takeAll takes statements into a ledger, and returns which are new in it and which were refused. What a root
// has said can be verified once that root is known, which another one of the statements may name.
func (s *statements) takeAll(l *gossip.Ledger, raws [][]byte) (added []gossip.Statement, failed [][]byte) {
	for pending := raws; ; pending = failed {
		failed = nil
		learnt := false
		for _, raw := range pending {
			what := gossip.TakenRefused
			err := s.poison.guard(micronet.NodeID{}, "ledger", func() (err error) { what, err = l.Take(raw); return err })
			if err != nil {
				failed = append(failed, raw)
			}
			if st, _ := l.Lookup(raw); what == gossip.TakenNew {
				added = append(added, st)
				learnt = s.learn(l, &st) || learnt
			}
		}
		if !learnt || len(failed) == 0 {
			return added, failed
		}
	}
}

// learn trusts the root that a statement speaks of, if it does and counts, and reports whether that is news.
func (s *statements) learn(l *gossip.Ledger, st *gossip.Statement) bool {
	if st.Opens.IsZero() || !l.Counts(st) {
		return false
	}
	news, err := learnRoot(s.trust, st.Raw)
	if err != nil {
		s.env.Log.Error("a root of the cluster is not trusted here", "err", err)
	}
	return news && err == nil
}

// read verifies a statement.
func (s *statements) read(raw []byte) (gossip.Statement, error) {
	var wall time.Time
	if s.wall != nil {
		wall = s.wall()
	}
	v, err := s.trust.VerifyStatement(raw, wall)
	var opens micronet.NodeID
	if v.Kind == identity.StatementRoot {
		opens = identity.RootIDOf(v.Body)
	}
	return gossip.Statement{
		Kind: uint8(v.Kind), Subject: string(v.Subject), Clock: uint64(v.Clock), Issuer: v.Issuer, Root: v.Root, Revokes: v.Kind.Permanent(),
		Given: uint64(v.Given), Ends: v.Ends(), Opens: opens,
	}, err
}

// Digest implements gossip.LedgerStore.
func (s *statements) Digest() []byte { return s.held.Load().Digest() }

// Compare implements gossip.LedgerStore.
func (s *statements) Compare(digest []byte) (want []gossip.StatementHash, offer [][]byte, err error) {
	return s.held.Load().Compare(digest)
}

// Among implements gossip.LedgerStore.
func (s *statements) Among(hashes []gossip.StatementHash) [][]byte {
	return s.held.Load().Among(hashes)
}

// Import implements gossip.LedgerStore.
func (s *statements) Import(raws [][]byte) (refused int, err error) {
	added, refused, err := s.take(raws)
	if len(added) <= spreadFetched {
		s.tell(added)
	}
	return refused, err
}

// received takes the statement of a broadcast. It does not block.
func (s *statements) received(raw []byte) {
	if _, known := s.held.Load().Lookup(raw); known {
		return
	}
	select {
	case s.heard <- slices.Clone(raw):
	default:
		s.env.Events.PacketDropped(micronet.PacketDrop{Where: "statements", Why: "queue-full"})
	}
}

// keep takes what was heard by broadcasts until ctx ends, and writes again what could not be written.
func (s *statements) keep(ctx context.Context) error {
	again := time.NewTicker(keepAgain + s.env.Phase)
	defer again.Stop()
	for {
		s.loops.round("statements")
		select {
		case <-ctx.Done():
			return nil
		case first := <-s.heard:
			added, _, err := s.take(s.drain(first))
			s.report(err)
			s.tell(added)
		case <-again.C:
			s.report(s.saveAgain())
		}
	}
}

// drain returns all that waits.
func (s *statements) drain(first []byte) [][]byte {
	raws := [][]byte{first}
	for {
		select {
		case raw := <-s.heard:
			raws = append(raws, raw)
		default:
			return raws
		}
	}
}

// tell broadcasts statements that are new here. What is too long is fetched by who sees that it lacks it.
func (s *statements) tell(added []gossip.Statement) {
	for i := range added {
		if msg := added[i].Message(); msg != nil {
			s.spread(statementKey(&added[i]), msg)
		}
	}
}

// statementKey is that of a broadcast: a newer statement of the issuer takes the place of the older.
func statementKey(st *gossip.Statement) string {
	return "statement/" + string(rune(st.Kind)) + st.Issuer.String() + hex.EncodeToString([]byte(st.Subject))
}

// take takes statements of others over. They are on disk when it returns nil. They count too where the disk
// fails: who was revoked must not stay because a disk is full.
func (s *statements) take(raws [][]byte) (added []gossip.Statement, refused int, err error) {
	added, refused, err = s.adopt(raws)
	if len(added) > 0 {
		s.changed()
	}
	held := s.held.Load()
	if strays := slices.DeleteFunc(slices.Clone(added), func(st gossip.Statement) bool { return held.Counts(&st) }); len(strays) > 0 {
		s.strayed(strays)
	}
	return added, refused, err
}

// adopt does the part of take that needs the turn.
func (s *statements) adopt(raws [][]byte) (added []gossip.Statement, refused int, err error) {
	s.lock()
	defer s.unlock()
	next, added, refused := s.with(raws)
	if len(added) > 0 {
		err = s.save(next)
		s.hold(next)
	}
	return added, refused, err
}

// with returns a ledger that holds some statements besides, and which of them are new in it.
func (s *statements) with(raws [][]byte) (next *gossip.Ledger, added []gossip.Statement, refused int) {
	next = s.held.Load().Clone()
	added, failed := s.takeAll(next, raws)
	for range failed {
		s.env.Events.RecordRefused(micronet.RecordRefusal{Reason: "statement"})
	}
	return next.Freeze(), added, len(failed)
}

// signature makes a statement of this node with a clock above all that are known.
type signature func(identity.Clock) ([]byte, error)

// declare adds statements of this node. Nothing has happened when it fails: not on disk, not in memory.
func (s *statements) declare(ctx context.Context, signs ...signature) error {
	return s.declareOver(ctx, func(*gossip.Ledger) []signature { return signs })
}

// declareOver is declare for statements that depend on what is held.
func (s *statements) declareOver(ctx context.Context, say func(held *gossip.Ledger) []signature) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	added, err := func() ([]gossip.Statement, error) {
		defer s.unlock()
		return s.declareLocked(say(s.held.Load()))
	}()
	if err != nil {
		return err
	}
	s.tell(added)
	s.changed()
	return nil
}

// declareLocked is declare with the turn.
func (s *statements) declareLocked(signs []signature) ([]gossip.Statement, error) {
	if s.gone {
		return nil, micronet.E("node.declare", micronet.Closed, "this node has left its cluster")
	}
	next := s.held.Load().Clone()
	added, err := takeOwn(next, nextClock(identity.Clock(next.Clock()), s.env.Wall()), signs)
	if err != nil {
		return nil, err
	}
	if err := s.save(next.Freeze()); err != nil {
		return nil, err
	}
	s.hold(next)
	return added, nil
}

// takeOwn signs statements with clocks from one on, and takes them into a ledger. All of them must count there.
func takeOwn(l *gossip.Ledger, clock identity.Clock, signs []signature) (added []gossip.Statement, err error) {
	for i, sign := range signs {
		raw, err := sign(clock + identity.Clock(i))
		if err != nil {
			return nil, err
		}
		what, err := l.Take(raw)
		if err != nil {
			return nil, err
		}
		if st, _ := l.Lookup(raw); what == gossip.TakenNew {
			added = append(added, st)
		}
	}
	if slices.ContainsFunc(added, func(st gossip.Statement) bool { return !l.Counts(&st) }) {
		return nil, micronet.E("node.declare", micronet.Refused, "what this node says does not count: its right to sign has ended, or its key was revoked").
			WithFix("run it on another authority, see `micro-net nodes`")
	}
	return added, nil
}

// nextClock is above the newest that is held, unless nobody would take what was said then: this host's clock
// was far ahead once.
func nextClock(newest identity.Clock, wall time.Time) identity.Clock {
	if next := newest.Next(wall); next.Time().Sub(wall) <= identity.MaxClockAhead {
		return next
	}
	return identity.ClockAt(wall)
}

// hold makes a ledger the one that counts. The caller has the turn.
func (s *statements) hold(l *gossip.Ledger) {
	s.held.Store(l)
	s.reset()
}

// save writes the file. The caller has the turn.
func (s *statements) save(l *gossip.Ledger) error {
	if s.gone {
		return nil
	}
	err := s.disk.save(fileStatements, statementsFile{Cluster: s.trust.Cluster().String(), Statements: l.All()})
	s.unsaved = err != nil
	return err
}

// review lets go of what is no statement of the cluster any more, as the root that it leads to was forgotten: others
// refuse it.
func (s *statements) review() error {
	s.lock()
	defer s.unlock()
	wall := s.wall
	defer func() { s.wall = wall }()
	s.wall = nil // as when the file is read
	kept := gossip.NewLedger(s.read)
	_, failed := s.takeAll(kept, s.held.Load().All())
	if len(failed) == 0 {
		return nil
	}
	s.env.Log.Error("some of what authorities said before does not count any more: the root key that it leads to was overtaken by another one",
		"count", len(failed), "fix", "say it again where the root key is, if it is to count")
	err := s.save(kept.Freeze())
	s.hold(kept)
	return err
}

func (s *statements) saveAgain() error {
	s.lock()
	defer s.unlock()
	if !s.unsaved {
		return nil
	}
	return s.save(s.held.Load())
}

// giveUp does what takes the cluster out of the data folder: nothing may put the file back.
func (s *statements) giveUp(remove func() error) error {
	s.lock()
	defer s.unlock()
	err := remove()
	s.gone = s.gone || err == nil
	return err
}

func (s *statements) lock()   { s.turn <- struct{}{} }
func (s *statements) unlock() { <-s.turn }

func (s *statements) report(err error) {
	if err != nil {
		s.env.Events.BackgroundError("node.statements", err)
	}
}

// declare says something about the whole cluster as one of its authorities. It is on disk, counts here and
// is on its way to all others when it returns nil; otherwise nothing was said. Where this node is no
// authority the error is Refused and names one. restate must not call it.
func (l *life) declare(ctx context.Context, op string, kind identity.StatementKind, subject, body []byte) error {
	return l.declareAll(ctx, op, identity.Statement{Kind: kind, Subject: subject, Body: body})
}

// declareAll is declare for several statements, of which all are made or none. Their clocks are chosen here.
func (l *life) declareAll(ctx context.Context, op string, all ...identity.Statement) error {
	a := l.gate.authority.Load()
	if a == nil {
		return backend{l}.noAuthority(op)
	}
	signs := make([]signature, len(all))
	for i, st := range all {
		signs[i] = func(clock identity.Clock) ([]byte, error) {
			st.Clock = clock
			return a.issuer.Load().State(l.env.Wall(), st)
		}
	}
	return l.statements.declare(ctx, signs...)
}

// stated returns of each subject the newest statement of a kind that counts, sorted by subject. A subject
// of which that takes something back is among them.
func (l *life) stated(kind identity.StatementKind) []identity.Statement {
	list := l.statements.held.Load().Of(uint8(kind))
	out := make([]identity.Statement, 0, len(list))
	for i := range list {
		st, err := identity.ParseStatement(list[i].Raw)
		if err != nil {
			l.report("node.statements", err) // it was read when it came
			continue
		}
		st.Issuer, st.Root = list[i].Issuer, list[i].Root
		out = append(out, st)
	}
	return out
}

// restate makes all that the authorities have said count here, after any of it changed and at the start. It
// runs once at a time, and sees what its caller saw.
func (l *life) restate() {
	_ = l.whileStated(func() error {
		for _, part := range []func(){l.restateTrust, l.restateOutcasts, l.restateEnded, l.restateRoots, l.restatePolicies, l.restateNames, l.restateOwn} {
			_ = l.poison.guard(micronet.NodeID{}, "ledger", func() error { part(); return nil }) // the others count all the same
		}
		return nil
	})
}

// whileStated does something while restate makes nothing else count.
func (l *life) whileStated(do func() error) error {
	l.restating <- struct{}{}
	defer func() { <-l.restating }()
	return do()
}
