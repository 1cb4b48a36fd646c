package netsim

// SetFilter lets pass decide, besides cuts and partitions, whether packets get from one host to
// another: it is asked for each, with the world's lock held, and must be quick and must not call the
// world. nil takes the filter away.
func (w *World) SetFilter(pass func(from, to *Host) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.division.filter = pass
}
