package sim

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/light"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	dataDir     = "/var/lib/micro-net"
	configDir   = "/etc/micro-net"
	servicesDir = configDir + "/services.d"
	domain      = "micro.internal"
	meshPort    = 8085
	dnsPort     = 8600
)

// state is what the simulation did to a machine. What nodes believe of it is another matter.
type state int

const (
	unborn  state = iota // has not been started yet
	running              // its daemon runs
	left                 // its daemon was stopped politely
	dead                 // crashed, or its daemon failed
)

// machine is a host with a daemon.
type machine struct {
	index int
	name  string
	group string
	host  *netsim.Host

	// Owned by the simulation's goroutine.
	state      state
	since      time.Time // when state was entered
	stalled    time.Time // end of the latest stall
	doubted    time.Time // end of the time in which nobody can say what is true of it; see doubtful
	twinOf     *machine  // whose disk it was made with, nil for most
	image      *netsim.DiskImage
	revoked    micronet.NodeID // its key, when that was revoked
	inside     inside
	boots      int
	wipes      int             // how often its disk was lost
	id         micronet.NodeID // of the latest daemon that was asked
	life       *lifetime       // the latest, nil before the first
	kept       *kept           // nil before somebody looked
	token      string          // that it joins with, "" for the one of all
	alike      time.Time       // since when it has known two nodes of one name, zero: it does not
	rights     rights
	diskFailed bool // its disk has refused something once
}

// depth is what a daemon is made of. In whole ones it listens on everything that needs no privilege of
// the host. For gossip nobody calls anybody: there is no DNS, proxy or API, and streams are light.
func depth(f scenario.Fidelity) []node.Option {
	if f == scenario.Gossip {
		return []node.Option{node.WithDaemon(node.Daemon{VIPs: daemon().VIPs, Capture: node.CaptureOff, Domains: []string{domain}, ConfigDir: configDir}), node.WithTunnel(light.New), node.WithoutTCP()}
	}
	return []node.Option{node.WithDaemon(daemon())}
}

func daemon() node.Daemon {
	local := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	return node.Daemon{
		API: local(8500), Socket: "/run/micro-net/api.sock", DNS: local(dnsPort), Proxy: local(8081),
		VIPs: netip.MustParsePrefix("127.80.0.0/12"), Capture: node.CaptureOn, Domains: []string{domain},
		APIWrite: api.WriteServices, ConfigDir: configDir,
	}
}

// boot starts the daemon of a machine; ending waits for it. token is "" for the founder. Who lost its
// disk lost its keys too: it asks for the name of its host, which belongs to the node that it was, and has to
// get another one.
func (m *machine) boot(ending *sync.WaitGroup, env micronet.Env, token string, more ...node.Option) error {
	opts := []node.Option{
		node.WithEnv(env), node.WithCluster("sim"), node.WithDataDir(dataDir),
		node.WithListen(netip.AddrPortFrom(netip.IPv6Unspecified(), meshPort)), node.WithVersion("sim"),
	}
	if m.wipes == 0 {
		opts = append(opts, node.WithName(m.name))
	}
	if token != "" {
		opts = append(opts, node.WithJoin(token))
	}
	n, err := node.New(append(opts, more...)...)
	if err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	m.inside.born(n)
	ctx, cancel := context.WithCancel(context.Background())
	r := &lifetime{node: n, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	m.life = r
	m.boots++
	m.enter(running)
	ending.Go(func() {
		defer close(r.done)
		r.err = n.Run(ctx)
	})
	return nil
}

// lifetime is one run of a daemon.
type lifetime struct {
	node   *node.Node
	ctx    context.Context // ends when the daemon is told to
	cancel context.CancelFunc
	done   chan struct{} // closed when the daemon has ended
	err    error         // why; set before done is closed
}

func (l *lifetime) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

func (m *machine) enter(s state) {
	m.state, m.since = s, time.Now()
	m.doubtTwin()
}

// doubtful reports whether a machine lies, shares its identity with another one, or was revoked: what it
// believes, and what is believed of it, is neither right nor wrong.
func (m *machine) doubtful() bool { return time.Now().Before(m.doubted) || m.outcast() }

// outcast reports whether the key of a machine was revoked.
func (m *machine) outcast() bool { return !m.revoked.IsZero() }

// fault is why the daemon ended by itself, nil as long as it runs.
func (m *machine) fault() error {
	if m.state != running || !m.life.ended() {
		return nil
	}
	if m.life.err == nil {
		return fmt.Errorf("the daemon of %s ended by itself", m.name)
	}
	return fmt.Errorf("the daemon of %s ended: %w", m.name, m.life.err)
}

// alive reports whether the daemon runs and is not held up.
func (m *machine) alive() bool { return m.state == running && !m.isStalled() }

func (m *machine) isStalled() bool { return time.Now().Before(m.stalled) }

// snapshot is what the daemon believes; false when there is none that believes anything.
func (m *machine) snapshot() (node.Snapshot, bool) {
	if m.state != running {
		return node.Snapshot{}, false
	}
	return m.life.node.Snapshot()
}
