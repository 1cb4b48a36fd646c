package netsim

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// inode is a file or a folder: what programs see, and what would be left after a crash.
type inode struct {
	mode     fs.FileMode
	modified time.Time

	data, synced []byte // of a file

	entries, durable map[string]*inode // of a folder
	pending          []change          // what made entries out of durable

	locked bool
}

// change is one change of the names in a folder. It happens whole or not at all.
type change struct {
	name string
	n    *inode // what has the name now, nil for nothing
	from string // the name in the same folder that n had before, if it was moved
}

// set changes a name in a folder.
func (n *inode) set(c change) {
	c.apply(n.entries)
	n.pending = append(n.pending, c)
}

func (c change) apply(names map[string]*inode) {
	if c.from != "" && names[c.from] == c.n {
		delete(names, c.from)
	}
	if c.n == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.n
}

func newFile(perm fs.FileMode, now time.Time) *inode {
	return &inode{mode: perm.Perm(), modified: now}
}

func newFolder(perm fs.FileMode, now time.Time) *inode {
	return &inode{
		mode: fs.ModeDir | perm.Perm(), modified: now,
		entries: map[string]*inode{}, durable: map[string]*inode{},
	}
}

func (n *inode) isDir() bool { return n.entries != nil }

// walk returns what lies at a clean absolute path, nil when there is nothing.
func (n *inode) walk(path string) *inode {
	for _, name := range names(path) {
		if !n.isDir() || n.entries[name] == nil {
			return nil
		}
		n = n.entries[name]
	}
	return n
}

// crash makes what is durable, and what the tear leaves, what programs see. path is that of the
// inode.
func (n *inode) crash(path string, t tear) {
	n.locked = false
	if !n.isDir() {
		n.data = t.data(path, n.data, n.synced)
		n.synced = slices.Clone(n.data)
		return
	}
	for _, c := range t.kept(path, n.pending) {
		c.apply(n.durable)
	}
	n.pending = nil
	clear(n.entries)
	for name, e := range n.durable {
		n.entries[name] = e
		e.crash(path+"/"+name, t)
	}
}

// sync makes the names in a folder durable: creations, renames and removals.
func (n *inode) sync() {
	n.pending = nil
	clear(n.durable)
	for name, e := range n.entries {
		n.durable[name] = e
	}
}

// names splits a clean absolute path; the root has none.
func names(path string) []string {
	path = strings.Trim(path, string(filepath.Separator))
	if path == "" {
		return nil
	}
	return strings.Split(path, string(filepath.Separator))
}

// clean returns the absolute form of a path; relative ones start at the root.
func clean(path string) string {
	return filepath.Join(string(filepath.Separator), path)
}

// info is an inode as fs.FileInfo, at the moment it was asked for.
type info struct {
	name     string
	size     int64
	mode     fs.FileMode
	modified time.Time
}

func (n *inode) info(name string) fs.FileInfo {
	return info{name: name, size: int64(len(n.data)), mode: n.mode, modified: n.modified}
}

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) Mode() fs.FileMode  { return i.mode }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.mode.IsDir() }
func (i info) Sys() any           { return nil }
