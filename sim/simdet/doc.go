// Command simdet writes what `go build -overlay` needs to make the simulator repeat exactly: copies of
// a few files of the Go runtime with a few lines changed.
//
// In a bubble of package synctest time is virtual, but the runtime still rolls dice: which of the
// cases of a select that are ready goes first, which of two timers that are due at the same instant,
// in which order a map is walked. With the overlay all of them follow from one stream of numbers that
// starts anew in every process. And it looks at real time and at addresses: how long a goroutine runs
// or waits in a system call, how long a mutex was waited for, in which order the channels of a select
// lie in memory, which was the order in which its timers drew their places among those of one instant.
// None of this decides any longer what a node does first.
//
// The rest needs no change of the runtime. A child of package batch starts with one processor, collects
// garbage in one piece at fixed moments, and has the same environment everywhere; package sim replaces
// the reader of crypto/rand. TestRunsRepeat runs scenarios twice and compares their packets.
//
// The changes are made to the runtime of the toolchain that runs, at anchors that must each be found
// exactly once: where a new version of Go has moved on, the command fails and says which one it looked
// for. Nothing of this is in the binary that users run.
//
// Goroutines: none.
package main
