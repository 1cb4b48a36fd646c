package node

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
)

const phrase = "a long enough phrase"

// TestRootKeyComesAndGoes: exported, taken off the host, brought back, also on another host. Who has it
// signs, and others know.
func TestRootKeyComesAndGoes(t *testing.T) {
	inBubble(t, 91, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		a, o := all[0], all[1]
		if codesOf(a, "one-authority") == "" {
			t.Error("a cluster that hangs on one key is not warned of")
		}
		_, err := o.backend().ExportRoot(phrase)
		wantError(t, "export elsewhere", err, micronet.Refused, "no authority", "run it on a")
		_, err = a.backend().ExportRoot("short")
		wantError(t, "short passphrase", err, micronet.Invalid, "at least 12")
		sealed, err := a.backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		if codesOf(a, "one-authority") == "" {
			t.Error("it does not warn although nobody has said that the file was written")
		}
		q := api.SealedRoot{Root: sealed.Root, Passphrase: phrase}
		wantError(t, "a file that was not read back", a.backend().RootKept(api.SealedRoot{Root: sealed.Root[:50], Passphrase: phrase}), micronet.Invalid)
		if err := a.backend().RootKept(q); err != nil {
			t.Fatal(err)
		}
		if codesOf(a, "one-authority") != "" {
			t.Error("it warns although the key is kept elsewhere")
		}
		wantError(t, "the last authority, before there is a file", a.backend().RemoveRoot(api.RootRemoval{Check: true}), micronet.Refused, "nobody could invite nodes")
		if err := a.backend().RemoveRoot(api.RootRemoval{Check: true, Force: true}); err != nil || a.life().pass.root.Load() == nil {
			t.Errorf("a question takes the key away, or is refused: %v", err)
		}
		r := api.RootRemoval{SealedRoot: api.SealedRoot{Root: sealed.Root, Passphrase: phrase}}
		wantError(t, "the last authority", a.backend().RemoveRoot(r), micronet.Refused, "nobody could invite nodes, renew certificates or revoke", "node promote")
		wrong := r
		wrong.Passphrase, wrong.Force = "another long phrase", true
		wantError(t, "wrong passphrase", a.backend().RemoveRoot(wrong), micronet.Unauthorized, "does not open")
		r.Force = true
		if err := a.backend().RemoveRoot(r); err != nil {
			t.Fatal(err)
		}
		if _, found, _ := a.node.disk.loadRaw(fileRootKey); found {
			t.Error("the key is still on disk")
		}
		_, err = a.backend().Invite(api.InviteRequest{})
		wantError(t, "invite without the key", err, micronet.Refused, "no authority")
		wantError(t, "renewal without the key", o.life().ask(t.Context(), a.node.ID(), controlRequest{Verb: verbRenew}, nil), micronet.Refused, "no authority")
		b.await(10*time.Second, "nobody takes a for an authority", none(o))

		wantError(t, "garbage", o.backend().ImportRoot(api.SealedRoot{Root: []byte("x"), Passphrase: phrase}), micronet.Invalid, "no exported root key")
		if err := o.backend().ImportRoot(api.SealedRoot{Root: sealed.Root, Passphrase: phrase}); err != nil {
			t.Fatal(err)
		}
		b.await(10*time.Second, "a knows that b signs", func() error {
			return b.onlyAuthority(a, o)
		})
		b.start("d", b.invite(o))
		b.await(15*time.Second, "all see all", b.alive(4, append(all, b.nodes["d"])...))
		// Names that the other authority gave are taken.
		n := b.start("late", b.invite(o), func(c *Config) { c.Env.Host.Name = "a" })
		if got := n.backend().Status().Node.Name; got != "a-2" {
			t.Errorf("it is called %s, want a-2", got)
		}
		b.halt(o)
		o = b.start("b", "")
		b.await(15*time.Second, "after a restart it signs", func() error { return b.onlyAuthority(a, o) })
	})
}

func none(by *simNode) func() error {
	return func() error {
		if n := len(by.life().authorities()); n != 0 {
			return micronet.E("test", micronet.Internal, "it knows %d authorities", n)
		}
		return nil
	}
}

// onlyAuthority checks whom a node takes for an authority.
func (b *bubble) onlyAuthority(by, want *simNode) error {
	ids := by.life().authorities()
	if len(ids) != 1 || ids[0] != want.node.ID() {
		return micronet.E("test", micronet.Internal, "it knows %v", ids)
	}
	return nil
}

// TestForeignRootIsRefused: the root key of another cluster is of no use here.
func TestForeignRootIsRefused(t *testing.T) {
	inBubble(t, 92, func(t *testing.T, b *bubble) {
		a, o := b.start("a", ""), b.start("o", "")
		sealed, err := o.backend().ExportRoot(phrase)
		if err != nil {
			t.Fatal(err)
		}
		q := api.SealedRoot{Root: sealed.Root, Passphrase: phrase}
		wantError(t, "import", a.backend().ImportRoot(q), micronet.Refused, "the file holds the root key of the cluster", "this node is in")
		wantError(t, "remove", a.backend().RemoveRoot(api.RootRemoval{SealedRoot: q, Force: true}), micronet.Refused, "another cluster")
		if a.life().pass.root.Load() == nil {
			t.Error("the node's own key is gone")
		}
	})
}

// TestQ7_IssuanceLogOnDisk: everything that is issued is in the log before it leaves, over restarts;
// a torn end is cut off, and a log that was changed goes on after the last sound line, and says so for good.
func TestQ7_IssuanceLogOnDisk(t *testing.T) {
	inBubble(t, 93, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		a := all[0]
		b.later(9 * day)
		b.await(time.Minute, "b is renewed", b.renewed(all[1], a.host.Env().Wall().Add(10*day)))
		b.await(time.Minute, "a is renewed", b.renewed(a, a.host.Env().Wall().Add(10*day)))
		want := []string{"found a", "join b", "renewal ", "renewal "}
		check := func(when string) {
			t.Helper()
			log, err := a.backend().Issuances()
			if err != nil || log.Fault != "" || len(log.Issued) != len(want) {
				t.Fatalf("%s: %+v, %v", when, log, err)
			}
			for i, e := range log.Issued {
				if e.Number != uint64(i+1) || !strings.HasPrefix(e.What+" "+e.Node, want[i]) {
					t.Errorf("%s: line %d is %+v, want %s", when, i, e, want[i])
				}
			}
		}
		check("at first")
		_, err := all[1].backend().Issuances()
		wantError(t, "elsewhere", err, micronet.Refused, "no authority", "run it on a")
		b.halt(a)
		whole, _, err := a.node.disk.loadRaw(fileIssued)
		if err != nil {
			t.Fatal(err)
		}
		put := func(raw []byte) {
			if err := a.node.disk.saveRaw(fileIssued, raw); err != nil {
				t.Fatal(err)
			}
		}
		put(append(bytes.Clone(whole), `{"number":5,"ti`...))
		a = b.start("a", "")
		check("after a torn line")
		b.prepare("c").host.StepWall(9 * day)
		b.start("c", b.invite(a))
		want = append(want, "join c")
		check("after one more")
		b.halt(a)
		whole, _, _ = a.node.disk.loadRaw(fileIssued)
		changed := bytes.Replace(whole, []byte(`"join"`), []byte(`"jion"`), 1)
		put(changed)
		a = b.start("a", "")
		want = []string{"found a", api.IssuanceDamaged + " a"}
		check("after a changed line")
		if kept, _, err := a.node.disk.loadRaw(fileIssued + damagedSuffix); err != nil || !bytes.Equal(kept, changed) {
			t.Errorf("the changed log was not kept: %v", err)
		}
		contains(t, "warnings", codesOf(a, "damaged-file"), "damaged-file")
		b.prepare("d").host.StepWall(9 * day)
		d := b.start("d", b.invite(a))
		want = append(want, "join d")
		check("after one more")
		b.halt(a)
		put(nil)
		a = b.start("a", "")
		want = []string{"damaged a"}
		check("after an empty log")
		b.await(time.Minute, "all see all", b.alive(4, a, all[1], d))
		b.halt(a)
		a = b.start("a", "")
		check("after another start")
	})
}

// TestQ5_DamagedLogGivesNoUseBack: where the log cannot speak for the book of tokens, no token is good.
func TestQ5_DamagedLogGivesNoUseBack(t *testing.T) {
	inBubble(t, 96, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		older, _, err := a.node.disk.loadRaw(fileTokens)
		if err != nil {
			t.Fatal(err)
		}
		b.start("b", token)
		b.halt(a)
		d := disk{fs: a.host.FS(), dir: testDir}
		if err := errors.Join(d.write(fileTokens, older), d.write(fileIssued, []byte("damaged\n"))); err != nil {
			t.Fatal(err)
		}
		b.start("a", "")
		thief := b.launch("thief", token)
		wantError(t, "with a token that was used", b.ended(thief, time.Minute), micronet.Refused, "token")
	})
}

// TestQ5_NothingLeavesUnlogged: where the log cannot be written nothing is issued, and what a failed
// write left is mended before the next.
func TestQ5_NothingLeavesUnlogged(t *testing.T) {
	inBubble(t, 94, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		au := all[0].life().gate.authority.Load()
		id := all[1].node.ID()
		for _, op := range []string{"append", "write", "sync"} {
			failing := op
			all[0].host.Disk().SetFault(func(op, path string) error {
				if op == failing && path == testDir+"/"+fileIssued {
					return micronet.E("disk", micronet.Internal, "no")
				}
				return nil
			})
			if _, err := au.renew(id, "b", false); err == nil {
				t.Errorf("a certificate left although %s fails", op)
			}
			all[0].host.Disk().SetFault(nil)
		}
		before := au.log.at.Count
		if _, err := au.renew(id, "b", false); err != nil {
			t.Fatal(err)
		}
		list, err := au.log.all()
		if err != nil || len(list) == 0 || list[len(list)-1].Name != "b" || au.log.at.Count <= before {
			t.Errorf("%d lines, %v", len(list), err)
		}
	})
}

func TestIssuanceLogTurnsOver(t *testing.T) {
	inBubble(t, 95, func(t *testing.T, b *bubble) {
		d := disk{fs: b.host("h").Env().FS, dir: testDir}
		if err := d.fs.MkdirAll(testDir, folderPerm); err != nil {
			t.Fatal(err)
		}
		cluster := identity.ClusterID{1}
		log, err := openIssuances(d, cluster, 0, ignore)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 7 {
			if i%3 == 2 {
				log.size = maxIssued
			}
			if err := log.note(identity.Issuance{What: identity.IssuedJoin, Time: time.Now(), Name: "n"}); err != nil {
				t.Fatal(err)
			}
		}
		parts, err := log.parts()
		if err != nil || strings.Join(parts, " ") != "issued-000000000001.log issued-000000000003.log issued.log" {
			t.Fatalf("%v, %v", parts, err)
		}
		again, err := openIssuances(d, cluster, 7, ignore)
		if err != nil || again.at != log.at || again.at.Count != 7 || again.first != 6 {
			t.Errorf("%+v, %v", again, err)
		}
		if list, err := again.all(); err != nil || len(list) != 7 {
			t.Errorf("%d lines, %v", len(list), err)
		}
		if err := d.remove(parts[1]); err != nil {
			t.Fatal(err)
		}
		_, err = openIssuances(d, cluster, 7, ignore)
		wantError(t, "a part is missing", err, micronet.Invalid, "does not follow")
		if err := removeIssuances(d); err != nil {
			t.Fatal(err)
		}
		if left, err := d.fs.ReadDir(testDir); err != nil || len(left) != 0 {
			t.Errorf("%v, %v", left, err)
		}
	})
}

// TestCrashWhileTheLogTurnsOver: a crash at any moment of it loses no line that was written, and the log goes on,
// also over the next turn.
func TestCrashWhileTheLogTurnsOver(t *testing.T) {
	world := netsim.New(1, netsim.Options{})
	h, later := world.Host("h"), world.Host("later")
	var wrecks []netsim.DiskImage
	tap := false
	d := disk{dir: testDir, fs: tappedFS{h.Env().FS, func() {
		if tap {
			wrecks = append(wrecks, h.Disk().Wreck(0), h.Disk().Wreck(uint64(2*len(wrecks)+1)))
		}
	}}}
	if err := d.fs.MkdirAll(testDir, folderPerm); err != nil {
		t.Fatal(err)
	}
	cluster := identity.ClusterID{1}
	log, err := openIssuances(d, cluster, 0, ignore)
	if err != nil {
		t.Fatal(err)
	}
	note := func(log *issuances) {
		t.Helper()
		if err := log.note(identity.Issuance{What: identity.IssuedJoin, Name: "n"}); err != nil {
			t.Fatal(err)
		}
	}
	note(log)
	note(log)
	log.size, tap = maxIssued, true
	note(log)
	tap = false
	if len(wrecks) < 8 {
		t.Fatalf("there are only %d wrecks", len(wrecks))
	}
	for i, image := range wrecks {
		later.Disk().Restore(image)
		d := disk{dir: testDir, fs: later.Env().FS}
		log, err := openIssuances(d, cluster, 2, ignore)
		if err != nil {
			t.Fatalf("wreck %d: %v", i, err)
		}
		for range 2 {
			note(log)
			log.size = maxIssued
			note(log)
		}
		again, err := openIssuances(d, cluster, log.at.Count, ignore)
		if err != nil || again.at != log.at {
			t.Fatalf("wreck %d: after further turns: %v", i, err)
		}
	}
}
