// Package gossip says who is in the cluster and what they offer.
//
// It owns the Membership interface with its in-memory default (Hub), and the catalog: one
// signed document per node, its wire form, deltas, digests and the rules by which a copy is
// replaced. The catalog is a pure core: it takes the time and a message, and returns what
// changed and what to send. It does not know sockets, memberlist, or what a service is for.
//
// Goroutines: none but those of a Hub's Run.
package gossip
