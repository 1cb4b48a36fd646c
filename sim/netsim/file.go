package netsim

import (
	"io/fs"
	"time"
)

// file is a file open for writing. It stays with its inode when the name moves.
type file struct {
	v      *view
	n      *inode
	path   string // by which it was opened
	closed bool   // guarded by Disk.mu
}

// Write appends to the file.
func (f *file) Write(b []byte) (int, error) {
	err := f.do("write", func() {
		f.n.data = append(f.n.data, b...)
		f.n.modified = time.Now()
		f.v.d.changedLocked(f.path)
	})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// Sync makes the contents durable; the name becomes so by SyncDir.
func (f *file) Sync() error {
	// Data only grows, or begins anew: what is there does not change.
	return f.do("sync", func() { f.n.synced = f.n.data[:len(f.n.data):len(f.n.data)] })
}

func (f *file) do(op string, act func()) error {
	return f.v.do(op, f.path, func(string) error {
		if f.closed {
			return fs.ErrClosed
		}
		act()
		return nil
	})
}

// Close ends the use of the file. It makes nothing durable.
func (f *file) Close() error {
	f.v.d.mu.Lock()
	defer f.v.d.mu.Unlock()
	if f.closed || f.v.dead {
		return &fs.PathError{Op: "close", Path: f.path, Err: fs.ErrClosed}
	}
	f.closed = true
	return nil
}

// lock is a lock file that somebody holds.
type lock struct {
	v *view
	n *inode // nil once given back
}

// Close gives the lock back.
func (l *lock) Close() error {
	l.v.d.mu.Lock()
	defer l.v.d.mu.Unlock()
	if l.n == nil {
		return fs.ErrClosed
	}
	if !l.v.dead { // else the crash did it, and the lock may be somebody's of the next life
		l.n.locked = false
	}
	l.n = nil
	return nil
}
