package netsim

import (
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
)

// Program is what a host's operating system knows of a process.
type Program struct {
	Parent int
	Start  uint64
	UID    int
	Cgroup string
}

// SetProgram makes a process known, or another one under the same number. Connections are those of the
// process that SetCredentials named when they were dialled.
func (h *Host) SetProgram(pid int, p Program) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.others[pid] = p
}

func (h *Host) program(pid int) (Program, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.others[pid]
	return p, ok
}

// Process returns what SetProgram said; see micronet.ProcessFinder.
func (s *stack) Process(pid int) (micronet.ProcessID, int, error) {
	p, ok := s.host.program(pid)
	if !ok {
		return micronet.ProcessID{}, 0, fs.ErrNotExist
	}
	return micronet.ProcessID{PID: pid, Start: p.Start}, p.UID, nil
}

// GroupOwner is the user of a program in the group.
func (s *stack) GroupOwner(cgroup string) (int, error) {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	for _, pid := range slices.Sorted(maps.Keys(s.host.others)) {
		if p := s.host.others[pid]; p.Cgroup == cgroup {
			return p.UID, nil
		}
	}
	return 0, fs.ErrNotExist
}

// SetOf walks from a process to its ancestors.
func (s *stack) SetOf(pid int, sets []micronet.Processes) int {
	i := s.setOf(pid, sets)
	if p, _ := s.host.program(pid); i >= 0 && sets[i].UID != micronet.AnyUser && sets[i].UID != p.UID {
		return -1
	}
	return i
}

func (s *stack) setOf(pid int, sets []micronet.Processes) int {
	for at := pid; ; {
		p, ok := s.host.program(at)
		if !ok {
			break
		}
		for i := range sets {
			if sets[i].Root == (micronet.ProcessID{PID: at, Start: p.Start}) {
				return i
			}
		}
		at = p.Parent
	}
	best := -1
	p, _ := s.host.program(pid)
	for i := range sets {
		in := sets[i].Cgroup != "" && strings.HasPrefix(p.Cgroup+"/", sets[i].Cgroup+"/")
		in = in && (sets[i].UID == micronet.AnyUser || sets[i].UID == p.UID)
		if in && (best < 0 || len(sets[i].Cgroup) > len(sets[best].Cgroup)) {
			best = i
		}
	}
	return best
}

// ClientSocket finds the stream that was dialled between two addresses.
func (s *stack) ClientSocket(client, server netip.AddrPort) (micronet.Socket, bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	for id, c := range s.streams {
		if c.maker.PID != 0 && c.proto == TCP && c.src == normal(client) && micronet.AddrPortOf(c.remote) == normal(server) {
			return micronet.Socket{ID: id + 1, UID: c.maker.UID}, true
		}
	}
	return micronet.Socket{}, false
}

// Sockets lists the streams that processes of the sets have dialled.
func (s *stack) Sockets(sets []micronet.Processes) map[uint64]int {
	s.w.mu.Lock()
	pids := map[uint64]int{}
	for id, c := range s.streams {
		if c.maker.PID != 0 {
			pids[id+1] = c.maker.PID
		}
	}
	s.w.mu.Unlock()
	out := map[uint64]int{}
	for id, pid := range pids {
		if i := s.setOf(pid, sets); i >= 0 {
			out[id] = i
		}
	}
	return out
}
