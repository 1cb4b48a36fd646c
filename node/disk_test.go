package node

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
)

func testDisk() (disk, *netsim.Host) {
	h := netsim.New(1, netsim.Options{}).Host("h")
	return disk{fs: h.FS(), dir: testDir}, h
}

func TestDiskKeepsNothingWithoutAFolder(t *testing.T) {
	var d disk
	if err := d.save("x", 1); err != nil {
		t.Error(err)
	}
	var n int
	if found, err := d.load("x", &n); found || err != nil {
		t.Errorf("load = %v, %v", found, err)
	}
	if err := errors.Join(d.remove("x"), d.rename("x", "y")); err != nil {
		t.Error(err)
	}
	lock, err := d.open()
	if err != nil || lock.Close() != nil {
		t.Errorf("open = %v", err)
	}
}

func TestDiskRoundTrip(t *testing.T) {
	d, _ := testDisk()
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	in := map[string]int{"a": 1}
	if err := d.save("x.json", in); err != nil {
		t.Fatal(err)
	}
	var out map[string]int
	if found, err := d.load("x.json", &out); !found || err != nil || out["a"] != 1 {
		t.Errorf("load = %v, %v, %v", out, found, err)
	}
	if info, err := d.fs.Stat(d.path("x.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v; want 0600", info.Mode(), err)
	}
	if info, err := d.fs.Stat(testDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v, %v; want 0700", info.Mode(), err)
	}
	if err := d.rename("x.json", "y.json"); err != nil {
		t.Fatal(err)
	}
	if found, err := d.load("x.json", &out); found || err != nil {
		t.Errorf("the old name is still there: %v", err)
	}
	if err := d.remove("y.json", "never-there"); err != nil {
		t.Error(err)
	}
	if found, err := d.load("y.json", &out); found || err != nil {
		t.Errorf("it is still there: %v", err)
	}
}

func TestH33_DiskRefusesWhatIsNotOurs(t *testing.T) {
	d, _ := testDisk()
	if _, err := d.open(); err != nil {
		t.Fatal(err)
	}
	if err := d.save("good", []int{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	good, err := d.fs.ReadFile(d.path("good"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty": "", "torn": string(good[:len(good)/2]), "foreign": "hello\n", "other JSON": `{"format":"somebody/1","sum":"","data":[]}`,
		"changed": strings.Replace(string(good), "2", "7", 1), "newer": strings.Replace(string(good), diskFormat, "micro-net/2", 1),
	} {
		if err := micronet.WriteFile(d.fs, d.path("bad"), []byte(content), secretPerm); err != nil {
			t.Fatal(err)
		}
		var v []int
		_, err := d.load("bad", &v)
		wantError(t, name, err, micronet.Invalid, testDir+"/bad", "nothing was overwritten")
	}
	var wrong map[string]string
	_, err = d.load("good", &wrong)
	wantError(t, "another type", err, micronet.Invalid, testDir+"/good")
}

func TestDiskLock(t *testing.T) {
	d, _ := testDisk()
	lock, err := d.open()
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.open()
	wantError(t, "a second daemon", err, micronet.Refused, "another daemon uses "+testDir, "--data-dir")
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.open(); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

func TestD1_DiskThatCannotBeUsed(t *testing.T) {
	for _, fault := range []error{syscall.EACCES, syscall.ENOSPC, syscall.EIO, syscall.ENOENT, syscall.EROFS, fs.ErrClosed} {
		for _, op := range []string{"mkdir", "lock"} {
			d, h := testDisk()
			h.Disk().SetFault(func(o, _ string) error {
				if o == op {
					return fault
				}
				return nil
			})
			_, err := d.open()
			wantError(t, op+" "+fault.Error(), err, micronet.Refused, testDir, "--data-dir")
			if code := micronet.KindOf(err).ExitCode(); code != micronet.ExitRefused {
				t.Errorf("%v is exit code %d", err, code)
			}
		}
	}
}

// foreign is a file system where one file belongs to somebody else.
type foreign struct {
	micronet.FS
	path  string
	owner int
}

func (f foreign) Owner(path string) (int, error) {
	if path == f.path {
		return f.owner, nil
	}
	return 1000, nil
}

// A start is refused, and nothing changed, while others can read or replace what the daemon relies on.
func TestQ38_LooseFilesAreRefused(t *testing.T) {
	inBubble(t, 21, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		b.start("b", b.invite(a))
		b.halt(a)
		files, err := a.host.FS().ReadDir(testDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			path := testDir + "/" + f.Name()
			good, err := a.host.FS().ReadFile(path)
			if err != nil || f.Name() == fileLock {
				continue
			}
			for _, loose := range []fs.FileMode{0o640, 0o604, 0o620, 0o666} {
				if err := micronet.WriteFile(a.host.FS(), path, good, loose); err != nil {
					t.Fatal(err)
				}
				b.launch("a", "")
				wantError(t, f.Name(), b.ended(a, time.Minute), micronet.Refused, "chmod 0600 "+path)
			}
			if err := micronet.WriteFile(a.host.FS(), path, good, secretPerm); err != nil {
				t.Fatal(err)
			}
			b.launch("a", "", func(c *Config) {
				c.Env.FS, c.Env.Host.UID = foreign{c.Env.FS, path, 4711}, 1000
			})
			wantError(t, f.Name(), b.ended(a, time.Minute), micronet.Refused, "belongs to user 4711", "chown 1000 "+path)
		}
		b.launch("a", "", func(c *Config) {
			c.Env.FS, c.Env.Host.UID = foreign{c.Env.FS, testDir, 4711}, 1000
		})
		wantError(t, "the folder", b.ended(a, time.Minute), micronet.Refused, "belongs to user 4711", testDir)
		b.start("a", "")
	})
}

// Whoever may write a service file may have the daemon run commands.
func TestH32_ServiceFilesOfOthers(t *testing.T) {
	inBubble(t, 22, func(t *testing.T, b *bubble) {
		log := &recorder{}
		n := b.prepare("a")
		script := "services:\n  - {name: evil, port: 1, checks: [{script: [reboot]}]}\n"
		b.write(n, "theirs.yaml", script)
		b.write(n, "open.yaml", script)
		if err := micronet.WriteFile(n.host.FS(), filesDir+"/open.yaml", []byte(script), 0o666); err != nil {
			t.Fatal(err)
		}
		b.write(n, "ours.yaml", "services:\n  - {name: web, port: 8080, checks: none}\n")
		b.start("a", "", func(c *Config) {
			c.Env.Log = log.logger()
			c.Env.FS, c.Env.Host.UID = foreign{c.Env.FS, filesDir + "/theirs.yaml", 4711}, 1000
		})
		time.Sleep(3 * filesEvery)
		b.offers(n, "web:8080")
		if got := log.count("cannot be read"); got != 2 {
			t.Errorf("two files that are not read are told %d times", got)
		}
		if w := fmt.Sprint(n.backend().Status().Warnings); !strings.Contains(w, "belongs to user 4711") || !strings.Contains(w, "chmod 0664") {
			t.Errorf("warnings: %s", w)
		}
	})
}
