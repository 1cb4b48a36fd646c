// Package wire writes the items of a gossip document as MessagePack and reads them back.
//
// It owns the names and rules of the fields. An item is one map with ascending, unique string
// keys; a reader skips keys and items it does not know, and refuses values that break a rule. It
// does not know signatures, versions or deltas: package gossip handles items as bytes.
//
// Goroutines: none.
package wire
