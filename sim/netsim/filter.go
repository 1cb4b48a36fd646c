package netsim

// SetFilter lets pass decide, besides cuts and partitions, whether packets get from one host to
// another: it is asked for each, with the world's lock held, and must be quick and must not call the
// world. nil takes the filter away.
func (w *World) SetFilter(pass func(from, to *Host) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.filter = pass
}

// Passes reports whether packets can get from one host to another now, if no link loses them.
func (w *World) Passes(from, to *Host) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.effectiveLocked(from, to).Blocked
}
