package netsim

import (
	"context"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

// Disk is the disk of a host. A crash loses everything that was not made durable: contents
// without File.Sync; names (created, renamed, removed) without SyncDir of their folder. Folders
// made by MkdirAll are durable at once. Host.SetTorn makes a crash leave some of that. Permissions
// are kept and not enforced.
type Disk struct {
	mu      sync.Mutex
	root    *inode
	view    *view
	fault   func(op, path string) error
	watched map[string]*watchers
	seen    map[string]func(data []byte) // by path
	tear    tear
	crashes uint64
}

func newDisk() *Disk {
	d := &Disk{root: newFolder(0o755, time.Time{})}
	d.mount()
	return d
}

// SetFault makes operations fail: f is asked before each one and its error, unless nil, is the
// result. op is one of read, create, append, write, sync, rename, remove, syncdir, mkdir, readdir, stat,
// lock and watch. f must not call the disk; nil takes the fault away. DiskFull, DiskEIO and
// DiskReadOnly are such functions.
func (d *Disk) SetFault(f func(op, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

// Observe tells f of each change of a file that a program makes, with what programs read from then on: nil when the
// file is gone. f must not call the disk, nor change the data.
func (d *Disk) Observe(path string, f func(data []byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen == nil {
		d.seen = map[string]func([]byte){}
	}
	d.seen[clean(path)] = f
}

// Durable is what a crash at this moment would leave of a file, nil for nothing. No fault hits it. What a torn disk
// keeps besides is not in it.
func (d *Disk) Durable(path string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.root
	for _, name := range names(clean(path)) {
		if n = n.durable[name]; n == nil {
			return nil
		}
	}
	return slices.Clone(n.synced)
}

// current returns the file system of the present life.
func (d *Disk) current() micronet.FS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.view
}

// mount begins a life.
func (d *Disk) mount() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.view = &view{d: d}
	d.watched = map[string]*watchers{}
}

// crash ends a life: all that is not durable is lost.
func (d *Disk) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.view.dead = true
	d.watched = nil
	d.root.crash("", d.nextTearLocked())
}

// changedLocked tells those who watch the folder of path, or path itself.
func (d *Disk) changedLocked(path string) {
	for _, p := range []string{filepath.Dir(path), path} {
		if l := d.watched[p]; l != nil {
			l.tell()
		}
	}
	if see := d.seen[path]; see != nil {
		var data []byte
		if n := d.root.walk(path); n != nil {
			data = slices.Clone(n.data)
		}
		see(data)
	}
}

// view is the file system of one life: it fails once the host has crashed.
type view struct {
	d    *Disk
	dead bool // guarded by d.mu
}

var _ micronet.FS = (*view)(nil)

// do runs one operation under the lock, unless the host is down or a fault hits it.
func (v *view) do(op, path string, f func(path string) error) error {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	path = clean(path)
	err := v.checkLocked(op, path)
	if err == nil {
		err = f(path)
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: path, Err: err}
	}
	return nil
}

func (v *view) checkLocked(op, path string) error {
	if v.dead {
		return fs.ErrClosed
	}
	if v.d.fault != nil {
		return v.d.fault(op, path)
	}
	return nil
}

// findLocked returns what lies at path.
func (v *view) findLocked(path string) (*inode, error) {
	if n := v.d.root.walk(path); n != nil {
		return n, nil
	}
	return nil, fs.ErrNotExist
}

// folderLocked returns the folder at path.
func (v *view) folderLocked(path string) (*inode, error) {
	n, err := v.findLocked(path)
	if err == nil && !n.isDir() {
		return nil, syscall.ENOTDIR
	}
	return n, err
}

// ReadFile returns the contents of a file.
func (v *view) ReadFile(path string) (data []byte, err error) {
	err = v.do("read", path, func(path string) error {
		n, err := v.findLocked(path)
		if err != nil {
			return err
		}
		if n.isDir() {
			return syscall.EISDIR
		}
		data = slices.Clone(n.data)
		return nil
	})
	return data, err
}

// Create makes or truncates a file for writing.
func (v *view) Create(path string, perm fs.FileMode) (micronet.File, error) {
	var f *file
	err := v.do("create", path, func(path string) error {
		n, err := v.openLocked(path, perm)
		if err != nil {
			return err
		}
		n.data, n.modified = nil, time.Now()
		f = &file{v: v, n: n, path: path}
		v.d.changedLocked(path)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Append opens a file for writing at its end.
func (v *view) Append(path string, perm fs.FileMode) (micronet.File, error) {
	var f *file
	err := v.do("append", path, func(path string) error {
		n, err := v.openLocked(path, perm)
		if err != nil {
			return err
		}
		f = &file{v: v, n: n, path: path}
		v.d.changedLocked(path)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openLocked returns the file at path, made if need be.
func (v *view) openLocked(path string, perm fs.FileMode) (*inode, error) {
	dir, err := v.folderLocked(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if path == filepath.Dir(path) {
		return nil, syscall.EISDIR
	}
	name := filepath.Base(path)
	n := dir.entries[name]
	if n == nil {
		n = newFile(perm, time.Now())
		dir.set(change{name: name, n: n})
	}
	if n.isDir() {
		return nil, syscall.EISDIR
	}
	return n, nil
}

// Rename moves a file or a folder, in place of a file or an empty folder if there is one.
func (v *view) Rename(from, to string) error {
	to = clean(to)
	return v.do("rename", from, func(from string) error {
		n, err := v.findLocked(from)
		if err != nil {
			return err
		}
		dir, err := v.folderLocked(filepath.Dir(to))
		if err != nil {
			return err
		}
		if err := checkReplace(n, dir.entries[filepath.Base(to)], from, to); err != nil || from == to {
			return err
		}
		c := change{name: filepath.Base(to), n: n}
		if old := v.d.root.walk(filepath.Dir(from)); old == dir {
			c.from = filepath.Base(from)
		} else {
			old.set(change{name: filepath.Base(from)})
		}
		dir.set(c)
		v.d.changedLocked(from)
		v.d.changedLocked(to)
		return nil
	})
}

// checkReplace reports why n cannot take the place of old, which may be nil (rename(2)).
func checkReplace(n, old *inode, from, to string) error {
	switch {
	case n.isDir() && isBelow(to, from):
		return syscall.EINVAL
	case to == filepath.Dir(to): // the root
		return syscall.EBUSY
	case old == nil || old == n:
		return nil
	case n.isDir() && !old.isDir():
		return syscall.ENOTDIR
	case !n.isDir() && old.isDir():
		return syscall.EISDIR
	case len(old.entries) > 0:
		return syscall.ENOTEMPTY
	}
	return nil
}

// isBelow reports whether path lies inside the folder dir.
func isBelow(path, dir string) bool {
	for ; path != filepath.Dir(path); path = filepath.Dir(path) {
		if filepath.Dir(path) == dir {
			return true
		}
	}
	return false
}

// Remove removes a file or an empty folder.
func (v *view) Remove(path string) error {
	return v.do("remove", path, func(path string) error {
		n, err := v.findLocked(path)
		switch {
		case err != nil:
			return err
		case n == v.d.root:
			return syscall.EBUSY
		case len(n.entries) > 0:
			return syscall.ENOTEMPTY
		}
		v.d.root.walk(filepath.Dir(path)).set(change{name: filepath.Base(path)})
		v.d.changedLocked(path)
		return nil
	})
}

// SyncDir makes creations, renames and removals in a folder durable.
func (v *view) SyncDir(path string) error {
	return v.do("syncdir", path, func(path string) error {
		dir, err := v.folderLocked(path)
		if err == nil {
			dir.sync()
		}
		return err
	})
}

// MkdirAll makes a folder and those above it, durable at once.
func (v *view) MkdirAll(path string, perm fs.FileMode) error {
	op := "mkdir"
	if v.isFolder(path) {
		op = "stat" // nothing is made: a full disk does not mind
	}
	return v.do(op, path, func(path string) error {
		n, at := v.d.root, clean("")
		for _, name := range names(path) {
			at = filepath.Join(at, name)
			next := n.entries[name]
			if next == nil {
				next = newFolder(perm, time.Now())
				n.entries[name], n.durable[name] = next, next
				v.d.changedLocked(at)
			}
			if !next.isDir() {
				return syscall.ENOTDIR
			}
			n = next
		}
		return nil
	})
}

func (v *view) isFolder(path string) bool {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	n := v.d.root.walk(clean(path))
	return n != nil && n.isDir()
}

// ReadDir lists a folder by name.
func (v *view) ReadDir(path string) (list []fs.DirEntry, err error) {
	err = v.do("readdir", path, func(path string) error {
		dir, err := v.folderLocked(path)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(dir.entries)) {
			list = append(list, fs.FileInfoToDirEntry(dir.entries[name].info(name)))
		}
		return nil
	})
	return list, err
}

// Stat describes a file or a folder.
func (v *view) Stat(path string) (i fs.FileInfo, err error) {
	err = v.do("stat", path, func(path string) error {
		n, err := v.findLocked(path)
		if err == nil {
			i = n.info(filepath.Base(path))
		}
		return err
	})
	return i, err
}

// Lock takes a lock file, made if need be; see micronet.FS. It ends with the host's life.
func (v *view) Lock(path string) (io.Closer, error) {
	l := &lock{v: v}
	err := v.do("lock", path, func(path string) error {
		n, err := v.openLocked(path, 0o600)
		if err != nil {
			return err
		}
		if n.locked {
			return micronet.ErrLocked
		}
		n.locked = true
		l.n = n
		return nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Watch sends after any change in a folder, or of the folder itself; see micronet.FS.
func (v *view) Watch(ctx context.Context, dir string) (c <-chan struct{}, err error) {
	err = v.do("watch", dir, func(dir string) error {
		if v.d.watched[dir] == nil {
			v.d.watched[dir] = &watchers{}
		}
		c = v.d.watched[dir].add(ctx)
		return nil
	})
	return c, err
}
