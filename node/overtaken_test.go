package node

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

// twoRoots is a mesh of which two nodes have the root key, each with one more on its side.
func (b *bubble) twoRoots() []*simNode {
	b.t.Helper()
	all := b.mesh("a", "b", "c", "d")
	if err := all[1].backend().ImportRoot(exported(b.t, all[0])); err != nil {
		b.t.Fatal(err)
	}
	b.await(10*time.Second, "a knows that b has the key", func() error { return showsRoot(all[0], "b") })
	return all
}

// apart is twoRoots of which each root key is alone with one more node, until heal.
func (b *bubble) apart() (all []*simNode, heal func()) {
	b.t.Helper()
	all = b.twoRoots()
	heal = b.world.Partition([]*netsim.Host{all[0].host, all[2].host}, []*netsim.Host{all[1].host, all[3].host})
	b.await(time.Minute, "a is alone with c", b.seen("b", micronet.Dead, "a", "c"))
	b.await(time.Minute, "b is alone with d", b.seen("a", micronet.Dead, "b", "d"))
	return all, heal
}

// replace has nodes replace the root key, each after the one before has done so.
func (b *bubble) replace(nodes ...*simNode) {
	b.t.Helper()
	for _, n := range nodes {
		b.rotate(n)
		b.await(4*time.Minute, n.host.Name()+" has replaced it", b.over(n))
	}
}

// moved checks that nodes have certificates under the root that one of them has the key of, and that no other has one.
func (b *bubble) moved(winner *simNode, all ...*simNode) func() error {
	return func() error {
		root := winner.life().pass.root.Load()
		for _, n := range all {
			l := n.life()
			if h, m := l.heir.Load(), l.pass.member(); root == nil || h == nil || h.key != m.Origin() || h.key != identity.KeyIDOf(root.Certificate) {
				return fmt.Errorf("%s is under another root", n.host.Name())
			}
			if n != winner && (l.pass.root.Load() != nil || l.pass.next.Load() != nil) {
				return fmt.Errorf("%s has a root key", n.host.Name())
			}
		}
		return b.over(winner)()
	}
}

// TestQ8_RootReplacedTwiceAtOnce: two nodes that have the root key replace it while they cannot hear each other, and meet
// again before or after any of that has ended. One root goes on, everybody moves to it, and whoever lost deletes its
// keys, says so and takes the other one.
func TestQ8_RootReplacedTwiceAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name        string
		late, apart time.Duration // when the second one begins, and how long they are apart then
		winner      int
	}{
		{"at once, and they meet when both have ended", 0, 3 * time.Minute, 0},
		{"they meet when both are announced", 20 * time.Second, 10 * time.Second, 1},
		{"the first has ended when the second begins", 90 * time.Second, 10 * time.Second, 0},
		{"the second is about to sign when the first ends", 70 * time.Second, 65 * time.Second, 0},
		{"one after the other, and they meet when both have ended", 5 * time.Minute, 3 * time.Minute, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, 421, func(t *testing.T, b *bubble) {
				all, heal := b.apart()
				b.rotate(all[0])
				time.Sleep(tc.late)
				b.rotate(all[1])
				time.Sleep(tc.apart)
				heal()
				winner, loser := all[tc.winner], all[1-tc.winner]
				b.await(5*time.Minute, "all have moved", b.moved(winner, all...))
				b.await(time.Minute, "all see all", b.alive(4, all...))
				for _, n := range all {
					onlyOneRoot(t, n)
				}
				loser = b.givenWay(winner, loser)
				b.powerCut(loser)
				loser = b.start(loser.host.Name(), "")
				b.await(20*time.Second, "it is back", b.alive(4, loser))
				if codesOf(loser, "root-overtaken") != "" {
					t.Error("it warns again")
				}
			})
		})
	}
}

// onlyOneRoot checks that of all roots that a node trusts the one that goes on has not ended, and no other one.
func onlyOneRoot(t *testing.T, n *simNode) {
	t.Helper()
	l := n.life()
	for _, root := range l.pass.trust.Roots() {
		if ended := l.pass.trust.Ended(identity.RootIDOf(root), time.Time{}); ended == (identity.KeyIDOf(root) == l.heir.Load().key) {
			t.Errorf("%s: a root has ended: %v", n.host.Name(), ended)
		}
	}
}

// givenWay checks what a node says and has whose root key was overtaken, and that the one that counts can be brought there.
func (b *bubble) givenWay(winner, loser *simNode) *simNode {
	b.t.Helper()
	for _, name := range []string{fileRootKey, fileNextRoot, fileRootKey + spareSuffix, fileNextRoot + spareSuffix} {
		if _, found, _ := loser.node.disk.loadRaw(name); found {
			b.t.Errorf("%s is on disk", name)
		}
	}
	kept := 0
	for _, name := range []string{fileRootKey, fileNextRoot} {
		if _, found, _ := loser.node.disk.loadRaw(name + formerSuffix); found {
			kept++
		}
	}
	if kept == 0 {
		b.t.Error("the key that was overtaken is kept nowhere")
	}
	w, some := loser.life().overtakenWarning()
	if !some || codesOf(loser, w.Code) == "" {
		b.t.Fatal("there is no warning")
	}
	contains(b.t, "the fix", w.Fix, "micro-net node root import FILE")
	if codesOf(winner, w.Code) != "" {
		b.t.Error("the winner warns")
	}
	b.powerCut(loser)
	loser = b.start(loser.host.Name(), "")
	b.await(20*time.Second, "it is back", b.alive(4, loser))
	if codesOf(loser, w.Code) == "" {
		b.t.Error("after a restart it does not warn any more")
	}
	if err := loser.backend().ImportRoot(exported(b.t, winner)); err != nil {
		b.t.Fatal(err)
	}
	if codesOf(loser, w.Code) != "" || b.invite(loser) == "" {
		b.t.Error("with the root key that counts it warns on")
	}
	return loser
}

// TestRootReplacedElsewhere: a node that has the root key moves like all others when another one replaces it, begins no
// replacement of its own meanwhile, and has no root key at the end.
func TestRootReplacedElsewhere(t *testing.T) {
	inBubble(t, 422, func(t *testing.T, b *bubble) {
		all := b.twoRoots()
		b.rotate(all[0])
		time.Sleep(5 * time.Second)
		_, err := all[1].backend().RotateRoot(t.Context(), api.RotateRequest{})
		wantError(t, "at the same time", err, micronet.Refused, "another host replaces the root key already", "--status", "--yes")
		b.await(5*time.Minute, "all have moved", b.moved(all[0], all...))
	})
}

// TestOvertakenWords: what was said in the name of a root key that nobody else has heard of counts nowhere once that was
// overtaken: all hold the same again.
func TestOvertakenWords(t *testing.T) {
	inBubble(t, 424, func(t *testing.T, b *bubble) {
		all, heal := b.apart()
		b.replace(all[0], all[1])
		b.apply(all[1], noC)
		b.revoke(all[1], api.Revocation{Node: "c"})
		heal()
		b.await(5*time.Minute, "all have moved", b.moved(all[0], all...))
		b.await(time.Minute, "all see all", b.alive(4, all...))
		b.await(time.Minute, "all hold the same", func() error {
			for _, n := range all {
				l := n.life()
				if len(l.stated(identity.StatementPolicy)) > 0 || len(l.outcasts.Load().revoked) > 0 {
					return fmt.Errorf("%s holds the word of a root that is none", n.host.Name())
				}
				if !bytes.Equal(l.statements.Digest(), all[0].life().statements.Digest()) {
					return fmt.Errorf("%s holds something else", n.host.Name())
				}
			}
			return nil
		})
	})
}

// TestOvertakenAtTheStart: a crash after what ends a root key is on disk, and before that key is given up, leaves what
// the next start gives up.
func TestOvertakenAtTheStart(t *testing.T) {
	for name, late := range map[string]time.Duration{"announced": 3 * time.Second, "about to sign": 65 * time.Second, "replaced": 4 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 423, func(t *testing.T, b *bubble) {
				all, heal := b.apart()
				b.replace(all[0])
				b.rotate(all[1])
				time.Sleep(late)
				before := all[1].host.Disk().Snapshot()
				heal()
				b.await(5*time.Minute, "all have moved", b.moved(all[0], all...))
				said, _, err := all[1].node.disk.loadRaw(fileStatements)
				if err != nil {
					t.Fatal(err)
				}
				b.powerCut(all[1])
				all[1].host.Disk().Restore(before)
				if err := (disk{fs: all[1].host.FS(), dir: testDir}).write(fileStatements, said); err != nil {
					t.Fatal(err)
				}
				all[1] = b.start("b", "")
				b.await(5*time.Minute, "it has moved again", b.moved(all[0], all...))
				b.await(time.Minute, "all see all", b.alive(4, all...))
				b.givenWay(all[0], all[1])
			})
		})
	}
}

// TestPromotedUnderAForgottenRoot: who was made an authority by a root that nobody trusts any more is a member like all
// others, says so, and starts as such; the root that counts can make it one again.
func TestPromotedUnderAForgottenRoot(t *testing.T) {
	for _, name := range []string{"b", "d"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 425, func(t *testing.T, b *bubble) {
				all, heal := b.apart()
				b.replace(all[0], all[1])
				b.promote(all[1], name)
				heal()
				b.await(5*time.Minute, "all have moved", b.moved(all[0], all...))
				b.await(time.Minute, "it says so", warns(b.nodes[name], "promotion-void"))
				b.powerCut(b.nodes[name])
				n := b.start(name, "")
				b.await(20*time.Second, "it is back", b.alive(4, n))
				if n.life().gate.authority.Load() != nil || codesOf(n, "promotion-void") == "" {
					t.Error("it signs, or does not say why it does not")
				}
				b.await(20*time.Second, "it is promoted again", func() error { // the tunnel from before may still be there
					_, err := all[0].backend().Promote(t.Context(), api.PromoteRequest{Node: name})
					return err
				})
				b.invite(n)
			})
		})
	}
}

// TestMemberUnderAForgottenRoot: a node that does not come back with another certificate is told from one that counts.
func TestMemberUnderAForgottenRoot(t *testing.T) {
	inBubble(t, 426, func(t *testing.T, b *bubble) {
		all, heal := b.apart()
		b.replace(all[0], all[1])
		b.powerCut(all[1])
		heal()
		b.await(5*time.Minute, "all others have moved", b.moved(all[0], all[0], all[2], all[3]))
		if why := all[3].life().whyVoid(all[1].node.ID()); why == "" {
			t.Error("it does not say that the certificate of b counts no more")
		}
		b.await(20*time.Second, "b is back", b.alive(4, b.start("b", "")))
		b.await(time.Minute, "b has another certificate", func() error {
			if why := all[3].life().whyVoid(all[1].node.ID()); why != "" {
				return fmt.Errorf("%s", why)
			}
			return nil
		})
	})
}

// TestOvertakenWithAFullDisk: keys that could not be put aside are once there is room, and before another one is imported.
func TestOvertakenWithAFullDisk(t *testing.T) {
	inBubble(t, 427, func(t *testing.T, b *bubble) {
		all, heal := b.apart()
		b.replace(all[0], all[1])
		all[1].host.Disk().SetFault(func(op, path string) error {
			if strings.Contains(path, formerSuffix) || strings.Contains(path, fileOvertaken) {
				return netsim.DiskFull(op, path)
			}
			return nil
		})
		heal()
		b.await(5*time.Minute, "all have moved", b.moved(all[0], all...))
		there := func() bool { _, found, _ := all[1].node.disk.loadRaw(fileRootKey); return found }
		if !there() {
			t.Error("the key is gone, and kept nowhere")
		}
		if err := all[1].backend().ImportRoot(exported(t, all[0])); err == nil {
			t.Error("another key takes its place")
		}
		all[1].host.Disk().SetFault(nil)
		b.await(time.Minute, "it is put aside", func() error {
			if there() {
				return fmt.Errorf("%s is there", fileRootKey)
			}
			return nil
		})
		b.givenWay(all[0], all[1])
	})
}

// TestKeyOfAForgottenRoot: a root key that was overtaken, and whose root is not trusted any more, does not keep the node
// from starting. It is kept.
func TestKeyOfAForgottenRoot(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	next, err := e.pass.root.Load().Succeed(e.env.Entropy, e.env.Wall())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.d.saveRaw(fileRootKey, next.MarshalKey()); err != nil {
		t.Fatal(err)
	}
	p, err := loadPassport(e.env, e.d, e.keys)
	if err != nil || p.root.Load() != nil {
		t.Fatalf("it is used, or refused: %v", err)
	}
	contains(t, "the diary", strings.Join(e.d.diary.mends(), "\n"), "of no root that this node trusts", fileRootKey+formerSuffix)
	if kept, err := e.d.fs.ReadFile(e.d.path(fileRootKey + formerSuffix)); err != nil || !bytes.Equal(kept, next.MarshalKey()) {
		t.Errorf("it is not kept: %v", err)
	}
	for _, name := range []string{fileRootKey, fileRootKey + spareSuffix} {
		if _, found, _ := e.d.loadRaw(name); found {
			t.Errorf("%s is there", name)
		}
	}
}

// TestEndsInFavourOfTheHeir: a host that learns that another replacement goes on, just as it is about to end the root in
// favour of its own, does not.
func TestEndsInFavourOfTheHeir(t *testing.T) {
	inBubble(t, 428, func(t *testing.T, b *bubble) {
		all := b.twoRoots()
		b.rotate(all[0])
		l := all[0].life()
		next, root := l.pass.next.Load(), l.pass.root.Load()
		other, err := root.Succeed(l.env.Entropy, l.env.Wall())
		if err != nil {
			t.Fatal(err)
		}
		signer, err := l.pass.trust.RootAuthority(*root, l.env.Entropy)
		if err != nil {
			t.Fatal(err)
		}
		said, err := signer.Announce(l.env.Wall(), identity.Clock(l.statements.held.Load().Clock()+1), other)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		if err := l.whileStated(func() error { // it is held, and its effects wait
			_, _, err := l.statements.adopt([][]byte{said})
			go func() { done <- l.retire(t.Context(), next) }()
			synctest.Wait()
			return err
		}); err != nil {
			t.Fatal(err)
		}
		wantError(t, "the end", <-done, micronet.Refused, "another host has replaced the root key")
		if l.pass.trust.Ended(root.ID(), time.Time{}) {
			t.Error("the root has ended")
		}
		l.pass.next.Store(next)
		l.pass.root.Store(nil)
		if err := l.goOn(t.Context()); err != nil {
			t.Errorf("it goes on without a root key: %v", err)
		}
	})
}

// TestNoMoreRootsThanFit: roots that were overtaken take up room, and a root that nobody could trust is not made.
func TestNoMoreRootsThanFit(t *testing.T) {
	inBubble(t, 429, func(t *testing.T, b *bubble) {
		l := b.mesh("a")[0].life()
		roots := l.pass.trust.Roots()
		for len(roots) < identity.MaxRoots {
			other, err := l.pass.root.Load().Succeed(l.env.Entropy, l.env.Wall())
			if err != nil {
				t.Fatal(err)
			}
			roots = append(roots, other.Certificate)
		}
		if err := l.pass.trust.SetRoots(roots...); err != nil {
			t.Fatal(err)
		}
		_, err := backend{l}.RotateRoot(t.Context(), api.RotateRequest{})
		wantError(t, "one more", err, micronet.Refused, "8 root keys")
		if l.pass.next.Load() != nil {
			t.Error("it was made")
		}
	})
}

// TestHeirs: of two roots that took over from the same one the end of that decides, and before there is one the last that
// was announced. Whatever a root says that lost counts for nothing, and it is forgotten unless it was named in time.
func TestHeirs(t *testing.T) {
	entropy := rand.NewChaCha8([32]byte{1})
	first, err := identity.NewRoot(entropy, "c", time.Unix(1000, 0))
	if err != nil {
		t.Fatal(err)
	}
	succeed := func(r identity.Root) identity.Root {
		next, err := r.Succeed(entropy, time.Unix(1000, 0))
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	a, b := succeed(first), succeed(first)
	a2, b2 := succeed(a), succeed(b)
	clock := identity.Clock(0)
	says := func(by, of identity.Root, ends bool) identity.Statement {
		clock++
		hash := of.Hash()
		st := identity.Statement{Kind: identity.StatementRoot, Subject: hash[:], Clock: clock, Body: of.Certificate, Issuer: by.ID()}
		if ends {
			st.Subject = binary.BigEndian.AppendUint64(st.Subject, uint64(clock))
		}
		return st
	}
	saysA, saysB, saysB2, endsA, saysA2, endsB := says(first, a, false), says(first, b, false), says(b, b2, false), says(first, a, true), says(a, a2, false), says(b, b2, true)
	all := []identity.Root{first, a, b, a2, b2}
	for name, tc := range map[string]struct {
		list []identity.Statement
		heir identity.Root
		left []identity.Root
	}{
		"both announced":      {[]identity.Statement{saysA, saysB}, b, all},
		"one has ended it":    {[]identity.Statement{saysA, saysB, endsA}, a, []identity.Root{first, a, b, a2}},
		"the loser goes on":   {[]identity.Statement{saysA, saysB, saysB2, endsA}, a, all},
		"the loser ends":      {[]identity.Statement{saysA, saysB, endsA, endsB}, a, []identity.Root{first, a, b, a2, b2}},
		"announced too late":  {[]identity.Statement{saysA, endsA}, a, []identity.Root{first, a, a2}},
		"by one that is not":  {[]identity.Statement{saysA, saysB2, endsA}, a, []identity.Root{first, a, a2}},
		"the winner goes on":  {[]identity.Statement{saysA, endsA, saysA2}, a2, []identity.Root{first, a, a2}},
		"the end alone":       {[]identity.Statement{endsA}, a, []identity.Root{first, a, a2}},
		"the loser was later": {[]identity.Statement{saysB, saysB2, saysA, endsA}, a, all},
	} {
		trust, err := identity.NewTrust(first.Cluster, certificates(all)...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := forgetRoots(trust, tc.list); err != nil {
			t.Fatal(err)
		}
		if got := trust.Roots(); !slices.EqualFunc(got, certificates(tc.left), bytes.Equal) {
			t.Errorf("%s: %d roots are left, want %d", name, len(got), len(tc.left))
		}
		if h := heirOf(tc.list); h.key != identity.KeyIDOf(tc.heir.Certificate) {
			t.Errorf("%s: another root goes on", name)
		}
		if st := newestWord(tc.list); !bytes.Equal(st.Body, tc.heir.Certificate) {
			t.Errorf("%s: the newest word is of another root", name)
		}
	}
}

func certificates(roots []identity.Root) (out [][]byte) {
	for _, r := range roots {
		out = append(out, r.Certificate)
	}
	return out
}
