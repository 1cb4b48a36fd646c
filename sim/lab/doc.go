// Package lab builds small internets out of Linux network namespaces: hosts joined by veth pairs
// through a router, on which real binaries run. It is for tests that need the kernel.
//
// A host has its own network, host name, /etc, /run and /var/lib, so that programs may use their
// usual places. It does not know what runs on it. It needs root, iproute2 and util-linux.
// Everything it makes is removed at the end of the test, also when the test fails, and traffic
// never leaves the namespaces.
//
// Goroutines: one per started process, waiting for its end.
package lab
