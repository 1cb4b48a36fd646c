package node

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/osenv"
)

// Node is one member of a mesh. Make it with New, start it with Run. All methods may be called
// from several goroutines.
type Node struct {
	config   Config
	env      micronet.Env
	disk     disk
	registry *registry
	checker  *checker
	metrics  *metrics
	web      *http.Transport // of HTTPClient
	open     listenerSet     // what Listen returned and nobody has closed

	started atomic.Bool
	id      atomic.Pointer[micronet.NodeID]
	current atomic.Pointer[life]
	lives   *broadcast    // fires whenever current changes
	holds   atomic.Uint64 // numbers what Hold and Listen gave out
	turn    chan struct{} // a lock that may be held while services.json is written

	fault atomic.Pointer[error] // why Run failed; set before lives is closed
}

// New allocates a node. It opens nothing and starts nothing.
func New(opts ...Option) (*Node, error) {
	c := Config{Cluster: defaultCluster, Mesh: anyPort(), Version: "embedded", ExpiredGrace: defaultGrace}
	for _, o := range opts {
		o(&c)
	}
	return build(c)
}

func build(c Config) (*Node, error) {
	c.ensureDefaults()
	if err := micronet.CheckName(c.Cluster); err != nil {
		return nil, micronet.E("node", micronet.Invalid, "cluster: %w", err)
	}
	if c.Name != "" {
		if err := micronet.CheckLabel(c.Name); err != nil {
			return nil, micronet.E("node", micronet.Invalid, "name: %w", err)
		}
	}
	n := &Node{config: c, env: osenv.Fill(c.Env), lives: newBroadcast(), turn: make(chan struct{}, 1)}
	n.metrics = newMetrics(c.Version, n.nameOf)
	n.env.Events = micronet.Tee(micronet.Tee(n.env.Events, n.metrics.events()), logEvents(n.env.Log))
	n.disk = disk{fs: n.env.FS, dir: c.DataDir, uid: n.env.Host.UID, diary: &diary{report: n.env.Events.BackgroundError}}
	n.registry = newRegistry(n.instancesChanged)
	n.checker = newChecker(n.env, n.registry)
	n.web = n.transport()
	return n, nil
}

// Why a life ends other than by a fault.
var (
	errEnded = errors.New("the node was told to stop")
	errMoved = errors.New("the node joined another cluster")
	errLeft  = errors.New("the node left its cluster")
)

// Run founds or joins a cluster, or goes on with the one in the data folder, and lives until ctx
// ends: then it says goodbye and returns nil. It may be called once.
func (n *Node) Run(ctx context.Context) error {
	if n.started.Swap(true) {
		return micronet.E("node.run", micronet.Invalid, "a node runs once").WithFix("make another with node.New")
	}
	defer n.lives.close()
	err := n.runLocked(ctx)
	if err != nil {
		n.fault.Store(&err)
	}
	return err
}

// runLocked runs with the data folder's lock.
func (n *Node) runLocked(ctx context.Context) error {
	lock, err := n.disk.open()
	if err != nil {
		return err
	}
	defer n.open.close()
	err = n.run(ctx)
	return withClosed(n.env, err, lock.Close())
}

// run goes from life to life.
func (n *Node) run(ctx context.Context) error {
	if err := n.loadServices(); err != nil {
		return err
	}
	checks := newGroup(context.WithoutCancel(ctx))
	defer checks.stop()
	checks.run(n.checker.Run)
	for ctx.Err() == nil {
		err := n.live(ctx)
		switch {
		case errors.Is(err, errLeft), errors.Is(err, errEnded):
			return nil
		case errors.Is(err, errMoved):
			n.config.Join = "" // that token was for the cluster before
		default:
			return err
		}
	}
	return nil
}

// loadServices takes up the registrations that survive a restart, and those of the command line.
func (n *Node) loadServices() error {
	var kept []owned
	if _, err := n.disk.load(fileServices, &kept); err != nil {
		return err
	}
	for _, k := range kept {
		if _, err := n.registry.add(source{kind: "api"}, k.Owner, []config.Service{k.Service}); err != nil {
			return err
		}
	}
	_, err := n.registry.add(source{kind: "flag"}, n.env.Host.UID, n.config.Services)
	return err
}

// keep makes a change of the registrations that survive a restart. It is on disk when keep
// returns, or it was not made.
func (n *Node) keep(change func() (undo func(), err error)) error {
	n.turn <- struct{}{}
	defer func() { <-n.turn }()
	undo, err := change()
	if err != nil {
		return err
	}
	if err := n.disk.save(fileServices, n.registry.kept()); err != nil {
		undo()
		return err
	}
	return nil
}

// instancesChanged is called by the registry after every change.
func (n *Node) instancesChanged() {
	n.checker.notify()
	if l := n.current.Load(); l != nil {
		l.announce()
	}
}

// ready waits for a life that is ready.
func (n *Node) ready(ctx context.Context) (*life, error) {
	for {
		changed := n.lives.wait()
		l := n.current.Load()
		if l != nil {
			select {
			case <-l.ready:
				return l, nil
			default:
			}
		}
		var ready <-chan struct{}
		if l != nil {
			ready = l.ready
		}
		select {
		case <-ctx.Done():
			return nil, micronet.E("node", micronet.Timeout, "the node is not ready: %w", context.Cause(ctx))
		case _, open := <-changed:
			if !open && n.lives.closed() {
				return nil, n.stopped()
			}
		case <-ready:
		}
	}
}

// stopped is the error of what needs a node that runs: why it failed, if it did.
func (n *Node) stopped() error {
	if fault := n.fault.Load(); fault != nil {
		return micronet.E("node", micronet.Closed, "the node has stopped: %w", *fault)
	}
	return micronet.E("node", micronet.Closed, "the node has stopped")
}

// ID returns who this node is; zero before Run has read or made its keys.
func (n *Node) ID() micronet.NodeID {
	if id := n.id.Load(); id != nil {
		return *id
	}
	return micronet.NodeID{}
}
