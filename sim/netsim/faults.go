package netsim

// SetLink makes l the path from one host to another, in that direction alone.
func (w *World) SetLink(from, to *Host, l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[direction{from, to}] = l
}

// SetDefaultLink makes l the path between hosts that SetLink says nothing about.
func (w *World) SetDefaultLink(l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opts.Link = l
}

// LinkOf returns the path from one host to another, without cuts and partitions.
func (w *World) LinkOf(from, to *Host) Link {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.linkLocked(from, to)
}

// Partition keeps the groups apart from each other. Hosts in no group are together one more
// group: Partition of one host isolates it. A partition replaces the one before.
func (w *World) Partition(groups ...[]*Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sides = map[*Host]int{}
	for i, g := range groups {
		for _, h := range g {
			w.sides[h] = i + 1
		}
	}
}

// Cut lets nothing pass from one host to another; the way back stays as it is.
func (w *World) Cut(from, to *Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts[direction{from, to}] = true
}

// Heal takes back all cuts and the partition. Links stay as SetLink made them.
func (w *World) Heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sides = nil
	clear(w.cuts)
}

func (w *World) linkLocked(from, to *Host) Link {
	if from == to {
		return w.opts.Local
	}
	if l, ok := w.links[direction{from, to}]; ok {
		return l
	}
	return w.opts.Link
}

// effectiveLocked is the link with cuts and the partition.
func (w *World) effectiveLocked(from, to *Host) Link {
	l := w.linkLocked(from, to)
	if w.sides[from] != w.sides[to] || w.cuts[direction{from, to}] || (w.filter != nil && from != to && !w.filter(from, to)) {
		l.Blocked = true
	}
	return l
}
