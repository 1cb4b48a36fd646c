package router

import (
	"fmt"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

const opPick = "router.pick"

// notFound says which part of the destination nobody offers.
func (t *table) notFound(to micronet.Destination) error {
	g := t.groups[micronet.Destination{Service: to.Service}]
	if g == nil {
		return micronet.E(opPick, micronet.NotFound, "no instance of %q is registered", to.Service).
			WithFix("register one, or look for the name in `micro-net services`")
	}
	narrow := ""
	if to.Tag != "" {
		narrow += fmt.Sprintf(" with tag %q", to.Tag)
	}
	if to.Cluster != "" {
		narrow += fmt.Sprintf(" in cluster %q", to.Cluster)
	}
	return micronet.E(opPick, micronet.NotFound, "%q has %s, none%s", to.Service,
		count(len(g.ready)+len(g.others)), narrow)
}

// unreachable says why nobody who offers the destination can be used.
func (g *group) unreachable(to micronet.Destination) error {
	total := len(g.ready) + len(g.others)
	reasons := make(map[string]int)
	for _, e := range g.others {
		reasons[e.why()]++
	}
	if len(g.ready) > 0 {
		reasons["already tried"] += len(g.ready)
	}
	return micronet.E(opPick, micronet.Unreachable, "%q has %s%s", to.String(), count(total), tally(total, reasons)).
		WithFix("see `micro-net routes %s`", to.Service)
}

func (e *entry) why() string {
	if e.idle == "" && e.damped {
		return "damped for flapping"
	}
	return e.idle
}

// flapping says why an instance is damped and until when.
func (e *entry) flapping(nanos int64) string {
	if e.until.IsZero() {
		return e.why()
	}
	left := time.Duration(e.until.UnixNano() - nanos)
	return fmt.Sprintf("flapping: damped until %s, for %v, penalty %.2f", e.until.UTC().Format(time.RFC3339),
		max(left, 0).Round(time.Second), e.flaps)
}

// tally reads ", all critical" or ": 2 critical, 1 draining".
func tally(total int, reasons map[string]int) string {
	var parts []string
	for why, n := range reasons {
		if n == total && total > 1 {
			return ", all " + why
		}
		if total == 1 {
			return ", " + why
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, why))
	}
	slices.Sort(parts)
	return ": " + strings.Join(parts, ", ")
}

func count(n int) string {
	if n == 1 {
		return "1 instance"
	}
	return fmt.Sprintf("%d instances", n)
}
