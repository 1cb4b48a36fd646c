// Package gossiptest is the conformance suite of gossip.Membership: what every implementation
// promises, as tests that run in virtual time.
//
// It does not know any implementation; each runs the suite from its own tests.
//
// Goroutines: those of the tests.
package gossiptest
