package netsim

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	micronet "github.com/micro/micro-net"
)

func put(t *testing.T, fsys micronet.FS, path, text string, sync bool) micronet.File {
	t.Helper()
	f, err := fsys.Create(path, 0o600)
	if err != nil {
		t.Fatalf("Create(%s): %v", path, err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatalf("Write(%s): %v", path, err)
	}
	if sync {
		must(t, f.Sync())
	}
	return f
}

func add(t *testing.T, fsys micronet.FS, path, text string, sync bool) {
	t.Helper()
	f, err := fsys.Append(path, 0o600)
	must(t, err)
	_, err = f.Write([]byte(text))
	must(t, err)
	if sync {
		must(t, f.Sync())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// contents returns what is in a file, "-" when there is none.
func contents(t *testing.T, fsys micronet.FS, path string) string {
	t.Helper()
	b, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	must(t, err)
	return string(b)
}

func TestCrashLosesWhatWasNotSynced(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(t *testing.T, fsys micronet.FS)
		path string
		want string
	}{
		{"nothing done", func(*testing.T, micronet.FS) {}, "/d/old", "old"},
		{"appended, not synced", func(t *testing.T, f micronet.FS) { add(t, f, "/d/old", "new", false) }, "/d/old", "old"},
		{"appended and synced", func(t *testing.T, f micronet.FS) { add(t, f, "/d/old", "new", true) }, "/d/old", "oldnew"},
		{"appended to nothing, folder not synced", func(t *testing.T, f micronet.FS) { add(t, f, "/d/x", "new", true) }, "/d/x", "-"},
		{"overwritten, not synced", func(t *testing.T, f micronet.FS) { put(t, f, "/d/old", "new", false) }, "/d/old", "old"},
		{"overwritten and synced", func(t *testing.T, f micronet.FS) { put(t, f, "/d/old", "new", true) }, "/d/old", "new"},
		{"created, folder not synced", func(t *testing.T, f micronet.FS) { put(t, f, "/d/x", "x", true) }, "/d/x", "-"},
		{"created, contents not synced", func(t *testing.T, f micronet.FS) {
			put(t, f, "/d/x", "x", false)
			must(t, f.SyncDir("/d"))
		}, "/d/x", ""},
		{"created and both synced", func(t *testing.T, f micronet.FS) {
			put(t, f, "/d/x", "x", true)
			must(t, f.SyncDir("/d"))
		}, "/d/x", "x"},
		{"written after the sync", func(t *testing.T, f micronet.FS) {
			x := put(t, f, "/d/x", "x", true)
			must(t, f.SyncDir("/d"))
			_, err := x.Write([]byte("y"))
			must(t, err)
		}, "/d/x", "x"},
		{"renamed, not synced", func(t *testing.T, f micronet.FS) {
			put(t, f, "/d/x", "x", true)
			must(t, f.Rename("/d/x", "/d/old"))
		}, "/d/old", "old"},
		{"renamed and synced", func(t *testing.T, f micronet.FS) {
			put(t, f, "/d/x", "x", true)
			must(t, f.Rename("/d/x", "/d/old"))
			must(t, f.SyncDir("/d"))
		}, "/d/old", "x"},
		{"renamed before the contents were synced", func(t *testing.T, f micronet.FS) {
			put(t, f, "/d/x", "x", false)
			must(t, f.Rename("/d/x", "/d/old"))
			must(t, f.SyncDir("/d"))
		}, "/d/old", ""},
		{"removed, not synced", func(t *testing.T, f micronet.FS) { must(t, f.Remove("/d/old")) }, "/d/old", "old"},
		{"removed and synced", func(t *testing.T, f micronet.FS) {
			must(t, f.Remove("/d/old"))
			must(t, f.SyncDir("/d"))
		}, "/d/old", "-"},
		{"replaced by WriteFile", func(t *testing.T, f micronet.FS) {
			must(t, micronet.WriteFile(f, "/d/old", []byte("whole"), 0o600))
		}, "/d/old", "whole"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := New(1, Options{}).Host("a")
			before := h.FS()
			must(t, before.MkdirAll("/d", 0o700))
			must(t, micronet.WriteFile(before, "/d/old", []byte("old"), 0o600))
			c.act(t, before)
			h.Crash()
			if _, err := before.ReadFile("/d/old"); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("reading the disk of a crashed host: %v, want fs.ErrClosed", err)
			}
			h.Restart()
			if got := contents(t, h.FS(), c.path); got != c.want {
				t.Errorf("after the crash %s holds %q, want %q", c.path, got, c.want)
			}
			if _, err := before.Create("/d/late", 0o600); !errors.Is(err, fs.ErrClosed) {
				t.Errorf("writing from the life before: %v, want fs.ErrClosed", err)
			}
		})
	}
}

// TestWriteFileSurvivesACrashAtEachStep crashes before the n-th operation, for every n.
func TestWriteFileSurvivesACrashAtEachStep(t *testing.T) {
	power := errors.New("power cut")
	for n := 1; ; n++ {
		h := New(1, Options{}).Host("a")
		must(t, h.FS().MkdirAll("/d", 0o700))
		must(t, micronet.WriteFile(h.FS(), "/d/f", []byte("old"), 0o600))
		left := n
		h.Disk().SetFault(func(string, string) error {
			if left--; left <= 0 {
				return power
			}
			return nil
		})
		err := micronet.WriteFile(h.FS(), "/d/f", []byte("new"), 0o600)
		h.Disk().SetFault(nil)
		h.Restart()
		got := contents(t, h.FS(), "/d/f")
		if err == nil {
			if got != "new" || n < 5 {
				t.Errorf("done after %d steps with %q, want new after 5", n, got)
			}
			return
		}
		if got != "old" || !errors.Is(err, power) {
			t.Errorf("crash before step %d left %q (%v), want old", n, got, err)
		}
	}
}

func TestFileSystem(t *testing.T) {
	f := New(1, Options{}).Host("a").FS()
	must(t, f.MkdirAll("/d/sub", 0o700))
	must(t, f.MkdirAll("/d/sub", 0o700))
	put(t, f, "/d/b", "bb", false)
	put(t, f, "/d/a", "a", false)
	list, err := f.ReadDir("/d")
	must(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "a b sub" || !list[2].IsDir() {
		t.Errorf("ReadDir = %s, want a b sub", got)
	}
	i, err := f.Stat("/d/b")
	must(t, err)
	if i.Name() != "b" || i.Size() != 2 || i.Mode() != 0o600 || i.IsDir() || i.ModTime().IsZero() {
		t.Errorf("Stat = %v", i)
	}
	must(t, f.Rename("/d", "/e"))
	if got := contents(t, f, "/e/a") + contents(t, f, "/d/a"); got != "a-" {
		t.Errorf("renaming a folder gave %q, want its files to move", got)
	}
}

func TestFileSystemErrors(t *testing.T) {
	f := New(1, Options{}).Host("a").FS()
	must(t, f.MkdirAll("/d/full", 0o700))
	file := put(t, f, "/d/full/x", "x", false)
	must(t, f.MkdirAll("/empty", 0o700))
	create := func(path string) error { _, err := f.Create(path, 0o600); return err }
	read := func(path string) error { _, err := f.ReadFile(path); return err }
	list := func(path string) error { _, err := f.ReadDir(path); return err }
	must(t, file.Close())
	for _, c := range []struct {
		name string
		err  error
		want error
	}{
		{"read nothing", read("/nothing"), fs.ErrNotExist},
		{"read a folder", read("/d"), syscall.EISDIR},
		{"create in nothing", create("/nothing/x"), fs.ErrNotExist},
		{"create in a file", create("/d/full/x/y"), syscall.ENOTDIR},
		{"create over a folder", create("/d"), syscall.EISDIR},
		{"create the root", create("/"), syscall.EISDIR},
		{"list a file", list("/d/full/x"), syscall.ENOTDIR},
		{"remove a full folder", f.Remove("/d/full"), syscall.ENOTEMPTY},
		{"remove nothing", f.Remove("/nothing"), fs.ErrNotExist},
		{"remove the root", f.Remove("/"), syscall.EBUSY},
		{"rename nothing", f.Rename("/nothing", "/x"), fs.ErrNotExist},
		{"rename to the root", f.Rename("/d/full/x", "/"), syscall.EBUSY},
		{"rename into itself", f.Rename("/d", "/d/full/d"), syscall.EINVAL},
		{"rename a file over a folder", f.Rename("/d/full/x", "/empty"), syscall.EISDIR},
		{"rename a folder over a full one", f.Rename("/empty", "/d/full"), syscall.ENOTEMPTY},
		{"make a folder below a file", f.MkdirAll("/d/full/x/y", 0o700), syscall.ENOTDIR},
		{"sync nothing", f.SyncDir("/nothing"), fs.ErrNotExist},
		{"sync a closed file", file.Sync(), fs.ErrClosed},
		{"close twice", file.Close(), fs.ErrClosed},
	} {
		if !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	must(t, f.Rename("/d/full/x", "/d/full/x"))
	if got := contents(t, f, "/d/full/x"); got != "x" {
		t.Errorf("renaming a file to itself left %q", got)
	}
}

func TestLocks(t *testing.T) {
	h := New(1, Options{}).Host("a")
	first, err := h.FS().Lock("/lock")
	must(t, err)
	_, err = h.FS().Lock("/lock")
	wantErr(t, "Lock again", err, micronet.ErrLocked)
	must(t, first.Close())
	wantErr(t, "Close again", first.Close(), fs.ErrClosed)
	second, err := h.FS().Lock("/lock")
	must(t, err)
	must(t, h.FS().SyncDir("/"))
	h.Crash()
	h.Restart()
	third, err := h.FS().Lock("/lock")
	must(t, err)
	must(t, second.Close()) // of the life before: must not give back what is another's now
	_, err = h.FS().Lock("/lock")
	wantErr(t, "Lock in the next life", err, micronet.ErrLocked)
	must(t, third.Close())
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(1, Options{}).Host("a")
		f := h.FS()
		ctx, cancel := context.WithCancel(t.Context())
		c, err := f.Watch(ctx, "/conf/services.d")
		must(t, err)
		changed := func() bool {
			select {
			case <-c:
				return true
			default:
				return false
			}
		}
		if changed() {
			t.Error("a change before anything happened")
		}
		for _, s := range []struct {
			name string
			act  func()
			want bool
		}{
			{"made", func() { must(t, f.MkdirAll("/conf/services.d", 0o755)) }, true},
			{"file created", func() { put(t, f, "/conf/services.d/a", "", false) }, true},
			{"file elsewhere", func() { put(t, f, "/conf/x", "x", false) }, false},
			{"file moved in", func() { must(t, f.Rename("/conf/x", "/conf/services.d/x")) }, true},
			{"file moved out", func() { must(t, f.Rename("/conf/services.d/x", "/conf/x")) }, true},
			{"file removed", func() { must(t, f.Remove("/conf/services.d/a")) }, true},
			{"read only", func() { _, _ = f.ReadDir("/conf/services.d") }, false},
			{"ended", func() { cancel(); put(t, f, "/conf/services.d/b", "", false) }, false},
		} {
			s.act()
			if got := changed(); got != s.want {
				t.Errorf("%s: changed = %v, want %v", s.name, got, s.want)
			}
			if changed() {
				t.Errorf("%s: one change was told twice", s.name)
			}
		}
	})
}

func TestDiskFaults(t *testing.T) {
	h := New(1, Options{}).Host("a")
	f := h.FS()
	file := put(t, f, "/x", "x", true)
	h.Disk().SetFault(func(op, path string) error {
		if op == "sync" && path == "/x" {
			return syscall.EIO
		}
		return nil
	})
	wantErr(t, "Sync", file.Sync(), syscall.EIO)
	_, err := file.Write([]byte("y"))
	must(t, err)
	h.Disk().SetFault(nil)
	must(t, file.Sync())
	if _, err := f.ReadFile("/y"); !errors.Is(err, os.ErrNotExist) || errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFile = %v, want not found", err)
	}
}

// Who observes a file sees each change of it when it is made, and what a crash would leave of it is less than that
// until it is synced.
func TestObservedFile(t *testing.T) {
	h := New(1, Options{}).Host("a")
	f, d := h.FS(), h.Disk()
	var seen []string
	d.Observe("/key", func(data []byte) { seen = append(seen, string(data)) })
	must(t, micronet.WriteFile(f, "/key", []byte("one"), 0o600))
	must(t, micronet.WriteFile(f, "/other", []byte("x"), 0o600))
	put(t, f, "/new", "two", true)
	must(t, f.Rename("/new", "/key"))
	if got := string(d.Durable("/key")); got != "one" {
		t.Errorf("a crash before the folder is synced leaves %q", got)
	}
	must(t, f.SyncDir("/"))
	add(t, f, "/key", "!", false)
	if got := string(d.Durable("/key")); got != "two" {
		t.Errorf("a crash before the file is synced leaves %q", got)
	}
	d.SetFault(DiskReadOnly)
	wantErr(t, "Remove", f.Remove("/key"), syscall.EROFS)
	d.SetFault(nil)
	must(t, f.Remove("/key"))
	if got := strings.Join(seen, " "); got != "one two two two! " {
		t.Errorf("seen: %q", got)
	}
	if d.Durable("/nothing/at/all") != nil || d.Durable("/key/below") != nil {
		t.Error("something is where nothing is")
	}
}
