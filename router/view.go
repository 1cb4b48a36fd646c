package router

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// View is one route as people see it.
type View struct {
	Route  micronet.Route
	Metric int64 // expected cost of one more request, microseconds
	State  micronet.RouteState
	Reason string    // why the state is what it is, and what the metric is made of
	Until  time.Time // of one that flaps, also when it serves for want of a better one: until when; zero: not known
}

// Routes lists the routes of a service, of all services for "". They are sorted by service,
// then by metric. An instance that may not be used at all is listed as ejected, with the reason.
func (r *Router) Routes(now time.Time, service string) []View {
	nanos := now.UnixNano()
	views := []View{}
	for d, g := range r.table.Load().groups {
		if d.Tag == "" && d.Cluster == "" && (service == "" || d.Service == service) {
			views = g.appendViews(views, nanos)
		}
	}
	slices.SortFunc(views, compareViews)
	return views
}

func compareViews(a, b View) int {
	return cmp.Or(cmp.Compare(a.Route.Instance.Service, b.Route.Instance.Service), cmp.Compare(a.Metric, b.Metric),
		a.Route.Node.Compare(b.Route.Node), cmp.Compare(a.Route.Instance.ID, b.Route.Instance.ID))
}

func (g *group) appendViews(views []View, nanos int64) []View {
	serves := g.serves(nanos, nil)
	for _, e := range g.ready {
		state, reason := micronet.RouteUp, e.formula(nanos)
		switch {
		case !serves:
			reason += "; all are ejected, so none is left out"
		case e.stats.ejected(nanos):
			state, reason = micronet.RouteEjected, e.wait(nanos)
		case e.damped:
			reason += "; it flaps, but nothing better serves"
		}
		views = append(views, e.view(nanos, state, reason))
	}
	for _, e := range g.others {
		state, reason := micronet.RouteEjected, e.why()
		switch {
		case e.drain:
			state = micronet.RouteDraining
		case e.idle == "":
			state, reason = micronet.RouteDamped, e.flapping(nanos)
		}
		views = append(views, e.view(nanos, state, reason))
	}
	return views
}

func (e *entry) view(nanos int64, state micronet.RouteState, reason string) View {
	v := View{Route: e.route, Metric: int64(e.cost(nanos) / float64(time.Microsecond)), State: state, Reason: reason}
	if e.damped {
		v.Until = e.until
	}
	return v
}

// formula spells the metric out.
func (e *entry) formula(nanos int64) string {
	return fmt.Sprintf("path %v, latency %v, %d in flight", time.Duration(e.path).Round(time.Microsecond),
		time.Duration(e.stats.latency(nanos)).Round(time.Microsecond), e.stats.inFlight.Load())
}

func (e *entry) wait(nanos int64) string {
	left := time.Duration(e.stats.until.Load() - nanos)
	return fmt.Sprintf("it could not be reached, next try in %v", left.Round(time.Millisecond))
}
