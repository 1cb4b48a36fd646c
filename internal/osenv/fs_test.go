package osenv

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWriteFileReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, "an old text that is longer")
	write(t, path+".tmp", "left by a crash")
	if err := micronet.WriteFile(FS{}, path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := FS{}.ReadFile(path)
	if err != nil || string(got) != "new" {
		t.Errorf("%q %v", got, err)
	}
	info, err := FS{}.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	entries, err := FS{}.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files are left: %v", len(entries), err)
	}
}

func TestQ38_CreateSetsThePermissionWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "file")
	f, err := FS{}.Create(path, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o666 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
}

func TestH32_ReadFileTakesRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("file"), "text")
	for _, err := range []error{
		os.Symlink(at("file"), at("link")), os.Symlink(at("loop"), at("loop")), syscall.Mkfifo(at("pipe"), 0o600), os.Mkdir(at("folder"), 0o700),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, at("huge"), "")
	if err := os.Truncate(at("huge"), maxRead+1); err != nil {
		t.Fatal(err)
	}
	write(t, at("large"), "")
	if err := os.Truncate(at("large"), maxRead); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"file": "text", "link": "text"} {
		if got, err := (FS{}).ReadFile(at(name)); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if got, err := (FS{}).ReadFile(at("large")); err != nil || len(got) != maxRead {
		t.Errorf("large: %d bytes %v", len(got), err)
	}
	for path, want := range map[string]string{
		at("pipe"):   "read " + at("pipe") + ": not a regular file",
		at("folder"): "read " + at("folder") + ": not a regular file",
		"/dev/zero":  "read /dev/zero: not a regular file",
		at("huge"):   "read " + at("huge") + ": larger than 64 MiB",
		at("loop"):   "open " + at("loop") + ": too many levels of symbolic links",
	} {
		if _, err := (FS{}).ReadFile(path); err == nil || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := (FS{}).ReadFile(at("missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if runtime.GOOS == "linux" {
		if got, err := (FS{}).ReadFile("/proc/self/stat"); err != nil || len(got) == 0 { // its size is 0
			t.Errorf("/proc/self/stat: %q %v", got, err)
		}
	}
}

func watch(t *testing.T, dir string) <-chan struct{} {
	t.Helper()
	c, err := FS{}.Watch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// until waits for a change after which the file can be read: several events may stand for one change.
func until(t *testing.T, changed <-chan struct{}, path string) {
	t.Helper()
	for {
		within(t, "a change of "+path, changed)
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	changed := watch(t, dir)
	path := filepath.Join(dir, "web.yaml")
	write(t, path, "a")
	until(t, changed, path)
	if err := micronet.WriteFile(FS{}, filepath.Join(dir, "b.yaml"), []byte("b"), 0o644); err != nil {
		t.Fatal(err)
	}
	until(t, changed, filepath.Join(dir, "b.yaml"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for {
		within(t, "the removal", changed)
		if _, err := os.Stat(path); err != nil {
			return
		}
	}
}

// The folder of service files often does not exist yet, nor the one above it.
func TestWatchOfAFolderThatAppearsLater(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "etc", "micro-net", "services.d")
	changed := watch(t, dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	until(t, changed, dir)
	path := filepath.Join(dir, "web.yaml")
	write(t, path, "a")
	until(t, changed, path)

	// Gone and back, as when a package is installed anew.
	if err := os.RemoveAll(filepath.Join(base, "etc")); err != nil {
		t.Fatal(err)
	}
	for {
		within(t, "the removal", changed)
		if _, err := os.Stat(dir); err != nil {
			break
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, path, "b")
	until(t, changed, path)

	// Moved away, and another put in its place.
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.yaml")
	write(t, other, "c")
	until(t, changed, other)
}

func TestWatchEndsWithItsContext(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	for range 10 {
		if _, err := (FS{}).Watch(ctx, t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	settleGoroutines(t, before)
}

// settleGoroutines waits until no more goroutines run than before.
func settleGoroutines(t *testing.T, before int) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for runtime.NumGoroutine() > before+1 { // this one
			if t.Context().Err() != nil {
				return
			}
			runtime.Gosched()
		}
	}()
	within(t, "the end of the goroutines", ended)
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held, err := FS{}.Lock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (FS{}).Lock(path); !errors.Is(err, micronet.ErrLocked) {
		t.Errorf("a second lock: %v", err)
	}
	if c := startChild(t, "lock="+path); c.says != "done "+path+": locked by another process" {
		t.Errorf("another process: %s", c.says)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, "lock="+path)
	if c.says != "done <nil>" {
		t.Fatalf("another process, once it is free: %s", c.says)
	}
	if _, err := (FS{}).Lock(path); !errors.Is(err, micronet.ErrLocked) {
		t.Errorf("while another process holds it: %v", err)
	}
	c.kill() // a crash leaves no lock behind
	again, err := FS{}.Lock(path)
	if err != nil {
		t.Fatalf("after the crash: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if _, err := (FS{}).Lock(filepath.Join(path, "below")); err == nil || errors.Is(err, micronet.ErrLocked) {
		t.Errorf("a lock below a file: %v", err)
	}
}

func TestSyncDir(t *testing.T) {
	if err := (FS{}).SyncDir(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := (FS{}).SyncDir("/nowhere/at/all"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, more := range []string{"one\n", "two\n"} {
		f, err := FS{}.Append(path, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(more)); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	got, err := FS{}.ReadFile(path)
	if err != nil || string(got) != "one\ntwo\n" {
		t.Errorf("%q %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

// A daemon leaves no core file, nor do its children.
func TestQ38_NoCoreDumps(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the limit is read from /proc")
	}
	if c := startChild(t, "core"); c.says != "[0 0] done <nil>" {
		t.Errorf("the limits after NoCoreDumps: %s", c.says)
	}
}

// Whose a file is, and who may write it, decides whether it is relied on.
func TestQ38_CheckFile(t *testing.T) {
	path, me := filepath.Join(t.TempDir(), "file"), os.Geteuid()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode, forbidden os.FileMode
		uid             int
		word            string
	}{
		{0o600, 0o077, me, ""},
		{0o640, 0o077, me, "chmod 0600 " + path},
		{0o604, 0o077, me, "chmod 0600 " + path},
		{0o644, 0o022, me, ""},
		{0o666, 0o002, me, "chmod 0664 " + path},
		{0o600, 0o077, 12345, map[bool]string{true: "", false: "chown 12345 " + path}[me == 0]}, // root's are everybody's
	} {
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		err := micronet.CheckFile(FS{}, path, c.uid, c.forbidden)
		if (err == nil) != (c.word == "") || err != nil && !strings.Contains(err.Error(), c.word) {
			t.Errorf("%o, forbidden %o, user %d: %v, want %q", c.mode, c.forbidden, c.uid, err, c.word)
		}
	}
	if err := micronet.CheckFile(FS{}, path+".none", me, 0o077); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
