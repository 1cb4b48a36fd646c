// Package overlay makes what `go build -overlay` needs: copies of source files with a few lines changed, and
// the file that names them. Programs are built from changed sources that way without a switch in what users
// run, and without touching a checkout or the toolchain.
//
// A change is made at a piece of text that its file must have exactly once. Where the source has moved on, Write fails and
// says which text it looked for.
//
// Goroutines: none.
package overlay
