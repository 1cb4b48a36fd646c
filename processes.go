package micronet

import "net/netip"

// ProcessID names one process for good: a number alone is given to another one later, and after the host
// has started again another one may have both number and start.
type ProcessID struct {
	PID   int
	Start uint64 // when it started, in the system's own count
	Boot  string // of which start of the host
}

// Processes are processes of this host that have something in common: all that descend from one, with
// it, or all in a control group and those below. UID is whose they must be, AnyUser for anybody's.
type Processes struct {
	Root   ProcessID // zero: not by descent
	Cgroup string    // as /proc/PID/cgroup has it, "" for not by group
	UID    int
}

// AnyUser stands for every user id.
const AnyUser = -1

// Socket is the end of a TCP connection that a process of this host holds.
type Socket struct {
	ID  uint64 // never 0, unique among the sockets that are open
	UID int    // of the process that made it
}

// ProcessFinder is an optional power of a Network: which processes of this host are at the other end of
// connections. Where several sets have a process, the one of the nearest ancestor counts, then that of
// the longest control group, then that of the first set. Sets of other users have no processes of this one.
type ProcessFinder interface {
	// Process returns what names a process that runs now, and its effective user.
	Process(pid int) (id ProcessID, uid int, err error)
	// GroupOwner returns whose a control group is.
	GroupOwner(cgroup string) (uid int, err error)
	// SetOf returns the index of the set that a process belongs to, −1 when it is none.
	SetOf(pid int, sets []Processes) int
	// ClientSocket finds the client's end of a connection from and to an address of this host.
	ClientSocket(client, server netip.AddrPort) (Socket, bool)
	// Sockets lists the sockets that processes of the sets hold, with the index of the set. It looks at
	// all processes of the host, and may take long.
	Sockets(sets []Processes) map[uint64]int
}
