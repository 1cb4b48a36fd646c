package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// listener is a service of a program: callers from the mesh arrive at a loopback listener that
// only the node knows of.
type listener struct {
	net.Listener
	node *Node
	src  source
	once sync.Once
}

// Close withdraws the service and ends the listener.
func (l *listener) Close() error {
	l.once.Do(func() { l.node.registry.removeSource(l.src) })
	return l.Listener.Close()
}

// Listen offers a service. Callers of the name arrive at the listener that is returned; it waits
// for readiness or ctx, and closing it withdraws the service. The same name may be offered by
// many nodes.
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
	number := strconv.FormatUint(n.holds.Add(1), 10)
	out := &listener{Listener: ln, node: n, src: source{kind: "listen", name: number}}
	port := int(addrPortOf(ln.Addr()).Port())
	err = n.registry.add(out.src, n.env.Host.UID, []config.Service{{
		Name: service, ID: service + "-" + number, Port: port, ServicePort: port, Address: "127.0.0.1",
		Protocol: string(micronet.TCP), Weight: micronet.DefaultWeight, Checks: config.Checks{None: true},
	}})
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return out, nil
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
// domain work as well; the port in a URL does not matter.
func (n *Node) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, _, hostport string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(hostport)
			if err != nil {
				return nil, micronet.E("dial", micronet.Invalid, "%w", err)
			}
			return n.Dial(ctx, strings.TrimSuffix(host, "."+defaultDomain))
		},
	}}
}

// Ready waits until the node is a member and has the catalog, or ctx ends.
func (n *Node) Ready(ctx context.Context) error {
	_, err := n.ready(ctx)
	return err
}
