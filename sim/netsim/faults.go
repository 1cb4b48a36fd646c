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

// Passes reports whether packets can get from one host to another now, if no link loses them, and
// no NAT or firewall stops them.
func (w *World) Passes(from, to *Host) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passesLocked(from, to)
}

func (w *World) passesLocked(from, to *Host) bool {
	d := direction{from, to}
	return d.ofPlace() || !w.linkLocked(from, to).Blocked && !w.division.severs(d) && !w.division.filters(d)
}

// ofPlace reports whether one end is a NAT, which no partition is about: only hosts are.
func (d direction) ofPlace() bool { return d.from.realm == nil || d.to.realm == nil }

func (w *World) linkLocked(from, to *Host) Link {
	if from == to {
		return w.opts.Local
	}
	if l, ok := w.links[direction{from, to}]; ok {
		return l
	}
	return w.opts.Link
}

// severedLocked is division.severs, remembered by the path until something changes: partitions
// cost a packet nothing, whatever their number.
func (w *World) severedLocked(way *path, d direction) bool {
	if way.asked != w.division.changes {
		way.asked, way.severed = w.division.changes, w.division.severs(d)
	}
	return way.severed || w.division.filters(d)
}
