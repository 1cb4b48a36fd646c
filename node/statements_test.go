package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/sim/netsim"
)

// testWord is a kind of statement that no part of a node knows.
const testWord identity.StatementKind = 200

// kindOf is testWord, but for subjects like x7, which are settings that mean nothing: roots repeat what they know.
func kindOf(subject string) identity.StatementKind {
	if len(subject) > 1 && subject[0] == 'x' {
		return identity.StatementSetting
	}
	return testWord
}

// says makes an authority state something.
func (b *bubble) says(n *simNode, subject, body string) {
	b.t.Helper()
	if err := n.life().declare(context.Background(), "test", kindOf(subject), []byte(subject), []byte(body)); err != nil {
		b.t.Fatal(err)
	}
}

// knows checks what a node holds as the newest word about a subject.
func knows(subject, body string, by ...*simNode) func() error {
	return func() error {
		for _, n := range by {
			list := n.life().stated(kindOf(subject))
			i := slices.IndexFunc(list, func(s identity.Statement) bool { return string(s.Subject) == subject })
			if i < 0 || string(list[i].Body) != body {
				return fmt.Errorf("%s holds %v", n.host.Name(), list)
			}
		}
		return nil
	}
}

// What an authority says reaches all who can be reached within a second, who is cut off once it is back, and
// newcomers; a word that is too long for a packet as well.
func TestStatementsReachEverybody(t *testing.T) {
	inBubble(t, 60, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c", "d")
		b.world.Partition([]*netsim.Host{all[0].host, all[1].host}, []*netsim.Host{all[2].host, all[3].host})
		long := string(make([]byte, identity.MaxStatementBody))
		b.says(all[0], "short", "1")
		b.says(all[0], "short", "2")
		if err := knows("short", "2", all[0])(); err != nil {
			t.Errorf("it does not count yet when declare returns: %v", err)
		}
		b.await(time.Second, "b knows the short one", knows("short", "2", all[1]))
		b.says(all[0], "long", long)
		b.await(3*time.Second, "b knows the long one", knows("long", long, all[1]))
		time.Sleep(time.Minute)
		if len(all[2].life().stated(testWord)) > 0 {
			t.Error("c knows it across the partition")
		}
		b.world.Heal()
		b.await(12*time.Second, "c and d know both", func() error {
			if err := knows("short", "2", all[2:]...)(); err != nil {
				return err
			}
			return knows("long", long, all[2:]...)()
		})
		e := b.start("e", b.invite(all[0]))
		if err := knows("short", "2", e)(); err != nil {
			t.Errorf("a newcomer is ready: %v", err)
		}
	})
}

// What was said survives restarts of all, and nobody else needs to be there for that.
func TestStatementsSurviveRestarts(t *testing.T) {
	inBubble(t, 61, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.says(all[0], "x", "1")
		b.await(time.Second, "b knows it", knows("x", "1", all[1]))
		b.crash(all[0])
		b.powerCut(all[1])
		b.start("b", "")
		if err := knows("x", "1", all[1])(); err != nil {
			t.Error(err)
		}
		// Whatever the host's clock says now.
		b.halt(all[1])
		all[1].host.StepWall(-24 * time.Hour)
		b.start("b", "")
		if err := knows("x", "1", all[1])(); err != nil {
			t.Errorf("with the clock set back: %v", err)
		}
	})
}

// Only an authority can speak for the cluster; others name one.
func TestOnlyAuthoritiesState(t *testing.T) {
	inBubble(t, 62, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		err := all[1].life().declare(context.Background(), "policy", testWord, []byte("x"), nil)
		wantError(t, "at b", err, micronet.Refused, "policy", "no authority", "run it on a")
	})
}

// TestDeclareCounts: who says what does not count is told so, and nothing was said.
func TestDeclareCounts(t *testing.T) {
	inBubble(t, 437, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.promote(all[0], "b")
		b.await(10*time.Second, "b signs", b.signing(all[0], "b"))
		right := all[1].life().gate.authority.Load()
		b.demote(all[0], "b")
		b.await(10*time.Second, "b knows", func() error {
			if all[1].life().gate.authority.Load() != nil {
				return fmt.Errorf("it signs")
			}
			return nil
		})
		all[1].life().gate.authority.Store(right) // it was asked for before that
		held := all[1].life().statements.held.Load().Len()
		err := all[1].life().declare(t.Context(), "test", testWord, []byte("y"), nil)
		wantError(t, "declare", err, micronet.Refused, "does not count")
		if all[1].life().statements.held.Load().Len() != held {
			t.Error("it was said all the same")
		}
	})
}

// What cannot be written was not said. What others say counts all the same, and is written once the disk
// takes it.
func TestStatementsAndFullDisks(t *testing.T) {
	inBubble(t, 63, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		all[0].host.Disk().SetFault(netsim.DiskFull)
		err := all[0].life().declare(context.Background(), "test", testWord, []byte("x"), []byte("1"))
		wantError(t, "declare", err, micronet.Refused, "no space")
		time.Sleep(10 * time.Second)
		for _, n := range all {
			if got := n.life().stated(testWord); len(got) > 0 {
				t.Errorf("%s holds %v", n.host.Name(), got)
			}
		}
		all[0].host.Disk().SetFault(nil)
		all[1].host.Disk().SetFault(netsim.DiskFull)
		b.says(all[0], "x", "2")
		b.await(time.Second, "all know it", knows("x", "2", all...))
		all[1].host.Disk().SetFault(nil)
		time.Sleep(keepAgain + time.Second)
		b.crash(all[0])
		b.crash(all[2])
		b.powerCut(all[1])
		b.start("b", "")
		if err := knows("x", "2", all[1])(); err != nil {
			t.Errorf("after a restart: %v", err)
		}
	})
}

// A file that is torn, flipped, or of another cluster stops the start and stays as it is, where there is no spare.
func TestStatementsFileIsChecked(t *testing.T) {
	inBubble(t, 64, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		b.says(a, "x", "1")
		b.halt(a)
		path := testDir + "/" + fileStatements
		whole, err := a.host.FS().ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		foreign, err := json.Marshal(statementsFile{Cluster: "00000000000000000000000000000001", Statements: [][]byte{}})
		if err != nil {
			t.Fatal(err)
		}
		envelope, err := seal(diskFormat, foreign)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.host.FS().Remove(path + spareSuffix); err != nil {
			t.Fatal(err)
		}
		flipped := slices.Clone(whole)
		flipped[len(flipped)/2] ^= 1
		for what, raw := range map[string][]byte{"torn": whole[:len(whole)-1], "empty": {}, "flipped": flipped, "foreign": envelope} {
			if err := micronet.WriteFile(a.host.FS(), path, raw, secretPerm); err != nil {
				t.Fatal(err)
			}
			wantError(t, what, b.ended(b.launch("a", ""), 30*time.Second), micronet.Invalid, fileStatements, "cannot be used")
			if now, err := a.host.FS().ReadFile(path); err != nil || !slices.Equal(now, raw) {
				t.Errorf("%s: the file is another one now, %v", what, err)
			}
		}
		if err := micronet.WriteFile(a.host.FS(), path, whole, secretPerm); err != nil {
			t.Fatal(err)
		}
		b.start("a", "")
		if err := knows("x", "1", a)(); err != nil {
			t.Error(err)
		}
	})
}

// A word that no authority signed, or that is ahead of the time, is neither kept nor passed on, and the
// right one still counts.
func TestForgedStatementsAreRefused(t *testing.T) {
	inBubble(t, 65, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		l := all[0].life()
		early, err := l.gate.authority.Load().issuer.Load().State(l.env.Wall(), identity.Statement{
			Kind: testWord, Subject: []byte("x"), Clock: identity.ClockAt(l.env.Wall().Add(time.Hour)), Body: []byte("early"),
		})
		if err != nil {
			t.Fatal(err)
		}
		b.says(all[0], "x", "1")
		forged := slices.Clone(l.statements.held.Load().All()[0])
		forged[len(forged)-1] ^= 1
		for _, raw := range [][]byte{early, forged, {1}, {}} {
			st := gossip.Statement{Kind: uint8(testWord), Raw: raw}
			l.spread("forged", st.Message())
			time.Sleep(time.Second)
		}
		if refused, err := all[1].life().statements.Import([][]byte{early, forged, {1}, {}}); refused != 4 || err != nil {
			t.Errorf("%d of 4 were refused, %v", refused, err)
		}
		if n := all[1].life().statements.held.Load().Len(); n != 1 {
			t.Errorf("b holds %d statements", n)
		}
		b.await(time.Second, "b knows the right one", knows("x", "1", all[1]))
	})
}

// Who left its cluster takes no word of it along.
func TestStatementsStayWithTheCluster(t *testing.T) {
	inBubble(t, 66, func(t *testing.T, b *bubble) {
		lonely := b.start("c", "", func(c *Config) { c.Cluster = "other" })
		b.says(lonely, "x", "1")
		all := b.mesh("a", "b")
		b.says(all[0], "y", "2")
		if err := lonely.backend().Join(context.Background(), b.invite(all[0])); err != nil {
			t.Fatal(err)
		}
		b.await(20*time.Second, "it knows the word of its new cluster alone", func() error {
			if lonely.life() == nil {
				return fmt.Errorf("between two lives: %v", lonely.err)
			}
			if got := lonely.life().stated(testWord); len(got) != 1 || string(got[0].Subject) != "y" {
				return fmt.Errorf("it holds %v", got)
			}
			return nil
		})
	})
}

// TestStatementsOfANewRoot: a node that knows the former root alone takes all that a cluster's ledger holds in one
// go, in whatever order, from disk and from a peer: what the new root has signed too.
func TestStatementsOfANewRoot(t *testing.T) {
	inBubble(t, 67, func(t *testing.T, b *bubble) {
		env := b.host("x").Env()
		root, next := twoRoots(t, env)
		whole := stateAs(t, env, root, next)
		for what, order := range map[string]func([][]byte){"as told": func([][]byte) {}, "the other way": slices.Reverse[[][]byte]} {
			trust, err := identity.NewTrust(root.Cluster, root.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			d := disk{fs: env.FS, dir: testDir + "/" + what, diary: &diary{report: func(string, error) {}}}
			if err := env.FS.MkdirAll(d.dir, folderPerm); err != nil {
				t.Fatal(err)
			}
			s, err := loadStatements(env, d, trust)
			if err != nil {
				t.Fatal(err)
			}
			s.spread, s.changed, s.strayed = func(string, []byte) {}, func() {}, func([]gossip.Statement) {}
			raws := slices.Clone(whole)
			order(raws)
			if refused, err := s.Import(raws[:len(raws):len(raws)]); refused > 0 || err != nil || len(trust.Roots()) != 2 {
				t.Errorf("%s: %d of %d were refused, %v; %d roots", what, refused, len(raws), err, len(trust.Roots()))
			}
			if got := s.held.Load().All(); !slices.EqualFunc(got, whole, slices.Equal) {
				t.Errorf("%s: it tells others of %d statements in another order", what, len(got))
			}
			if err := d.save(fileStatements, statementsFile{Cluster: root.Cluster.String(), Statements: raws}); err != nil {
				t.Fatal(err)
			}
			trust, err = identity.NewTrust(root.Cluster, root.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			if s, err = loadStatements(env, d, trust); err != nil || s.held.Load().Len() != len(whole) || len(trust.Roots()) != 2 {
				t.Errorf("%s: from disk: %v, %d of %d, %d roots", what, err, s.held.Load().Len(), len(whole), len(trust.Roots()))
			}
		}
	})
}

// twoRoots are that of a cluster and the one that takes its place.
func twoRoots(t *testing.T, env micronet.Env) (root, next identity.Root) {
	t.Helper()
	root, err := identity.NewRoot(env.Entropy, "main", env.Wall())
	if err == nil {
		next, err = root.Succeed(env.Entropy, env.Wall())
	}
	if err != nil {
		t.Fatal(err)
	}
	return root, next
}

// stateAs makes what a ledger holds after a rotation, as it is told: the new root, a key that this one has
// revoked, and its word.
func stateAs(t *testing.T, env micronet.Env, root, next identity.Root) (raws [][]byte) {
	t.Helper()
	former, err := root.Authority(env.Entropy)
	if err != nil {
		t.Fatal(err)
	}
	heir, err := next.Authority(env.Entropy)
	if err != nil {
		t.Fatal(err)
	}
	now := env.Wall()
	clock := identity.ClockAt(now)
	add := func(raw []byte, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw)
	}
	add(former.Announce(now, clock, next))
	add(heir.State(now, identity.Statement{Kind: testWord, Subject: []byte("x"), Clock: clock + 2, Body: []byte("1")}))
	add(heir.Revoke(now, clock+1, micronet.NodeID{1}, identity.Revocation{When: now}, false))
	return raws
}

// A fault while something is declared, which is caught above, gives the turn back.
func TestDeclareGivesItsTurnBack(t *testing.T) {
	s := &statements{turn: make(chan struct{}, 1)}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no fault")
			}
		}()
		_ = s.declareOver(t.Context(), func(*gossip.Ledger) []signature { panic("a fault") })
	}()
	if len(s.turn) != 0 {
		t.Error("the turn is held")
	}
}
