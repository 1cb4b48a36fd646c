// Package swarm draws whole experiments from seeds: how large a mesh is, what its network is like, what
// goes wrong and when. First everything may go wrong at once, and what must never happen must not
// happen even so; then the network is healed, everybody is started, and all must become one mesh. In some
// experiments only a core is healed, and the rest stays broken for ever: then the core must become one.
//
// A seed always draws the same text of a scenario file, which runs like any other.
//
// Goroutines: none.
package swarm
