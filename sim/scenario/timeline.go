package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// maxSteps bounds a timeline, with the steps that `every` makes.
const maxSteps = 10000

// timeline reads the steps, repeats them, and sorts them by time.
func (r *reader) timeline(v *value) {
	r.each(v, maxSteps, r.step)
	r.now = 0
	slices.SortStableFunc(r.s.Timeline, func(a, b Step) int { return int(clamp(a.At - b.At)) })
	r.arrive(v)
	r.checkSnapshots()
}

// checkSnapshots demands that a disk was remembered before it is rolled back.
func (r *reader) checkSnapshots() {
	taken := false
	for _, s := range r.s.Timeline {
		switch a := s.Action.(type) {
		case Snapshot:
			taken = true
		case Restart:
			if a.Disk == RolledBack && !taken {
				r.fail(&Mistake{File: r.s.File, Line: s.Line, What: "no disk was remembered before", Fix: "add a snapshot to the timeline, earlier"})
				return
			}
		}
	}
}

func clamp(d time.Duration) time.Duration { return max(-1, min(1, d)) }

// rhythm is when a step happens.
type rhythm struct{ at, last, every, until time.Duration }

// step reads one entry of the timeline.
func (r *reader) step(v *value) {
	t := rhythm{until: r.end()}
	var found []string
	known := r.rhythmFields(&t)
	for name := range r.verbs {
		known[name] = func(*value) { found = append(found, name) }
	}
	if !r.object(v, known, "at") || !r.rhythm(v, &t) {
		return
	}
	if len(found) != 1 {
		r.fail(oneVerb(v, found, r.verbs))
		return
	}
	r.now = t.at
	a := r.act(found[0], v.get(found[0]))
	if a == nil || !r.lasts(v, found[0], t.last) {
		return
	}
	if _, once := a.(Clone); once && t.every > 0 {
		r.fail(v.mistake("remove every", "clones of one name"))
		return
	}
	r.repeat(v, &t, Step{At: t.at, For: t.last, Line: v.line, Action: a})
}

// rhythmFields are the keys of a step besides verbs.
func (r *reader) rhythmFields(t *rhythm) fields {
	return fields{
		"at":    into(r, &t.at, r.moment),
		"for":   into(r, &t.last, (*value).positive),
		"every": into(r, &t.every, (*value).positive),
		"until": into(r, &t.until, r.moment),
	}
}

func oneVerb(v *value, found []string, verbs map[string]verb) *Mistake {
	if len(found) == 0 {
		return v.mistake("add one of "+strings.Join(sortedKeys(verbs), ", "), "nothing happens in this step")
	}
	slices.Sort(found)
	return v.mistake("make a step of each", "one step cannot be %s", strings.Join(found, " and "))
}

func (r *reader) rhythm(v *value, t *rhythm) bool {
	switch {
	case v.get("until") != nil && t.every == 0:
		r.fail(v.mistake("add every: 5s, or use for", "until without every"))
	case t.until < t.at:
		r.fail(v.mistake("", "until %s is before at %s", t.until, t.at))
	default:
		return true
	}
	return false
}

func (r *reader) lasts(v *value, name string, last time.Duration) bool {
	switch l := r.verbs[name].lasts; {
	case l == mustLast && last == 0:
		r.fail(v.mistake("add for: 20s", "%s has no end", name))
	case l == neverLasts && last > 0:
		r.fail(v.mistake("remove for", "%s cannot be taken back", name))
	default:
		return true
	}
	return false
}

// repeat appends the step, as often as `every` says.
func (r *reader) repeat(v *value, t *rhythm, s Step) {
	times := 1
	if t.every > 0 {
		times += int(min((t.until-t.at)/t.every, maxSteps))
	}
	if len(r.s.Timeline)+times > maxSteps {
		r.fail(v.mistake("repeat less often", "more than %d steps", maxSteps))
		return
	}
	for range times {
		r.s.Timeline = append(r.s.Timeline, s)
		s.At += t.every
	}
}

// arrive collects the nodes that come later.
func (r *reader) arrive(v *value) {
	joined := 0
	names := map[string]bool{}
	for i := range r.s.Groups {
		names[r.s.Groups[i].Name] = true
	}
	for _, s := range r.s.Timeline {
		switch a := s.Action.(type) {
		case Join:
			for range min(a.Nodes, maxNodes+1-min(joined, maxNodes+1)) {
				joined++
				r.arrivals = append(r.arrivals, arrival{s.At, Joined(joined)})
			}
		case Clone:
			if names[a.As] || r.isNode(a.As) {
				r.fail(&Mistake{File: r.s.File, Line: s.Line, What: fmt.Sprintf("%q is the name of others", a.As), Fix: "give the clone another name"})
			}
			names[a.As] = true
			r.arrivals = append(r.arrivals, arrival{s.At, Cloned(a.As)})
		}
	}
	if n := len(r.s.Nodes()) + len(r.arrivals); n > maxNodes && !r.groupsBroken {
		r.fail(v.mistake("let fewer join", "more than %d nodes in the end", maxNodes))
	}
}

// isNode reports whether name is that of a node of a group, or could be.
func (r *reader) isNode(name string) bool {
	group, _, ok := member(name)
	return name == JoinGroup || ok && (group == JoinGroup || slices.ContainsFunc(r.s.Groups, func(g Group) bool { return g.Name == group }))
}
