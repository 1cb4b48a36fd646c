//go:build unix

package osenv

import "golang.org/x/sys/unix"

// NoCoreDumps keeps the memory of this process and of its children, keys included, out of core files
// (setrlimit(2), RLIMIT_CORE).
func NoCoreDumps() error {
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
