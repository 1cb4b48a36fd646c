// Command simdet writes what `go build -overlay` needs to make the simulator repeat exactly: copies of
// four files of the Go runtime with a few lines changed.
//
// In a bubble of package synctest time is virtual, but the runtime still rolls dice: which of the
// cases of a select that are ready goes first, which of two timers that are due at the same instant,
// in which order a map is walked, how long a goroutine may run. With the overlay all of them follow
// from one stream of numbers that starts anew in every process, and nobody is preempted. Most seeds
// then give the same packets, to the bit; runs in which hosts crash do not always yet.
//
// The changes are made to the runtime of the toolchain that runs, at anchors that must each be found
// exactly once: where a new version of Go has moved on, the command fails and says which one it looked
// for. Nothing of this is in the binary that users run.
//
// Goroutines: none.
package main
