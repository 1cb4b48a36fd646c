package api

import (
	"context"
	"io"
	"net"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// Backend is the node behind the API. All methods may be called from several goroutines.
// Errors are *micronet.Error; their kind becomes the HTTP status and the exit code.
type Backend interface {
	Status() Status
	Nodes() []Node
	// Services lists the services that have instances on live nodes; NotFound for an unknown
	// name, all services for "".
	Services(name string) ([]Service, error)
	Routes(service string) ([]Route, error)
	Connections() []Connection
	Graph() Graph
	Settings() []Setting

	Invite(InviteRequest) (Invitation, error)
	Join(ctx context.Context, token string) error
	// Leave says goodbye for good and stops the daemon; it returns once peers were told, or could
	// not be.
	Leave(ctx context.Context, r LeaveRequest) (Farewell, error)

	// Register adds instances of this node that survive a restart; owner is the user id of the
	// process that registers, which alone (besides root and the daemon's user) may withdraw them.
	Register(owner int, services []config.Service) (Registered, error)
	// Hold adds instances that end when the returned closer is closed.
	Hold(owner int, services []config.Service) ([]string, io.Closer, error)
	Deregister(owner int, id string) error

	Resolve(ctx context.Context, name, typ string) (Resolution, error)
	Ping(ctx context.Context, node string) (Pong, error)
	// Trace tells how packets get to a service or a node; it takes a second.
	Trace(ctx context.Context, target string) (Trace, error)
	// Clocks compares this host's wall clock with those of a few other nodes.
	Clocks(ctx context.Context) []Clock
	// Reach asks other nodes how they and this host reach each other; it takes seconds.
	Reach(ctx context.Context) (Reach, error)
	// Dial connects a program of this host to the best instance of a service.
	Dial(ctx context.Context, service string, from micronet.Caller) (net.Conn, error)

	Authorities
	Revocations
	Policies
	Namer

	// Healthy and Ready say why not.
	Healthy() error
	Ready() error
	// Metrics writes the Prometheus text exposition.
	Metrics(w io.Writer) error
}
