package osenv

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	micronet "github.com/micro/micro-net"
)

const (
	// maxAncestors bounds the walk from a process to its ancestors.
	maxAncestors = 256
	// maxDescriptors bounds the open files of one process that are looked at.
	maxDescriptors = 1 << 16
)

// Process reads a process from /proc.
func (Network) Process(pid int) (micronet.ProcessID, int, error) {
	p, err := readProcess(pid)
	if err != nil {
		return micronet.ProcessID{}, 0, err
	}
	if p.id.Boot, err = bootID(); err != nil {
		return micronet.ProcessID{}, 0, err
	}
	uid, err := effectiveUser(pid)
	return p.id, uid, err
}

// bootID names this start of the host.
func bootID() (string, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(raw)), err
}

// GroupOwner looks at the group's folder, in the one hierarchy or in any of several.
func (Network) GroupOwner(cgroup string) (int, error) {
	const mount = "/sys/fs/cgroup"
	folders, err := filepath.Glob(mount + "/*")
	if err != nil {
		return 0, err
	}
	for _, dir := range append([]string{mount}, folders...) {
		info, err := os.Stat(filepath.Join(dir, path.Clean("/"+cgroup)))
		if err != nil || !info.IsDir() {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			return int(st.Uid), nil
		}
	}
	return 0, fs.ErrNotExist
}

// SetOf looks at a process and its ancestors.
func (Network) SetOf(pid int, sets []micronet.Processes) int {
	i := newFamily(sets).setOf(pid)
	if i >= 0 && !speaksFor(sets[i], pid) {
		return -1
	}
	return i
}

// Sockets looks through the open files of all processes of the sets.
func (n Network) Sockets(sets []micronet.Processes) map[uint64]int {
	out := map[uint64]int{}
	f := newFamily(sets)
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return out
	}
	for _, e := range procs {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		i := f.setOf(pid)
		if i < 0 {
			continue
		}
		held := socketsOf(pid)
		// The number may have gone to another process while its files were read.
		if now, err := readProcess(pid); err != nil || now.id != f.seen[pid].id {
			continue
		}
		for _, inode := range held {
			if _, shared := out[inode]; !shared {
				out[inode] = i
			}
		}
	}
	return out
}

// socketsOf lists the inodes of a process's sockets.
func socketsOf(pid int) (inodes []uint64) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(maxDescriptors)
	if err != nil {
		return nil
	}
	for _, name := range names {
		target, err := os.Readlink(dir + name)
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(target, "socket:[")
		if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); ok && err == nil {
			inodes = append(inodes, inode)
		}
	}
	return inodes
}

// relative is a process as its ancestors are found by.
type relative struct {
	id     micronet.ProcessID
	parent int
}

// readProcess reads /proc/PID/stat: column 4 is the parent, 22 the start. The name in column 2 may hold
// anything, parentheses and spaces too.
func readProcess(pid int) (relative, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return relative{}, err
	}
	col := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:])) // from column 3 on
	if len(col) < 20 {
		return relative{}, fmt.Errorf("/proc/%d/stat is cut short", pid)
	}
	parent, err := strconv.Atoi(col[1])
	if err != nil {
		return relative{}, err
	}
	start, err := strconv.ParseUint(col[19], 10, 64)
	return relative{id: micronet.ProcessID{PID: pid, Start: start}, parent: parent}, err
}

// effectiveUser reads the second number of the line "Uid:" of /proc/PID/status.
func effectiveUser(pid int) (int, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(raw, []byte("\nUid:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	col := strings.Fields(string(line))
	if len(col) < 2 {
		return 0, fmt.Errorf("/proc/%d/status has no user", pid)
	}
	return strconv.Atoi(col[1])
}

// family finds out which set processes belong to. It remembers what it has read, and is for one
// question only.
type family struct {
	sets    []micronet.Processes
	roots   map[micronet.ProcessID]int
	cgroups bool
	seen    map[int]relative
}

func newFamily(sets []micronet.Processes) *family {
	f := &family{sets: sets, roots: map[micronet.ProcessID]int{}, seen: map[int]relative{}}
	boot := ""
	if slices.ContainsFunc(sets, func(s micronet.Processes) bool { return s.Root.PID != 0 }) {
		boot, _ = bootID() // without it no process is known to be the one that was meant
	}
	for i, s := range sets {
		f.cgroups = f.cgroups || s.Cgroup != ""
		if s.Root.PID == 0 || boot == "" || s.Root.Boot != boot {
			continue // what started before the host did is gone
		}
		s.Root.Boot = ""
		if _, twice := f.roots[s.Root]; !twice {
			f.roots[s.Root] = i
		}
	}
	return f
}

func (f *family) setOf(pid int) int {
	p := pid
	for range maxAncestors {
		r, ok := f.seen[p]
		if !ok {
			var err error
			if r, err = readProcess(p); err != nil {
				break
			}
			f.seen[p] = r
		}
		if i, ok := f.roots[r.id]; ok {
			return i
		}
		if p = r.parent; p <= 0 {
			break
		}
	}
	if f.cgroups {
		return f.byCgroup(pid)
	}
	return -1
}

// byCgroup finds the set with the longest control group that the process is in or below.
func (f *family) byCgroup(pid int) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return -1
	}
	groups := cgroupsOf(string(raw))
	best := -1
	for i, s := range f.sets {
		longer := s.Cgroup != "" && (best < 0 || len(s.Cgroup) > len(f.sets[best].Cgroup))
		if longer && slices.ContainsFunc(groups, func(g string) bool { return below(g, s.Cgroup) }) && speaksFor(s, pid) {
			best = i
		}
	}
	return best
}

// speaksFor reports whether a process is of the user whose a set is. One of another user takes nothing from the sets
// that the process is in.
func speaksFor(s micronet.Processes, pid int) bool {
	if s.UID == micronet.AnyUser {
		return true
	}
	uid, err := effectiveUser(pid)
	return err == nil && uid == s.UID
}

// cgroupsOf reads lines of the form "0::/path" and "4:memory:/path", of one process in one or several
// hierarchies (cgroups(7)).
func cgroupsOf(text string) (groups []string) {
	for line := range strings.Lines(text) {
		if col := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(col) == 3 {
			groups = append(groups, col[2])
		}
	}
	return groups
}

// below reports whether a control group is another one, or below it. That of all processes has
// nobody in particular.
func below(group, above string) bool {
	above = path.Clean(above)
	return above != "/" && (group == above || strings.HasPrefix(group, above+"/"))
}
