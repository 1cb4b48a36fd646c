package netsim

import "slices"

// tear decides what a crash leaves of what was not synced. The zero tear leaves nothing.
type tear struct {
	on   bool
	hash uint64 // names the decisions
}

// The decisions about a crash.
const (
	drawNames = iota + 1
	drawData
	drawFirst
	drawChange // and those after it
)

// SetTorn makes crashes leave a part of what was not synced, as disks do: of each file a prefix of
// its new contents, perhaps nothing of one that was truncated; of the changes of names in a folder
// none, all, the first few, or any. Which is a hash of the world's seed, the host and the number of
// the crash. All of that can happen to any program that does not sync.
func (h *Host) SetTorn(on bool) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	h.disk.tear = tear{on, hashOf(h.w.seed, "tear", h.name)}
}

// nextTearLocked is that of the next crash.
func (d *Disk) nextTearLocked() tear {
	d.crashes++
	return tear{d.tear.on, nth(d.tear.hash, d.crashes)}
}

// kept are the changes of names in the folder at path that survive without having been synced.
func (t tear) kept(path string, all []change) []change {
	if !t.on {
		return nil
	}
	h := hashOf(t.hash, path)
	switch nth(h, drawNames) % 4 {
	case 0:
		return nil
	case 1:
		return all
	case 2:
		return all[:nth(h, drawFirst)%uint64(len(all)+1)]
	}
	var some []change
	for i, c := range all {
		if share(h, drawChange+uint64(i)) < 0.5 {
			some = append(some, c)
		}
	}
	return some
}

// data is what survives of a file at path.
func (t tear) data(path string, data, synced []byte) []byte {
	if !t.on {
		return slices.Clone(synced)
	}
	low := commonPrefix(data, synced)
	if low < len(synced) { // it was written anew: the old contents are gone with the first block
		low = 0
	}
	n := low + int(nth(hashOf(t.hash, path), drawData)%uint64(len(data)-low+1))
	return slices.Clone(data[:n])
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
