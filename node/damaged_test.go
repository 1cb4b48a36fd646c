package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/osenv"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/proxy"
	"github.com/micro/micro-net/sim/netsim"
)

// stateFiles are the files of the data folder, how each is read, and what is left of it when it and what lies
// beside it are damaged.
func stateFiles(e *estate) []stateFile {
	env, keys := e.env, e.keys
	cluster := e.pass.trust.Cluster()
	passport := func(d disk) (*passport, error) { return readPassport(env, d, fileMembership, keys) }
	return []stateFile{
		{fileKeys, spareSame, "", func(d disk) (any, error) {
			k, _, err := loadKeys(env, d)
			return k.ID(), err
		}},
		{fileMembership, spareFormer, "", func(d disk) (any, error) {
			p, err := passport(d)
			if err != nil {
				return nil, err
			}
			return p.member().Grant, nil
		}},
		{fileRootKey, spareSame, "", func(d disk) (any, error) {
			p, _ := newPassport(keys, e.pass.member())
			if err := p.loadRoot(d); err != nil {
				return nil, err
			}
			return p.root.Load().MarshalKey(), nil
		}},
		{filePromotion, spareSame, "", func(d disk) (any, error) {
			p, _ := newPassport(keys, e.pass.member())
			if err := p.loadPromotion(d); err != nil {
				return nil, err
			}
			return *p.promotion.Load(), nil
		}},
		{fileEpoch, spareSame, "", func(d disk) (any, error) {
			var s starts
			_, err := d.load(fileEpoch, &s)
			return s, err
		}},
		{fileVIPs, spareSame, "", func(d disk) (any, error) {
			v, err := loadVIPs(d, proxy.DefaultVIPs())
			if err != nil {
				return nil, err
			}
			return v.table.Snapshot()
		}},
		{fileAuthority, spareFormer, "", func(d disk) (any, error) {
			var l ledger
			_, err := d.load(fileAuthority, &l)
			return l, err
		}},
		{fileServices, spareFormer, "", func(d disk) (any, error) {
			var o []owned
			_, err := d.load(fileServices, &o)
			return o, err
		}},
		{filePeers, spareFormer, "other nodes have to find this one", func(d disk) (any, error) {
			c, err := loadContacts(env, d, e.pass)
			if err != nil {
				return nil, err
			}
			return c.book.Peers(), nil
		}},
		{fileTokens, spareNone, "all open tokens are void", func(d disk) (any, error) {
			a := &authority{disk: d}
			err := a.loadBook()
			return a.book.IDs(), err
		}},
		{fileIssued, spareNone, "", func(d disk) (any, error) {
			var all []identity.Issuance
			_, err := openIssuances(d, cluster, e.auth.log.at.Count, func(list []identity.Issuance) { all = append(all, list...) })
			return all, err
		}},
	}
}

type stateFile struct {
	name  string
	spare spare
	lost  string // what the diary says when it is begun anew; "" when the node refuses to start
	load  func(disk) (any, error)
}

// settledEstate has every file, and every spare holds the same as the file.
func settledEstate(t testing.TB, env micronet.Env) *estate {
	t.Helper()
	e, err := openEstate(t, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, do := range []func() error{
		e.found, e.start, e.address, e.register, func() error { return e.invite(2) }, e.meet, e.promote,
		// Each once more, so that the former contents are there; then as often as makes them the present ones.
		e.start, func() error { return e.d.save(fileAuthority, e.auth.names) }, func() error { return e.d.save(fileAuthority, e.auth.names) },
		func() error { return e.pass.save(e.d, fileMembership) }, func() error { return e.pass.save(e.d, fileMembership) },
		func() error { return e.d.save(fileServices, e.node.registry.kept()) }, func() error { return e.d.save(filePeers, e.contacts.book) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// TestH33_EveryByte: a file that is empty, cut at any byte or changed in any byte is read from its spare, or else
// refused and left alone, or begun anew where that lets nobody in; it is never taken for something else.
func TestH33_EveryByte(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	for _, f := range stateFiles(e) {
		t.Run(f.name, func(t *testing.T) {
			b := breaker{t: t, f: f, d: e.d, whole: h.Disk().Snapshot(), host: h}
			b.good = b.contents(f.name)
			var err error
			if b.want, err = f.load(e.d); err != nil {
				t.Fatal(err)
			}
			for n := range b.good {
				b.try(fmt.Sprintf("cut at byte %d", n), b.good[:n])
				flipped := bytes.Clone(b.good)
				flipped[n] ^= 1 << (n % 8)
				b.try(fmt.Sprintf("changed in byte %d", n), flipped)
			}
			b.try("doubled", append(bytes.Clone(b.good), b.good...))
			b.try("somebody else's", []byte("{\"version\": 3}\n"))
			b.try("of zeros", make([]byte, len(b.good)))
			if b.mended == 0 && (f.spare != spareNone || f.lost != "") {
				t.Error("it was never put right")
			}
		})
	}
}

// breaker damages one file in many ways.
type breaker struct {
	t      *testing.T
	f      stateFile
	d      disk
	host   *netsim.Host
	whole  netsim.DiskImage
	good   []byte
	want   any
	mended int
}

func (b *breaker) contents(name string) []byte {
	raw, err := b.d.fs.ReadFile(b.d.path(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// try puts bytes in the place of the file: with the spare beside it, and without.
func (b *breaker) try(how string, bad []byte) {
	b.t.Helper()
	for _, spared := range []bool{true, false} {
		b.host.Disk().Restore(b.whole)
		if !spared {
			if err := b.d.discard(b.f.name + spareSuffix); err != nil {
				b.t.Fatal(err)
			}
		}
		if err := b.d.write(b.f.name, bad); err != nil {
			b.t.Fatal(err)
		}
		b.judge(how, bad, spared && b.f.spare != spareNone)
	}
}

func (b *breaker) judge(how string, bad []byte, spared bool) {
	b.t.Helper()
	d := b.d
	d.diary = &diary{report: func(string, error) {}}
	got, err := b.f.load(d)
	mends := strings.Join(d.diary.mends(), "\n")
	switch {
	case err != nil:
		if spared || b.f.lost != "" {
			b.t.Errorf("%s: %v although there is a way out", how, err)
		}
		wantError(b.t, how, err, micronet.Invalid, d.path(b.f.name), "nothing was overwritten")
		if after := b.contents(b.f.name); !bytes.Equal(after, bad) {
			b.t.Errorf("%s: the file was changed", how)
		}
	case mends == "":
		// The change meant nothing, as one of white space; or a last line was torn.
		if torn := b.f.name == fileIssued; !torn && !reflect.DeepEqual(got, b.want) {
			b.t.Errorf("%s: it is read as %v, not as %v", how, got, b.want)
		}
	default:
		b.mended++
		if !bytes.Equal(b.contents(b.f.name+damagedSuffix), bad) {
			b.t.Errorf("%s: what was there was not kept", how)
		}
		anew := !spared
		if anew != (b.f.lost != "" && strings.Contains(mends, b.f.lost)) {
			b.t.Errorf("%s: the diary says %q", how, mends)
		}
		if !anew && !reflect.DeepEqual(got, b.want) {
			b.t.Errorf("%s: the spare is read as %v, not as %v", how, got, b.want)
		}
	}
}

// TestH33_FilesOfOtherVersions are refused and left alone, whatever their spares hold.
func TestH33_FilesOfOtherVersions(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	newer, err := seal("micro-net/2", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stateFiles(e) {
		switch f.name {
		case fileEpoch, fileVIPs, fileAuthority, fileServices, filePeers:
		default:
			continue // package identity tests its own
		}
		good, err := e.d.fs.ReadFile(e.d.path(f.name))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.d.write(f.name, newer); err != nil {
			t.Fatal(err)
		}
		_, err = f.load(e.d)
		wantError(t, f.name, err, micronet.Invalid, "another version of micro-net wrote it")
		if raw, err := e.d.fs.ReadFile(e.d.path(f.name)); err != nil || !bytes.Equal(raw, newer) {
			t.Errorf("%s was changed: %v", f.name, err)
		}
		if err := e.d.write(f.name, good); err != nil {
			t.Fatal(err)
		}
	}
}

// TestH33_OtherKindsOfFiles: what is no file, or is too large, is refused without waiting or reading it all; links
// lead to what they name, and writing replaces the link.
func TestH33_OtherKindsOfFiles(t *testing.T) {
	env := netsim.New(1, netsim.Options{}).Host("h").Env()
	e := settledEstate(t, env)
	entries, err := e.d.fs.ReadDir(testDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range stateFiles(e) {
		t.Run(f.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, folderPerm); err != nil {
				t.Fatal(err)
			}
			for _, file := range entries {
				if raw, err := e.d.fs.ReadFile(e.d.path(file.Name())); err == nil {
					if err := os.WriteFile(filepath.Join(dir, file.Name()), raw, secretPerm); err != nil {
						t.Fatal(err)
					}
				}
			}
			otherKinds(t, f, disk{fs: osenv.FS{}, dir: dir, uid: os.Geteuid(), diary: &diary{report: func(string, error) {}}})
		})
	}
}

// allocated is how many bytes the process has allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func otherKinds(t *testing.T, f stateFile, d disk) {
	path, aside := d.path(f.name), d.path("aside")
	good, err := d.fs.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := f.load(d)
	if err != nil {
		t.Fatal(err)
	}
	for kind, make := range map[string]func() error{
		"a named pipe": func() error { return syscall.Mkfifo(path, secretPerm) },
		"a folder":     func() error { return os.Mkdir(path, secretPerm) },
		"1 GB": func() error {
			return errors.Join(os.WriteFile(path, nil, secretPerm), os.Truncate(path, 1<<30))
		},
		"a link to itself": func() error { return os.Symlink(path, path) },
		"a device":         func() error { return os.Symlink("/dev/zero", path) },
	} {
		if err := errors.Join(os.Remove(path), make()); err != nil {
			t.Fatal(err)
		}
		before := allocated()
		if _, err := f.load(d); micronet.KindOf(err) != micronet.Refused {
			t.Errorf("%s: %v, want a refusal", kind, err)
		}
		if took := allocated() - before; took > 4<<20 {
			t.Errorf("%s: refused after reading some %d bytes", kind, took)
		}
	}
	for kind, link := range map[string]func(string, string) error{"a link": os.Symlink, "a second name": os.Link} {
		if err := errors.Join(os.Remove(path), os.WriteFile(aside, good, secretPerm), link(aside, path)); err != nil {
			t.Fatal(err)
		}
		if got, err := f.load(d); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as %v, %v", kind, got, err)
		}
		if err := d.write(f.name, []byte("new")); err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(aside); err != nil || !bytes.Equal(raw, good) {
			t.Errorf("writing through %s changed what it leads to: %v", kind, err)
		}
		if err := os.Remove(aside); err != nil {
			t.Fatal(err)
		}
	}
}

// TestQ5_OlderTokenBook: a book of tokens that was put back to an earlier state gives no use back.
func TestQ5_OlderTokenBook(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	older, err := e.d.fs.ReadFile(e.d.path(fileTokens))
	if err != nil {
		t.Fatal(err)
	}
	token := e.open[0]
	first, second := e.newKeys(), e.newKeys()
	if err := errors.Join(e.admit(token, first), e.admit(token, second)); err != nil {
		t.Fatal(err)
	}
	if err := e.d.write(fileTokens, older); err != nil {
		t.Fatal(err)
	}
	e.d.diary.list = nil
	if err := e.sign(); err != nil {
		t.Fatal(err)
	}
	contains(t, "the diary", strings.Join(e.d.diary.mends(), "\n"), fileTokens+" was older than issued.log")
	wantError(t, "a third", e.admit(token, e.newKeys()), micronet.Refused, "has been used")
	if err := e.admit(token, second); err != nil {
		t.Errorf("who used it cannot ask again: %v", err)
	}
}

// TestH33_KeysAreNeverLost: where a membership or keys are missing, neither keys nor a root key are
// overwritten.
func TestH33_KeysAreNeverLost(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	root := e.pass.root.Load().MarshalKey()
	whole := h.Disk().Snapshot()
	for _, name := range []string{fileMembership, fileMembership + spareSuffix} {
		if err := e.d.discard(fileKeys, fileKeys+spareSuffix, fileMembership); err != nil {
			t.Fatal(err)
		}
		_, _, err := loadKeys(e.env, e.d)
		wantError(t, "without keys", err, micronet.Invalid, "node.key and its spare are missing", "membership.json.spare away")
		h.Disk().Restore(whole)
		if err := e.d.discard(name); err != nil {
			t.Fatal(err)
		}
	}
	h.Disk().Restore(whole)
	if err := e.d.discard(fileMembership, fileMembership+spareSuffix); err != nil {
		t.Fatal(err)
	}
	wantError(t, "without a membership", e.found(), micronet.Invalid, "membership.json and its spare are missing: "+testDir, "restore", "up --join TOKEN", "move the folder away")
	if kept, err := e.d.fs.ReadFile(e.d.path(fileRootKey)); err != nil || !bytes.Equal(kept, root) {
		t.Fatalf("the root key: %v", err)
	}
	for range 2 {
		// Without keys it is a node as new as any.
		e.keys = identity.Keys{}
		if err := errors.Join(e.d.remove(fileKeys), e.found()); err != nil {
			t.Fatal(err)
		}
		if kept, err := e.d.fs.ReadFile(e.d.path(fileRootKey + formerSuffix)); err != nil || !bytes.Equal(kept, root) {
			t.Fatalf("the former root key: %v", err)
		}
		// A second founding, as after a crash, has nothing to keep.
		if err := e.d.remove(fileMembership, fileAuthority); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRootKeyOutlivesALostMembership: who joins anew after the membership of a founder was lost keeps its root key.
func TestRootKeyOutlivesALostMembership(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	root := e.pass.root.Load().MarshalKey()
	if err := errors.Join(e.d.remove(fileMembership), e.move()); err != nil {
		t.Fatal(err)
	}
	if kept, err := e.d.fs.ReadFile(e.d.path(fileRootKey + formerSuffix)); err != nil || !bytes.Equal(kept, root) {
		t.Fatalf("the former root key: %v", err)
	}
}

// TestRootKeyOfALeftCluster: a crash while a founder leaves does not keep its root key for the next cluster, whether that
// is founded or joined; and a later loss of the membership is one again.
func TestRootKeyOfALeftCluster(t *testing.T) {
	for name, next := range map[string]func(*estate) error{"founds": (*estate).found, "joins": (*estate).move} {
		h := netsim.New(1, netsim.Options{}).Host("h")
		e := settledEstate(t, h.Env())
		if err := errors.Join(quit(e.d), next(e)); err != nil { // the rest of leaving was not done
			t.Fatal(err)
		}
		for _, file := range []string{fileRootKey + formerSuffix, fileLeft} {
			if _, err := e.d.fs.ReadFile(e.d.path(file)); err == nil {
				t.Errorf("who %s anew keeps %s", name, file)
			}
		}
	}
}

// TestLeftWithAFaultyDisk: where files of a cluster that was left cannot be removed, the next start knows all the same that
// it was left: it founds, and keeps no root key.
func TestLeftWithAFaultyDisk(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	if err := quit(e.d); err != nil {
		t.Fatal(err)
	}
	h.Disk().SetFault(func(op, path string) error {
		if op == "remove" && path != e.d.path(fileLeft) {
			return syscall.EIO
		}
		return nil
	})
	if forgetCluster(e.d) == nil {
		t.Fatal("all was removed")
	}
	h.Disk().SetFault(nil)
	e, err := openEstate(t, h.Env())
	if err != nil || e.pass != nil {
		t.Fatalf("it has not left: %v", err)
	}
	if err := e.found(); err != nil {
		t.Error(err)
	}
	if _, err := e.d.fs.ReadFile(e.d.path(fileRootKey + formerSuffix)); err == nil {
		t.Error("the root key was kept")
	}
}

// TestFoundingAfterALeaveThatWasCut: who left, and was cut off before all was gone, may be cut off while it founds as well,
// by a crash or a full disk, and founds at the next start.
func TestFoundingAfterALeaveThatWasCut(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	if err := quit(e.d); err != nil { // the rest of leaving was not done
		t.Fatal(err)
	}
	var cut []netsim.DiskImage
	env := h.Env()
	env.FS = tappedFS{env.FS, func() { cut = append(cut, h.Disk().Wreck(0)) }}
	e, err := openEstate(t, env)
	if err := errors.Join(err, e.found()); err != nil {
		t.Fatal(err)
	}
	for i, image := range cut {
		h.Disk().Restore(image)
		e, err := openEstate(t, h.Env())
		if err == nil && e.pass == nil {
			err = e.found()
		}
		if err != nil {
			t.Fatalf("the start after a crash at step %d of %d: %v", i+1, len(cut), err)
		}
		if _, err := e.d.fs.ReadFile(e.d.path(fileRootKey + formerSuffix)); err == nil {
			t.Fatalf("after a crash at step %d of %d the former root key was kept", i+1, len(cut))
		}
	}
}

// TestO3_SpareIsMadeAnew: a spare that a crash left behind is made anew at the next start.
func TestO3_SpareIsMadeAnew(t *testing.T) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(t, h.Env())
	for _, f := range stateFiles(e) {
		if f.spare != spareSame {
			continue
		}
		if err := e.d.write(f.name+spareSuffix, []byte("older")); err != nil {
			t.Fatal(err)
		}
		if _, err := f.load(e.d); err != nil {
			t.Fatal(err)
		}
		file, err := e.d.fs.ReadFile(e.d.path(f.name))
		spare, err2 := e.d.fs.ReadFile(e.d.path(f.name + spareSuffix))
		if err != nil || err2 != nil || !bytes.Equal(file, spare) {
			t.Errorf("%s and its spare differ: %v, %v", f.name, err, err2)
		}
	}
}

// TestD2_DaemonAndDamagedFiles: a daemon starts from the spares of its files and says so, begins anew what it can
// do without, and refuses the rest with a sentence; the same node is back once the file is.
func TestD2_DaemonAndDamagedFiles(t *testing.T) {
	inBubble(t, 20, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		b.start("b", b.invite(a))
		b.await(5*time.Second, "both see both", b.alive(2, a))
		b.serve(a, "echo", "a")
		b.await(5*time.Second, "echo answers", b.answers(a, "echo", "a"))
		time.Sleep(2 * saveEvery)
		id := a.node.ID()
		b.halt(a)
		whole := a.host.Disk().Snapshot()
		for _, name := range []string{fileKeys, fileMembership, fileRootKey, fileEpoch, fileVIPs, fileAuthority, fileServices, filePeers, fileTokens, fileIssued} {
			for _, spared := range []bool{true, false} {
				b.damage(a, whole, name, spared, id)
			}
		}
		a.host.Disk().Restore(whole)
		b.start("a", "")
		b.await(10*time.Second, "b is seen again", b.alive(2, a))
		b.await(5*time.Second, "echo answers again", b.answers(a, "echo", "a"))
	})
}

// TestD2_MissingIdentityIsRestored: a daemon whose keys or membership are gone is the same node by their spares, and
// says so; where a spare is of no use it refuses to start, and never founds another cluster.
func TestD2_MissingIdentityIsRestored(t *testing.T) {
	inBubble(t, 21, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		n := b.start("b", b.invite(a))
		id, cluster := n.node.ID(), n.life().pass.trust.Cluster()
		b.halt(n)
		whole := n.host.Disk().Snapshot()
		d := disk{fs: n.host.FS(), dir: testDir}
		for _, gone := range [][]string{{fileKeys}, {fileMembership}, {fileKeys, fileMembership}} {
			n.host.Disk().Restore(whole)
			if err := d.discard(gone...); err != nil {
				t.Fatal(err)
			}
			n = b.start("b", "")
			if n.node.ID() != id || n.life().pass.trust.Cluster() != cluster {
				t.Errorf("without %v it is another node", gone)
			}
			if codesOf(n, "damaged-file") == "" {
				t.Errorf("without %v there is no warning", gone)
			}
			b.halt(n)
			n.host.Disk().Restore(whole)
			if err := errors.Join(d.discard(gone...), d.write(gone[0]+spareSuffix, []byte("damaged"))); err != nil {
				t.Fatal(err)
			}
			b.launch("b", "")
			wantError(t, "with a damaged spare", b.ended(n, time.Minute), micronet.Invalid, gone[0]+" is missing", "nothing was overwritten")
		}
	})
}

// TestD2_LostMembership: a daemon whose membership is lost with its spare founds no cluster in its place. It is the same node
// again with the file, or with a token.
func TestD2_LostMembership(t *testing.T) {
	inBubble(t, 22, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		n := b.start("b", b.invite(a))
		id, cluster := n.node.ID(), n.life().pass.trust.Cluster()
		b.halt(n)
		whole := n.host.Disk().Snapshot()
		d := disk{fs: n.host.FS(), dir: testDir}
		for _, gone := range [][]string{nil, {filePeers}, {fileEpoch}, {filePeers, fileStatements, fileAuthority}} {
			n.host.Disk().Restore(whole)
			if err := errors.Join(d.remove(fileMembership), d.remove(gone...)); err != nil {
				t.Fatal(err)
			}
			b.launch("b", "")
			wantError(t, fmt.Sprintf("without %v", gone), b.ended(n, time.Minute), micronet.Invalid,
				d.path(fileMembership)+" and its spare are missing", "restore", "up --join TOKEN", "move the folder away")
			n = b.start("b", b.invite(a))
			if n.node.ID() != id || n.life().pass.trust.Cluster() != cluster {
				t.Errorf("with a token and without %v it is another node", gone)
			}
			b.await(10*time.Second, "both see both", b.alive(2, a, n))
			b.halt(n)
		}
		n.host.Disk().Restore(whole)
		b.start("b", "")
		b.await(10*time.Second, "with the file both see both", b.alive(2, a, n))
		if _, err := n.backend().Leave(t.Context(), api.LeaveRequest{}); err != nil {
			t.Fatal(err)
		}
		if err := b.ended(n, 2*drainFor); err != nil {
			t.Fatal(err)
		}
		if n = b.start("b", ""); n.life().pass.trust.Cluster() == cluster {
			t.Error("who has left is back")
		}
	})
}

// TestD2_MissingKeysAreRestored: an authority whose key or promotion is gone signs by its spare, and says so. What was taken
// off a host, or ended, does not come back.
func TestD2_MissingKeysAreRestored(t *testing.T) {
	inBubble(t, 23, func(t *testing.T, b *bubble) {
		all := b.withDeputy()
		without := func(i int, gone string) {
			t.Helper()
			b.powerCut(all[i])
			d := disk{fs: all[i].host.FS(), dir: testDir}
			if err := d.discard(gone); err != nil {
				t.Fatal(err)
			}
			all[i] = b.start(all[i].host.Name(), "")
			warned := slices.ContainsFunc(all[i].backend().Status().Warnings, func(w api.Warning) bool {
				return w.Code == "damaged-file" && strings.HasPrefix(w.Text, d.path(gone)+" was missing")
			})
			if _, found, _ := d.loadRaw(gone); !found || !warned {
				t.Errorf("%s is there: %v, and there is a warning: %v", gone, found, warned)
			}
		}
		gone := func(at *simNode, names ...string) {
			t.Helper()
			for _, name := range append(names, besides(names)...) {
				if _, found, _ := at.node.disk.loadRaw(name); found {
					t.Errorf("%s is there", name)
				}
			}
		}
		without(0, fileRootKey)
		without(1, filePromotion)
		b.await(20*time.Second, "both sign", b.signing(all[2], "a", "b"))
		b.rotate(all[0])
		without(0, fileNextRoot)
		b.await(4*time.Minute, "all have moved", b.rotated(2, all...))
		b.await(time.Minute, "it is over", b.over(all[0]))
		gone(all[0], fileNextRoot)
		b.demote(all[0], "b")
		b.await(10*time.Second, "b signs no more", b.signing(all[2], "a"))
		gone(all[1], filePromotion)
		if err := all[0].backend().RemoveRoot(api.RootRemoval{SealedRoot: exported(t, all[0]), Force: true}); err != nil {
			t.Fatal(err)
		}
		gone(all[0], fileRootKey)
	})
}

func (b *bubble) damage(a *simNode, whole netsim.DiskImage, name string, spared bool, id micronet.NodeID) {
	b.t.Helper()
	a.host.Disk().Restore(whole)
	d := disk{fs: a.host.FS(), dir: testDir}
	if !spared {
		if err := d.discard(name + spareSuffix); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := d.write(name, []byte("somebody else's file\n")); err != nil {
		b.t.Fatal(err)
	}
	if begunAnew := name == fileTokens || name == filePeers || name == fileIssued; !begunAnew && (!spared || spareOf(name) == spareNone) {
		b.launch("a", "")
		wantError(b.t, name, b.ended(a, time.Minute), micronet.Invalid, d.path(name), "nothing was overwritten")
		return
	}
	b.start("a", "")
	if got := a.node.ID(); got != id {
		b.t.Errorf("%s: the node is %s now", name, got)
	}
	warned := false
	for _, w := range a.backend().Status().Warnings {
		warned = warned || w.Code == "damaged-file" && strings.HasPrefix(w.Text, d.path(name)+" was damaged")
	}
	if !warned {
		b.t.Errorf("%s: there is no warning", name)
	}
	b.halt(a)
}

// FuzzStateFile puts what the fuzzer makes of it into each file that has an envelope, with the checksum that lets it
// be looked at, and starts: the node that comes up can write what it has read, or the start is refused.
func FuzzStateFile(f *testing.F) {
	names := []string{fileEpoch, fileVIPs, fileAuthority, fileServices, filePeers}
	h := netsim.New(1, netsim.Options{}).Host("h")
	e := settledEstate(f, h.Env())
	whole := h.Disk().Snapshot()
	for i, name := range names {
		raw, err := e.d.fs.ReadFile(e.d.path(name))
		if err != nil {
			f.Fatal(err)
		}
		var data json.RawMessage
		if err := openEnvelope(raw, &data); err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), []byte(data))
	}
	f.Add(uint8(0), []byte(`{"epoch":18446744073709551615}`))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		raw, err := seal(diskFormat, data)
		if err != nil {
			return // it is no JSON
		}
		h.Disk().Restore(whole)
		name := names[int(which)%len(names)]
		if err := errors.Join(e.d.discard(name+spareSuffix), e.d.write(name, raw)); err != nil {
			t.Fatal(err)
		}
		got, err := openEstate(t, h.Env())
		if err != nil {
			if micronet.KindOf(err) != micronet.Invalid {
				t.Fatalf("%s: %v", name, err)
			}
			return
		}
		for _, do := range []func() error{got.start, got.address, got.register, got.meet} {
			if err := do(); err != nil && micronet.KindOf(err) == micronet.Internal {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}
