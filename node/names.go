package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
)

// The setting that says who may offer services, and its values. What this version does not know counts as
// granted: an older node must not let pass what a newer one withholds.
const (
	settingNames = "names"
	namesOpen    = "open"    // any member may offer any service
	namesGranted = "granted" // a node may offer what an authority has granted it
)

// restateNames makes it count here who may offer what.
func (l *life) restateNames() {
	var names *policy.Names
	if l.namesMode() != namesOpen {
		names = policy.NewNames(l.grants())
	}
	l.names.Store(names)
	l.look()
}

// namesMode is the value of the setting.
func (l *life) namesMode() string {
	for _, s := range l.stated(identity.StatementSetting) {
		if string(s.Subject) == settingNames && string(s.Body) != namesOpen {
			return namesGranted
		}
	}
	return namesOpen
}

// grants are the patterns of services that nodes were granted, without those that were taken back.
func (l *life) grants() map[micronet.NodeID][]string {
	out := map[micronet.NodeID][]string{}
	for _, s := range l.stated(identity.StatementGrant) {
		if len(s.Subject) != len(micronet.NodeID{}) {
			continue
		}
		patterns, err := policy.DecodeNames(s.Body)
		l.report("node.names", err)
		if id := micronet.NodeID(s.Subject); len(patterns) > 0 {
			out[id] = patterns
		}
	}
	return out
}

// squat is services that a node offers and was not granted.
type squat struct {
	node     *micronet.Node
	services []string // sorted
}

// String names them as warnings do.
func (s *squat) String() string { return strings.Join(s.services, ", ") + " at " + s.node.Name }

func wordsOf(squats []squat) []string {
	words := make([]string, len(squats))
	for i := range squats {
		words[i] = squats[i].String()
	}
	return words
}

// squats lists the services that are withheld, by node: this one first, then in the order of ids.
func (v *view) squats(self micronet.NodeID) []squat {
	return squatsIn(self, func(yield func(string, *placed) bool) {
		for service, list := range v.withheld {
			for _, p := range list {
				if !yield(service, p) {
					return
				}
			}
		}
	})
}

func squatsIn(self micronet.NodeID, all func(yield func(string, *placed) bool)) []squat {
	of := map[micronet.NodeID]*squat{}
	for service, p := range all {
		if of[p.node.ID] == nil {
			of[p.node.ID] = &squat{node: p.node}
		}
		of[p.node.ID].services = append(of[p.node.ID].services, service)
	}
	var out []squat
	for _, id := range slices.SortedFunc(maps.Keys(of), micronet.NodeID.Compare) {
		s := of[id]
		slices.Sort(s.services)
		s.services = slices.Compact(s.services)
		if id == self {
			out = slices.Insert(out, 0, *s)
		} else {
			out = append(out, *s)
		}
	}
	return out
}

// squatted lists what would be withheld of what is offered now, were names granted so.
func (v *view) squatted(self micronet.NodeID, names *policy.Names) []squat {
	return squatsIn(self, func(yield func(string, *placed) bool) {
		for _, offered := range []map[string][]*placed{v.instances, v.withheld} {
			for service, list := range offered {
				for _, p := range list {
					if !names.Allows(p.node.ID, service) && !yield(service, p) {
						return
					}
				}
			}
		}
	})
}

// notGranted says why nobody is led to an instance.
func notGranted(service, node string) string {
	return fmt.Sprintf("%s was not granted the name %q", node, service)
}

// namesWarnings tell of services that are withheld, and of names that others have begun to offer.
func (l *life) namesWarnings(now time.Time) (out []api.Warning) {
	v := l.view.Load()
	squats := v.squats(l.self)
	if len(squats) > 0 && squats[0].node.ID == l.self {
		out = append(out, api.Warning{
			Code: "not-granted", Text: "nobody is led to what this node offers without having been granted the name: " + strings.Join(squats[0].services, ", "),
			Fix: l.grantFix(&squats[0]),
		})
		squats = squats[1:]
	}
	if len(squats) > 0 {
		out = append(out, api.Warning{
			Code: "names-withheld", Text: "nodes offer services whose names they were not granted, and nobody is led to them: " + shortList(wordsOf(squats)),
			Fix: l.grantAll(squats) + "; if a node should not offer it, see who uses it, and `micro-net node revoke NODE`",
		})
	}
	if news := v.newHolders(now); len(news) > 0 && l.names.Load() == nil {
		out = append(out, newHolderWarning(v, now, news))
	}
	return out
}

// tellNames logs what is withheld and was not before, and who begins to offer what another node has held for
// long: one line for each node.
func (l *life) tellNames(old, now *view) {
	known := map[micronet.NodeID]string{}
	if old != nil {
		for _, s := range old.squats(l.self) {
			known[s.node.ID] = s.String()
		}
	}
	for _, s := range now.squats(l.self) {
		if known[s.node.ID] == s.String() {
			continue
		}
		l.env.Log.Warn("a node offers services whose names it was not granted, and nobody is led to them",
			"node", s.node.Name, "peer", s.node.ID.Short(), "svc", strings.Join(s.services, ","), "fix", l.grantFix(&s))
	}
	if l.names.Load() == nil {
		l.tellHolders(old, now)
	}
}
