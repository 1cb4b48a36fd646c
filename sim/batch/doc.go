// Package batch runs scenarios in child processes, one per seed: several at once, each with its own
// memory, and a watchdog outside of virtual time.
//
//	parent                              child (the same program)
//	  start argv --seed N ───────────▶  Serve: sim.Run in a bubble
//	  ◀── progress, every half second   (gob on standard output)
//	  ◀── the run, or why there is none
//	  no progress, see Patience ─────▶  SIGQUIT: all stacks on standard error, then SIGKILL
//
// A panic, a deadlock of real mutexes, or a run that eats all memory ends a child and never the
// parent: it becomes the result of that seed.
//
// Goroutines: one per child that runs, and two that read from it. All end with Run.
package batch
