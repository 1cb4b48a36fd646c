// Package micronet holds the words that every part of micro-net shares: the values
// (NodeID, Instance, Route, Destination…), the error kinds, the Env a component lives in,
// and the Events it reports.
//
// It imports the standard library only and knows no other package of the module. Interfaces
// that give one package its meaning live in that package; what is here is used by all.
//
// Goroutines: none.
package micronet
