package node

import (
	"fmt"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/router"
)

// damping tells which instances flap, from what their owners signed. It belongs to the goroutine that
// makes views.
type damping struct {
	damper *router.Damper
	news   news
}

func newDamping() *damping {
	return &damping{damper: router.NewDamper(router.DampConfig{}), news: news{}}
}

// take counts what documents say that are newer than those before, and forgets owners without one.
func (d *damping) take(now time.Time, entries []gossip.Entry) {
	d.news.look(entries, func(doc *gossip.Document) {
		d.damper.Announced(now, router.Announcement{Node: doc.Owner, Start: gossip.StartOf(doc.Version.Epoch), Instances: doc.Instances})
	}, d.damper.Forget)
	d.damper.Sweep(now)
}

// of says whether an instance is damped, and until when.
func (d *damping) of(now time.Time, key micronet.InstanceKey) (router.Damping, bool) {
	damped, until, penalty := d.damper.State(now, key)
	return router.Damping{Until: until, Penalty: penalty}, damped
}

// damp marks the instances of a view that flap. The basis of their nodes changes with them.
func (v *view) damp(d *damping) {
	marks := map[micronet.NodeID][]string{}
	for i := range v.placed {
		p := &v.placed[i]
		p.damping, p.damped = d.of(v.made, micronet.InstanceKey{Node: p.node.ID, ID: p.instance.ID})
		if p.damped {
			marks[p.node.ID] = append(marks[p.node.ID], p.instance.ID+" "+p.damping.Until.String())
		}
	}
	for i := range v.basis {
		v.basis[i].damped = strings.Join(marks[v.basis[i].node], ",")
	}
}

// flapping tells people of the instances that are damped.
func (v *view) flapping() []string {
	var out []string
	for i := range v.placed {
		if p := &v.placed[i]; p.damped {
			out = append(out, p.instance.Service+" at "+p.node.Name+", until "+p.damping.Until.UTC().Format(time.TimeOnly)+" UTC")
		}
	}
	return out
}

// undamped drops the instances that flap from a list of usable ones, unless no other is left.
func undamped(list []*placed) []*placed {
	var out []*placed
	for _, p := range list {
		if !p.damped {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return list
	}
	return out
}

// maxFlapping is how many instances that flap are named in one warning.
const maxFlapping = 5

func shortList(all []string) string { return shortened(all, "; ") }

// shortNames is shortList for names, which have no commas of their own.
func shortNames(all []string) string { return shortened(all, ", ") }

func shortened(all []string, between string) string {
	if n := len(all); n > maxFlapping {
		return strings.Join(all[:maxFlapping], between) + fmt.Sprintf("%sand %d more", between, n-maxFlapping)
	}
	return strings.Join(all, between)
}
