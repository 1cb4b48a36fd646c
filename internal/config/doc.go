// Package config reads what people write: service files, the daemon's settings from flags,
// environment and config.yaml, and policy files to come. Every error names file, line, key and
// the nearest valid key; nothing unknown is passed over in silence.
//
// It touches no file itself: callers hand in bytes and names. It knows nothing of a running node.
//
// Goroutines: none.
package config
