//go:build !race

package sim

// raced says that the race detector runs, which makes everything ten times slower.
const raced = false
