// Package scenario reads the scenario files of the simulator: which nodes there are, how the
// paths between them are, what goes wrong when, and what must hold nevertheless. It is a pure
// parser: bytes go in, a checked Scenario or a list of mistakes comes out. Each mistake names
// file, line, what is wrong and what would be right.
//
// Nothing is passed over in silence. Unknown keys, names of nodes and services that do not exist
// at that time, and expectations that measure nothing are mistakes. Files may be hostile: sizes,
// nesting and the work of the YAML parser are bounded, see the max constants.
//
// It draws nothing at random and runs nothing. Selectors like `random 3` stay unresolved until
// the runner resolves them with draws of its own.
//
// Goroutines: none.
package scenario
