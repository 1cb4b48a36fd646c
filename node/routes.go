package node

import (
	"context"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/proxy"
	"github.com/micro/micro-net/router"
)

// routes lends the router to the proxy.
type routes struct {
	router Router
	// whyNobody is the error of a pick that led to nobody, for people.
	whyNobody func(micronet.Destination, error) error
}

var _ proxy.Routes = routes{}

// Pick chooses an instance, which counts as in use until the ticket's Done.
func (r routes) Pick(now time.Time, dest micronet.Destination, tried []micronet.InstanceKey) (proxy.Ticket, error) {
	choice, err := r.router.Pick(now, dest, tried)
	if err != nil {
		return proxy.Ticket{}, r.whyNobody(dest, err)
	}
	r.router.Start(choice)
	return proxy.Ticket{Route: *choice.Route, Done: func(now time.Time, o proxy.Outcome) {
		r.router.Done(now, choice, router.Outcome{Latency: o.Latency, Err: failure(o)})
	}}, nil
}

// failure is what speaks against the instance: an attempt that the instance is to blame for.
func failure(o proxy.Outcome) error {
	if !o.Failed {
		if o.Err == nil {
			return nil
		}
		// Neither for nor against the instance: the caller gave up, or was not allowed.
		return context.Canceled
	}
	if o.Err != nil && router.Ejects(o.Err) {
		return o.Err
	}
	return micronet.E("router.report", micronet.Unreachable, "it could not take the connection: %v", o.Err)
}
