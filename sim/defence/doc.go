// Package defence lists what keeps a mesh whole, and for each of these defences the scenario that fails without it.
//
// A simulator in which everything always holds proves nothing. So each defence is taken out once: the program is built
// with one small change of its source, runs one scenario, and has to fail in the way that the list says, while the
// unchanged program passes the same scenario with the same seeds. The program that users run has no switch for it. Where the source
// has moved on, so that a change finds no place, the tests say so.
//
//	make defences
//
// Goroutines: none.
package defence
