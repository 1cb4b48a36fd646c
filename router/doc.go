// Package router decides which instance of a service a connection or request goes to.
//
// It is a table and formulas, nothing else: Update replaces the table, Pick reads it, Start and
// Done tell it what became of the choice. It knows no packets, no catalog and no policy: the
// node hands it candidates that are already allowed, together with what is known of the way to
// each.
//
// The rule. The expected cost of an instance is
//
//	path round trip + configured cost + latency × (1 + in-flight × mean weight / weight)
//
// where latency is a peak-sensitive moving average, which begins anew when packets take another
// way (direct, over a relay, over TCP): what was measured over the former one says nothing of it. Costs within a quarter or a millisecond of
// the best are equal, and among equals the instance is drawn at random by weight, so that load
// spreads in proportion to weight. Up to sixteen candidates are all looked at. Of more, the
// choice is among four: two drawn by weight from the nearest candidates (whose path costs are
// equal in the sense above) and two from all behind them; the first drawn that equals the best
// of the four is taken, which keeps the proportions among equals exact.
//
// An instance that could not be reached is ejected for a growing time, never the last one of
// its service. An instance that flaps, by what its owner signed, is damped (see Damper) and gets
// traffic only when its service has nothing better.
//
// Goroutines: none. The package reads no clock: every method takes the time.
package router
