package router

import (
	"cmp"
	"time"

	micronet "github.com/micro/micro-net"
)

// MaxWatched bounds the instances whose former state a damper keeps. Further ones are not watched.
const MaxWatched = 262144

// Announcement is what an owner says of its instances, in a document that it signed.
type Announcement struct {
	Node      micronet.NodeID
	Start     uint64 // which start of the owner it belongs to, higher for later ones
	Instances []micronet.Instance
}

// announced is the last announcement of an owner: whether each instance served.
type announced struct {
	start   uint64
	serving map[string]bool
}

// Announced compares an announcement with the owner's former one and counts the flaps. Pass every
// document that was accepted as newer, and nothing else: not the owner's death, nor its return.
//
// Maintenance is no failure, it is meant. A restart counts once for each instance, not a second
// time for what the instances go through meanwhile.
func (d *Damper) Announced(now time.Time, a Announcement) {
	former := d.owners[a.Node]
	if former != nil && a.Start < former.start {
		return
	}
	next := &announced{start: a.Start, serving: make(map[string]bool, len(a.Instances))}
	for i := range a.Instances {
		if d.watched-former.size()+len(next.serving) >= MaxWatched {
			d.ignored++
			break
		}
		next.serving[a.Instances[i].ID] = a.Instances[i].Health.Serving()
	}
	switch {
	case former == nil:
	case a.Start > former.start:
		for id := range former.serving {
			d.Transition(now, micronet.InstanceKey{Node: a.Node, ID: id}, Restarted)
		}
	default:
		d.compare(now, &a, former, next)
	}
	d.watched += next.size() - former.size()
	d.owners[a.Node] = next
}

func (d *Damper) compare(now time.Time, a *Announcement, former, next *announced) {
	for i := range a.Instances {
		key := micronet.InstanceKey{Node: a.Node, ID: a.Instances[i].ID}
		served, was := former.serving[key.ID]
		switch {
		case !was:
			d.Transition(now, key, Added)
		case served && !next.serving[key.ID] && a.Instances[i].Health != micronet.Maintenance:
			d.Transition(now, key, Failed)
		}
	}
	for id := range former.serving {
		if _, is := next.serving[id]; !is {
			d.Transition(now, micronet.InstanceKey{Node: a.Node, ID: id}, Removed)
		}
	}
}

// Forget drops an owner that no document is held of any more. Penalties fade by themselves.
func (d *Damper) Forget(owner micronet.NodeID) {
	d.watched -= d.owners[owner].size()
	delete(d.owners, owner)
}

func (a *announced) size() int {
	if a == nil {
		return 0
	}
	return len(a.serving)
}

func compareKeys(a, b micronet.InstanceKey) int {
	return cmp.Or(a.Node.Compare(b.Node), cmp.Compare(a.ID, b.ID))
}
