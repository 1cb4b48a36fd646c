package netsim

import (
	"maps"
	"slices"
	"time"
)

// DiskImage is a copy of all that lay on a disk at some time. It does not change. The zero
// DiskImage is an empty disk.
type DiskImage struct{ root *inode }

// Snapshot copies the disk as programs see it, as a snapshot of a machine does that syncs first.
func (d *Disk) Snapshot() DiskImage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return DiskImage{d.root.clone()}
}

// Wreck copies what a crash at this moment would leave. draw picks one of the ways in which what was not
// synced may survive in part, see Host.SetTorn; with 0 nothing of it does.
func (d *Disk) Wreck(draw uint64) DiskImage {
	d.mu.Lock()
	root := d.root.twin(map[*inode]*inode{})
	d.mu.Unlock()
	root.crash("", tear{draw != 0, mix(draw)})
	return DiskImage{root}
}

// Restore puts an image in place of all that is on the disk. Everything in it is durable. Do it
// while the host is down: programs that run keep the files they have open, on the old disk, and
// the locks of others are gone.
func (d *Disk) Restore(i DiskImage) {
	root := newFolder(0o755, time.Time{})
	if i.root != nil {
		root = i.root.clone()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.root = root
	for _, path := range slices.Sorted(maps.Keys(d.watched)) {
		d.watched[path].tell()
	}
}

// CloneTo makes another disk a copy of this one: the image of a machine, started twice.
func (d *Disk) CloneTo(to *Disk) { to.Restore(d.Snapshot()) }

// clone copies an inode and all below it as programs see them, durable and without locks.
func (n *inode) clone() *inode {
	c := &inode{mode: n.mode, modified: n.modified}
	if !n.isDir() {
		c.data, c.synced = slices.Clone(n.data), slices.Clone(n.data)
		return c
	}
	c.entries = make(map[string]*inode, len(n.entries))
	for name, e := range n.entries {
		c.entries[name] = e.clone()
	}
	c.durable = maps.Clone(c.entries)
	return c
}

// twin copies an inode and all below it with what is durable of them. A file of two names stays one.
func (n *inode) twin(made map[*inode]*inode) *inode {
	if n == nil || made[n] != nil {
		return made[n]
	}
	c := &inode{mode: n.mode, modified: n.modified, data: slices.Clone(n.data), synced: slices.Clone(n.synced)}
	made[n] = c
	if !n.isDir() {
		return c
	}
	c.entries, c.durable = make(map[string]*inode, len(n.entries)), make(map[string]*inode, len(n.durable))
	for name, e := range n.entries {
		c.entries[name] = e.twin(made)
	}
	for name, e := range n.durable {
		c.durable[name] = e.twin(made)
	}
	for _, p := range n.pending {
		c.pending = append(c.pending, change{p.name, p.n.twin(made), p.from})
	}
	return c
}
