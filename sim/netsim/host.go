package netsim

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
)

// Host is one simulated machine: a network, a disk, programs. It lives until Crash and again
// from Restart; what was opened in one life stays dead in the next. All methods may be called
// from several goroutines.
//
// A Host is itself a micronet.Network, that of its present life, for the programs a test lets
// run on it. Components take Env, which keeps to the life in which it was made.
type Host struct {
	// Constant.
	w     *World
	name  string
	phase time.Duration
	disk  *Disk

	// Guarded by World.mu.
	addrs    []netip.Prefix
	realm    *realm // nil for the place of a NAT
	firewall *firewall
	stack    *stack
	life     uint64        // counts the restarts
	stall    *stall        // nil: the programs run
	woke     time.Duration // when the latest stall was over
	worker   worker
	hand     Hand // nil: datagrams leave as they were sent

	mu       sync.Mutex // guards what follows; may be taken while World.mu is held
	cred     micronet.Credentials
	environ  map[string]string
	clock    clock
	envs     uint64 // counts the calls of Env
	commands map[string]CommandFunc
	shell    *shell
	others   map[int]Program // that the host runs beside its commands, by process id
}

func newHost(w *World, name string, phase time.Duration) *Host {
	h := &Host{
		w: w, name: name, phase: phase, disk: newDisk(),
		cred:     micronet.Credentials{PID: 1, Groups: []string{"root"}},
		environ:  map[string]string{},
		commands: map[string]CommandFunc{},
		others:   map[int]Program{},
	}
	h.stack = newStack(h)
	h.shell = newShell(h)
	return h
}

// Name returns the host's name.
func (h *Host) Name() string { return h.name }

// Addrs returns the host's addresses besides loopback.
func (h *Host) Addrs() []netip.Prefix {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return slices.Clone(h.addrs)
}

// Addr returns the host's first address; a host without any has none that is valid.
func (h *Host) Addr() netip.Addr {
	if addrs := h.Addrs(); len(addrs) > 0 {
		return addrs[0].Addr()
	}
	return netip.Addr{}
}

// SetAddrs replaces the host's addresses. Sockets on old addresses stay open and hear nothing.
func (h *Host) SetAddrs(addrs ...netip.Prefix) {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.w.giveAddrsLocked(h, addrs)
	h.stack.watchers.tell()
}

// Crash cuts the host off at once: sockets end with net.ErrClosed here and in silence for their
// peers, what was not synced is lost from the disk, locks and commands end. Whoever ran on the
// host has to be stopped by the caller; nothing it does reaches anybody.
func (h *Host) Crash() {
	h.w.mu.Lock()
	crashed := !h.stack.down
	if crashed {
		h.stack.cutLocked()
		h.dropStallLocked()
	}
	h.w.mu.Unlock()
	if crashed {
		h.disk.crash()
		h.currentShell().kill()
	}
}

// Restart gives a crashed host a new life, with the disk as the crash left it.
func (h *Host) Restart() {
	h.Crash() // a reset button: the same, if the host is still up
	h.disk.mount()
	h.mu.Lock()
	h.shell = newShell(h)
	h.mu.Unlock()
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.life++
	h.stack = newStack(h)
}

// Up reports whether the host is alive.
func (h *Host) Up() bool {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return !h.stack.down
}

// Disk returns the host's disk.
func (h *Host) Disk() *Disk { return h.disk }

// FS returns the file system of the host's present life.
func (h *Host) FS() micronet.FS { return h.disk.current() }

// Credentials returns whose programs run on the host: root's, unless SetCredentials said so.
func (h *Host) Credentials() micronet.Credentials {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cred
}

// SetCredentials makes programs run for somebody else from now on: Env.Host.UID, what
// PeerCredentials tells the other end, privileged ports and Redirect.
func (h *Host) SetCredentials(c micronet.Credentials) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cred = c
}

// Setenv sets an environment variable that Env.Host.Getenv reads.
func (h *Host) Setenv(key, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.environ[key] = value
}

func (h *Host) getenv(key string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.environ[key]
}

// Command makes a program that Exec finds by this name.
func (h *Host) Command(name string, run CommandFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands[name] = run
}

// Commands lists the programs of the host.
func (h *Host) Commands() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.commands))
}

// Raise sends a signal to everything on the host that asked for it through Exec.Signals.
func (h *Host) Raise(sig syscall.Signal) { h.currentShell().raise(sig) }

// Start runs a command; see micronet.Exec.
func (h *Host) Start(ctx context.Context, c micronet.Command) (micronet.Process, error) {
	return h.currentShell().Start(ctx, c)
}

// Signals delivers what Raise sends; see micronet.Exec.
func (h *Host) Signals(ctx context.Context, sigs ...syscall.Signal) <-chan syscall.Signal {
	return h.currentShell().Signals(ctx, sigs...)
}

func (h *Host) currentShell() *shell {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shell
}
