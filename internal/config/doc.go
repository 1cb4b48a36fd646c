// Package config reads what people write: service files, policy files, and the daemon's settings from flags,
// environment and config.yaml. Every error names file, line, key and what would be right; nothing
// unknown is passed over in silence, except in Consul's files, which are taken as they are.
//
// It touches no file itself: callers hand in bytes and names. It knows nothing of a running node.
// Input may be hostile: sizes, nesting and the work of the YAML parser are bounded before it runs.
//
// Goroutines: none.
package config
