package node

import (
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/swim"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/router"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/quic"
)

// Config is what a node is built from. Options fill it; RunDaemon fills it from settings.
type Config struct {
	Env       micronet.Env
	Name      string // "": the host's name
	Cluster   string // of a cluster that is founded; "": main
	Join      string // a token; "": found a cluster, unless the data folder has one
	DataDir   string // "": nothing is kept
	Mesh      netip.AddrPort
	TCP       netip.AddrPort // where datagrams are taken over TCP; invalid: at Mesh, if that is free
	NoTCP     bool           // neither take nor make connections for them
	Advertise []netip.AddrPort
	Version   string
	Relay     RelayMode        // "": auto
	PortMap   PortMapMode      // "": auto
	Lane      LaneMode         // "": auto, but none with a tunnel that was replaced
	Services  []config.Service // live as long as the process
	Daemon    *Daemon          // nil: a node inside a program
	// ExpiredGrace is how long after its end the certificate of a member counts where no authority
	// has answered for a week; 0: not at all.
	ExpiredGrace time.Duration

	newRouter     func(router.Config) Router
	newMembership func(swim.Config) gossip.Membership
	newTunnel     func(quic.Config) (tunnel.Tunnel, error)
}

// ensureDefaults fills the plugs with what needs nothing.
func (c *Config) ensureDefaults() {
	if c.newRouter == nil {
		c.newRouter = newRouter
	}
	if c.newMembership == nil {
		c.newMembership = newMembership
	}
	if c.newTunnel == nil {
		c.newTunnel = newTunnel
	}
}

// Daemon is what a daemon has besides a node inside a program: local listeners and a
// configuration folder. An invalid address switches a listener off.
type Daemon struct {
	API       netip.AddrPort
	Socket    string
	DNS       netip.AddrPort
	Proxy     netip.AddrPort
	VIPs      netip.Prefix
	Capture   Capture
	Domains   []string // the first is the one names are shown in
	Upstreams []netip.AddrPort
	AllowFrom []netip.Prefix
	ProxyPass bool
	APIWrite  api.Write
	ConfigDir string
	Settings  []api.Setting // what `config show` tells
}

// Capture says how connections to VIPs come here.
type Capture string

// The values of --capture.
const (
	CaptureAuto Capture = "auto" // redirect if the daemon may, else bind ports
	CaptureOn   Capture = "on"   // redirect, or fail
	CaptureOff  Capture = "off"  // bind ports
)

const (
	defaultCluster = "main"
	defaultDomain  = "micro.internal"
	// defaultGrace is as long as peers are remembered who say nothing.
	defaultGrace = gossip.PeerKept
)

// Option changes how a node is built.
type Option func(*Config)

// WithName names the node. A name that is taken in the cluster is an error; without this option
// the host's name is used, with a number added if it is taken.
func WithName(name string) Option { return func(c *Config) { c.Name = name } }

// WithCluster names the cluster that is founded when there is nothing to join.
func WithCluster(name string) Option { return func(c *Config) { c.Cluster = name } }

// WithJoin joins a cluster with a token. It is ignored when the data folder has an identity.
func WithJoin(token string) Option { return func(c *Config) { c.Join = token } }

// WithDataDir keeps the identity in a folder. Without it the node is a new one at each start,
// and needs a token that can be used more than once.
func WithDataDir(dir string) Option { return func(c *Config) { c.DataDir = dir } }

// WithListen chooses the UDP address of the mesh; any free port of all addresses without it.
func WithListen(addr netip.AddrPort) Option { return func(c *Config) { c.Mesh = addr } }

// WithTCP chooses the TCP address of the mesh, for hosts whose UDP is blocked; the address of the UDP socket, if it is
// free, without it.
func WithTCP(addr netip.AddrPort) Option { return func(c *Config) { c.TCP = addr } }

// WithoutTCP has the node use UDP alone between hosts.
func WithoutTCP() Option { return func(c *Config) { c.NoTCP = true } }

// WithAdvertise adds addresses at which others can reach this node, for instance behind a port
// forwarding.
func WithAdvertise(addrs ...netip.AddrPort) Option {
	return func(c *Config) { c.Advertise = append(c.Advertise, addrs...) }
}

// WithRelay says whether the node forwards the packets of other pairs of nodes; if it is behind no NAT without this option.
func WithRelay(mode RelayMode) Option { return func(c *Config) { c.Relay = mode } }

// WithPortMap says whether the node asks the router of its network for a port that leads to it; where it has a private address
// without this option.
func WithPortMap(mode PortMapMode) Option { return func(c *Config) { c.PortMap = mode } }

// WithExpiredGrace is how long after its end the certificate of a member counts where no authority
// has answered for a week: 30 days without this option, not at all with 0.
func WithExpiredGrace(d time.Duration) Option { return func(c *Config) { c.ExpiredGrace = d } }

// WithEnv replaces the operating system, as a whole or in parts: fields that are left empty are
// filled from it. The simulator plugs in here; so do loggers and listeners to events.
func WithEnv(env micronet.Env) Option { return func(c *Config) { c.Env = env } }

// WithVersion says which version of software others see.
func WithVersion(v string) Option { return func(c *Config) { c.Version = v } }

// WithDaemon gives the node what the daemon has besides: local listeners, DNS, proxies, an API and
// service files.
func WithDaemon(d Daemon) Option { return func(c *Config) { c.Daemon = &d } }

// anyPort is the mesh address of a node inside a program.
func anyPort() netip.AddrPort { return netip.AddrPortFrom(netip.IPv6Unspecified(), 0) }

// LaneMode says whether streams of programs go over TCP to nodes that are near.
type LaneMode string

// The values of --lane.
const (
	LaneAuto LaneMode = "auto" // where the path is direct and quick
	LaneOff  LaneMode = "off"
)

// WithLane says whether streams of programs go over TCP to nodes that are near.
func WithLane(mode LaneMode) Option { return func(c *Config) { c.Lane = mode } }
