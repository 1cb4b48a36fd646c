// Package netsim is a world in memory: hosts with a network, a disk, child processes and a
// clock of their own, and the paths between them with their faults. A Host's Env is all that a
// component needs to live there; the component cannot tell it from an operating system.
//
// Every fault and every jitter is computed from hash(seed, from, to, protocol, number of the
// packet on that path), never drawn from a shared stream: taking one host away does not change
// the fate of another's packets. No two events share a nanosecond, unless Options.Tick gathers
// them: then they keep their order and happen together. Inside a testing/synctest bubble time is
// virtual; outside, the same world runs in real time.
//
// The package knows packets, streams, files and processes. It does not know nodes, protocols,
// scenarios or invariants, and it does not import testing.
//
// # The way of a packet
//
//	socket ──▶ launch ──▶ leave: the host's firewall, then NATs outwards, until somebody has the
//	                      address
//	                        │
//	                        ▼
//	                      path: its number; partitions; Link.fate; bandwidth and queue; bursts
//	                        │
//	                        ▼
//	inbox  ◀── arrive ◀── the event heap, at its own nanosecond; enter: NATs inwards, the receiver's
//	                      firewall
//
// A path is that from one host to another, whatever NATs are between them.
//
// A slow host takes packets one after the other, in and out. While a host stands still, what has
// arrived waits before its inboxes, and what its programs send waits before launch.
//
// A datagram that the fate loses is gone. A stream keeps the segment and tries again, with
// back-off, as TCP does: streams stall in a partition and go on after it. Every fault of a link
// meets both, except that streams are never duplicated, harmed or too big for an MTU.
//
// # Locks
//
// One mutex per World guards all of the network, so that there is one order of things. It is
// never held while somebody waits. Each Disk has one of its own. Host.mu guards what a test may
// set on a host and is never held together with them, except that it may be taken last.
//
// Goroutines: one, in World.Run: it waits for the next event and lets it happen. Deadlines are
// timers of package time; a command started through Exec runs in a goroutine that ends with the
// command.
package netsim
