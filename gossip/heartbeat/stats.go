package heartbeat

// Stats is what a table holds and has done since it was made. Entries that changed nothing are
// counted by reason.
type Stats struct {
	Owners    int    // tracked
	Packets   uint64 // received
	Malformed uint64 // packets that could not be read
	Accepted  uint64 // beats that were news
	Hashes    uint64 // spent on verifying
	Untracked uint64 // owners refused because the table was full

	Stale      uint64 // beats not above the newest one known
	Unknown    uint64 // of owners that are not tracked
	Otherwise  uint64 // of another generation than the one tracked
	Impossible uint64 // numbers beyond the chain's length
	Ahead      uint64 // leaps that were not allowed
	Unpaid     uint64 // not verified, because the sender's false values cost too much already
	Forged     uint64 // false values
}

// Stats returns the counters.
func (t *Table) Stats() Stats {
	s := t.stats
	s.Owners = len(t.order)
	return s
}
