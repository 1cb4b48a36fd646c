package netsim

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
)

func TestNamedDiskFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(op, path string) error
		want  error
		fails string
	}{
		{"full", DiskFull, syscall.ENOSPC, " create mkdir write "},
		{"eio", DiskEIO, syscall.EIO, " rename sync syncdir write "},
		{"read-only", DiskReadOnly, syscall.EROFS, " create lock mkdir remove rename write "},
		{"none", nil, nil, ""},
	} {
		h := New(1, Options{}).Host("a")
		f := h.FS()
		must(t, f.MkdirAll("/d", 0o700))
		open := put(t, f, "/d/old", "x", true)
		h.Disk().SetFault(c.fault)
		check := func(op string, err error) {
			if fails := strings.Contains(c.fails, " "+op+" "); fails != (err != nil) || fails && !errors.Is(err, c.want) {
				t.Errorf("%s: %s gives %v", c.name, op, err)
			}
		}
		_, err := f.ReadFile("/d/old")
		check("read", err)
		_, err = f.Create("/d/new", 0o600)
		check("create", err)
		_, err = open.Write([]byte("x"))
		check("write", err)
		check("sync", open.Sync())
		check("rename", f.Rename("/d/old", "/d/moved"))
		check("syncdir", f.SyncDir("/d"))
		check("mkdir", f.MkdirAll("/d/e", 0o700))
		check("mkdir of what is there", f.MkdirAll("/d", 0o700))
		_, err = f.ReadDir("/d")
		check("readdir", err)
		_, err = f.Lock("/d/lock")
		check("lock", err)
		h.Disk().SetFault(nil)
		must(t, put(t, f, "/d/last", "", false).Close())
		h.Disk().SetFault(c.fault)
		_, err = f.Stat("/d/last")
		check("stat", err)
		check("remove", f.Remove("/d/last"))
	}
}

func TestTornWritesLeaveAPrefix(t *testing.T) {
	const synced, all = "synced, ", "synced, and this was not"
	lengths, names := map[int]bool{}, map[bool]bool{}
	for seed := range uint64(60) {
		h := New(seed, Options{}).Host("a")
		h.SetTorn(true)
		f := h.FS()
		file := put(t, f, "/log", synced, true)
		must(t, f.SyncDir("/"))
		_, err := file.Write([]byte(all[len(synced):]))
		must(t, err)
		put(t, f, "/new", "never synced", false)
		h.Crash()
		h.Restart()
		got, err := h.FS().ReadFile("/log")
		must(t, err)
		if !strings.HasPrefix(string(got), synced) || !strings.HasPrefix(all, string(got)) {
			t.Errorf("seed %d: %q is left", seed, got)
		}
		lengths[len(got)] = true
		fresh, err := h.FS().ReadFile("/new")
		names[err == nil] = true
		if !bytes.HasPrefix([]byte("never synced"), fresh) {
			t.Errorf("seed %d: %q is left of a new file", seed, fresh)
		}
		h.Crash() // what a crash left is durable
		h.Restart()
		if again, err := h.FS().ReadFile("/log"); err != nil || !bytes.Equal(again, got) {
			t.Errorf("seed %d: %q becomes %q, %v", seed, got, again, err)
		}
	}
	if len(lengths) < 8 || len(names) != 2 {
		t.Errorf("lengths %v, names kept %v: always the same is torn", lengths, names)
	}
}

func TestTornRewritesLoseTheOldContents(t *testing.T) {
	empty := 0
	for seed := range uint64(40) {
		h := New(seed, Options{}).Host("a")
		h.SetTorn(true)
		put(t, h.FS(), "/x", "next to nothing", true) // both begin alike
		must(t, h.FS().SyncDir("/"))
		put(t, h.FS(), "/x", "new", false)
		h.Crash()
		h.Restart()
		got, err := h.FS().ReadFile("/x")
		must(t, err)
		if !strings.HasPrefix("new", string(got)) {
			t.Errorf("%q is left", got)
		}
		if len(got) == 0 {
			empty++
		}
	}
	if empty == 0 || empty == 40 {
		t.Errorf("%d of 40 files are empty", empty)
	}
}

// WriteFile, the way to replace a file, is safe also where the disk tears.
func TestWriteFileSurvivesATornCrash(t *testing.T) {
	for step := range 12 {
		for seed := range uint64(8) {
			h := New(seed, Options{}).Host(fmt.Sprint("a", step))
			h.SetTorn(true)
			must(t, micronet.WriteFile(h.FS(), "/x", []byte("old"), 0o600))
			n := 0
			h.Disk().SetFault(func(string, string) error {
				if n++; n > step {
					return syscall.EIO
				}
				return nil
			})
			err := micronet.WriteFile(h.FS(), "/x", []byte("new and longer"), 0o600)
			h.Disk().SetFault(nil)
			h.Crash()
			h.Restart()
			got, readErr := h.FS().ReadFile("/x")
			must(t, readErr)
			if s := string(got); s != "new and longer" && (s != "old" || err == nil) {
				t.Errorf("step %d, seed %d: %q is left, WriteFile said %v", step, seed, s, err)
			}
		}
	}
}

func TestSnapshotsAndClones(t *testing.T) {
	w := New(1, Options{})
	a, b := w.Host("a"), w.Host("b")
	must(t, a.FS().MkdirAll("/d/e", 0o700))
	put(t, a.FS(), "/d/e/x", "old", false)
	image := a.Disk().Snapshot()
	put(t, a.FS(), "/d/e/x", "new", true)
	put(t, a.FS(), "/d/y", "later", true)
	locked, err := a.FS().Lock("/d/lock")
	must(t, err)
	a.Disk().CloneTo(b.Disk())
	put(t, a.FS(), "/d/y", "after the clone", true)
	wantFile(t, b, "/d/y", "later")
	wantFile(t, b, "/d/e/x", "new")
	if l, err := b.FS().Lock("/d/lock"); err != nil {
		t.Errorf("the clone's lock: %v", err)
	} else {
		must(t, l.Close())
	}
	must(t, locked.Close())

	for range 2 { // an image can be used again
		a.Crash()
		a.Disk().Restore(image)
		a.Restart()
		wantFile(t, a, "/d/e/x", "old")
		wantFile(t, a, "/d/y", "-")
		put(t, a.FS(), "/d/e/x", "changed", true)
	}
	b.Crash() // all of a copy is durable
	b.Restart()
	wantFile(t, b, "/d/e/x", "new")
	b.Disk().Restore(DiskImage{})
	if list, err := b.FS().ReadDir("/"); err != nil || len(list) > 0 {
		t.Errorf("an empty disk has %v, %v", list, err)
	}
}

func wantFile(t *testing.T, h *Host, path, want string) {
	t.Helper()
	if got := contents(t, h.FS(), path); got != want {
		t.Errorf("%s: %s is %q, want %q", h.Name(), path, got, want)
	}
}
