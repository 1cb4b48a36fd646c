package node

import (
	"context"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/proxy"
)

const (
	// newsWait is how long a cut connection waits for the statement that explains it: the node at the other
	// end may have had it first.
	newsWait = time.Second
	// newsEvery is how often it is looked for.
	newsEvery = 50 * time.Millisecond
)

// programConn is a connection for a program of this host that asks through the API.
type programConn struct {
	proxy.Conn
	l       *life
	from    micronet.Caller
	service string
}

var _ api.Cuttable = programConn{}

// WhyCut says whether it was refused: by a policy that came later, or by a revocation. Else the instance, its
// node or the way there has failed.
func (d programConn) WhyCut(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, newsWait)
	defer cancel()
	for {
		if why := d.refused(); why != nil {
			return why
		}
		if !micronet.Pause(ctx, newsEvery) {
			break
		}
	}
	return micronet.E("dial", micronet.Unreachable, "%s: the connection to %s was cut: %w", d.service, d.Route().NodeName, err).
		WithFix("see whether the service and its node are well: `micro-net routes %s`", d.service)
}

// refused says why the connection would not be let in now, nil when it would.
func (d programConn) refused() error {
	const op = "dial"
	if err := d.l.revoked(op); err != nil {
		return err
	}
	r := d.Route()
	if gone, revoked := d.l.outcasts.Load().revoked[r.Node]; revoked {
		return micronet.E(op, micronet.Refused, "%s: the connection was cut: %s", d.service, gone.text(d.l, r.NodeName)).
			WithFix("see `micro-net routes %s` for other instances", d.service)
	}
	if err := d.l.guard.Allows(d.from, &r.Instance); err != nil {
		return micronet.E(op, micronet.Refused, "%s: the connection was cut: %w", d.service, err).WithFix("see `micro-net explain %s` and `micro-net policy list`", d.service)
	}
	return nil
}
