package node

import (
	"context"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// listener is a service of a program: callers from the mesh arrive at a loopback listener that
// only the node knows of.
type listener struct {
	net.Listener
	node *Node
	src  source
	id   string // of the instance
	once sync.Once
}

// Close withdraws the service and ends the listener.
func (l *listener) Close() error {
	l.once.Do(func() { l.node.registry.removeSource(l.src) })
	l.node.open.remove(l)
	return l.Listener.Close()
}

// listenerSet is what a node's end has to close: those who wait in Accept would wait for ever.
type listenerSet struct {
	mu    sync.Mutex
	open  map[*listener]struct{}
	ended bool
}

// add reports whether the node still runs.
func (s *listenerSet) add(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*listener]struct{}{}
	}
	s.open[l] = struct{}{}
	return !s.ended
}

func (s *listenerSet) remove(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, l)
}

func (s *listenerSet) close() {
	s.mu.Lock()
	s.ended = true
	all := slices.Collect(maps.Keys(s.open))
	s.mu.Unlock()
	for _, l := range all {
		// Its owner may have closed it meanwhile; there is no other error.
		_ = l.Close()
	}
}

// newSource makes a source that nothing else comes from.
func (n *Node) newSource(kind string) source {
	return source{kind: kind, name: strconv.FormatUint(n.holds.Add(1), 10)}
}

// Listen offers a service. Callers of the name arrive at the listener that is returned; it waits
// for readiness or ctx, and other nodes hear of the service a moment later. Closing it withdraws the
// service, as does the end of the node. The same name may be offered by many nodes.
func (n *Node) Listen(ctx context.Context, service string) (net.Listener, error) {
	l, err := n.ready(ctx)
	if err != nil {
		return nil, err
	}
	if err := micronet.CheckName(service); err != nil {
		return nil, micronet.E("node.listen", micronet.Invalid, "%w", err)
	}
	ln, err := l.env.Net.Listen(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0))
	if err != nil {
		return nil, micronet.E("node.listen", micronet.Internal, "%w", err)
	}
	out := &listener{Listener: ln, node: n}
	if err := n.offer(out, service); err != nil {
		return nil, withClosed(n.env, err, ln.Close())
	}
	if !n.open.add(out) {
		return nil, withClosed(n.env, n.stopped(), out.Close())
	}
	l.settled(out.id) // its own node can call it at once
	return out, nil
}

// maxIDTries bounds the search for an instance id that the user has not taken.
const maxIDTries = 100

// offer registers the service of a listener.
func (n *Node) offer(l *listener, service string) (err error) {
	port := int(micronet.AddrPortOf(l.Addr()).Port())
	for range maxIDTries {
		l.src = n.newSource("listen")
		l.id = service + "-" + l.src.name
		_, err = n.registry.add(l.src, n.env.Host.UID, []config.Service{{
			Name: service, ID: l.id, Port: port, ServicePort: port, Address: "127.0.0.1",
			Protocol: string(micronet.TCP), Weight: micronet.DefaultWeight, Checks: config.Checks{None: true},
		}})
		if micronet.KindOf(err) != micronet.Refused {
			return err
		}
	}
	return err
}

// Dial connects to the best instance of a service: a name, or [TAG.]NAME.service[.CLUSTER]. It
// waits for readiness or ctx. The connection can half-close (CloseWrite).
func (n *Node) Dial(ctx context.Context, service string) (net.Conn, error) {
	l, err := n.ready(ctx)
	if err != nil {
		return nil, err
	}
	return l.dial(ctx, service)
}

func (l *life) dial(ctx context.Context, service string) (net.Conn, error) {
	d, err := micronet.ParseDestination(service)
	if err != nil {
		return nil, micronet.E("dial", micronet.Invalid, "%w", err)
	}
	return l.dialer.Dial(ctx, d, micronet.Caller{Node: l.self, Name: l.name})
}

// HTTPClient returns a client whose URLs name services: http://greeter/hello. Names of the mesh
// domain work as well; the port in a URL does not matter. All clients of a node share their idle
// connections.
func (n *Node) HTTPClient() *http.Client { return &http.Client{Transport: n.web} }

// webIdle is how long a connection of HTTPClient is kept for the next request.
const webIdle = 90 * time.Second

func (n *Node) transport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 16, IdleConnTimeout: webIdle,
		DialContext: func(ctx context.Context, _, hostport string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(hostport)
			if err != nil {
				return nil, micronet.E("dial", micronet.Invalid, "%w", err)
			}
			return n.Dial(ctx, strings.TrimSuffix(host, "."+defaultDomain))
		},
	}
}

// Ready waits until the node is a member and has the catalog, or ctx ends.
func (n *Node) Ready(ctx context.Context) error {
	_, err := n.ready(ctx)
	return err
}
