package scenario

import (
	"slices"
	"strings"
	"time"
)

// condition reads one kind of Condition.
type condition func(r *reader, v *value) Condition

// conditions is the table of them. `converged` is read with the keys beside it.
func conditions() map[string]condition {
	return map[string]condition{
		"converged": nil, "always": always, "success_rate": successRate, "latency": latency, "pauses": pauses,
		"fails_within": failsWithin, "resolves": resolves, "status": status, "path": path, "warns": warns, "gone_within": goneWithin, "known_within": knownWithin,
		"revoked_within": revokedWithin,
	}
}

// expectation reads one entry of expect.
func (r *reader) expectation(v *value) {
	c := Converged{At: r.end()}
	var found []string
	known := r.convergedFields(&c)
	for name := range r.conds {
		known[name] = func(*value) { found = append(found, name) }
	}
	if !r.object(v, known) {
		return
	}
	if len(found) != 1 {
		r.fail(oneCondition(v, found, r.conds))
		return
	}
	e := Expectation{Line: v.line, Text: strings.TrimSuffix(strings.TrimPrefix(v.String(), "{"), "}")}
	before := len(r.list) + r.more
	if read := r.conds[found[0]]; read == nil {
		r.converged(v, &c)
		e.Condition = c
	} else {
		r.alone(v, found[0])
		e.Condition = read(r, v.get(found[0]))
	}
	if len(r.list)+r.more == before {
		r.s.Expect = append(r.s.Expect, e)
	}
}

func oneCondition(v *value, found []string, conds map[string]condition) *Mistake {
	if len(found) == 0 {
		return v.mistake("add one of "+strings.Join(sortedKeys(conds), ", "), "nothing is expected here")
	}
	slices.Sort(found)
	return v.mistake("make an entry of each", "one entry cannot be %s", strings.Join(found, " and "))
}

// alone refuses the keys of converged beside another condition.
func (r *reader) alone(v *value, name string) {
	for i := range v.pairs {
		if p := &v.pairs[i]; p.name != name {
			r.fail(p.value.mistake("write it into "+name+", or remove it", "only converged has this key beside it"))
		}
	}
}

// convergedFields are the keys beside `converged`.
func (r *reader) convergedFields(c *Converged) fields {
	return fields{
		"after_heal": into(r, &c.AfterHeal, (*value).positive),
		"at":         into(r, &c.At, r.moment),
		"within":     into(r, &c.Within, (*value).positive),
		"among":      r.nodesAt(&c.Among, &c.At),
	}
}

func (r *reader) converged(v *value, c *Converged) {
	if yes, m := v.get("converged").boolean(); m != nil || !yes {
		r.fail(v.get("converged").wrong("true"))
	}
	switch heal, at := v.get("after_heal"), v.get("at"); {
	case heal != nil && (at != nil || v.get("within") != nil):
		r.fail(heal.mistake("remove it, or at and within", "after_heal stands alone"))
	case heal != nil && v.get("among") != nil:
		r.fail(v.get("among").mistake("use at and within", "after_heal is about all nodes"))
	case heal != nil && len(r.heals()) == 0:
		r.fail(heal.mistake("add a heal, or use at", "nothing is healed in this timeline"))
	case heal != nil && slices.Min(r.heals())+c.AfterHeal > r.end():
		r.fail(heal.mistake("make duration longer", "the scenario ends before, at %s", r.end()))
	case heal != nil:
		c.At = 0
	case v.get("within") != nil && at == nil:
		r.fail(v.get("within").mistake("add at: 60s", "within needs at"))
	case c.At+c.Within > r.end():
		r.fail(v.mistake("make duration longer", "at and within end after the scenario, at %s", r.end()))
	}
}

// heals lists when the network becomes whole again.
func (r *reader) heals() (out []time.Duration) {
	for i := range r.s.Timeline {
		switch s := &r.s.Timeline[i]; s.Action.(type) {
		case Heal:
			out = append(out, s.At)
		case Partition, Isolate, Apart, Bridge, Ring, OneWay, Flap:
			if s.For > 0 {
				out = append(out, s.At+s.For)
			}
		}
	}
	return out
}

func always(r *reader, v *value) Condition {
	var a Always
	one := oneOf(NoLoops, NoGhosts, NoUnauthorized, NoLost, NoFalseDead, Bounded, NoForge, NoRollback, OneIdentity, Durable, Blast)
	r.each(v, maxEntries, func(item *value) {
		var i Invariant
		into(r, &i, one)(item)
		if slices.Contains(a.Invariants, i) {
			r.fail(item.mistake("remove one", "%s stands here twice", i))
		}
		a.Invariants = append(a.Invariants, i)
	})
	if v.kind == list && len(v.items) == 0 {
		r.fail(v.mistake("name one", "an empty list"))
	}
	return a
}

func (r *reader) successRateFields(s *SuccessRate) fields {
	return fields{
		"service":  r.known(&s.Service),
		"at_least": into(r, &s.AtLeast, (*value).share),
		"outside":  r.intervals(&s.Outside),
	}
}

func successRate(r *reader, v *value) Condition {
	var s SuccessRate
	if r.object(v, r.successRateFields(&s), "service", "at_least") {
		r.called(v, s.Service)
	}
	return s
}

func (r *reader) latencyFields(l *Latency) fields {
	return fields{
		"service":  r.known(&l.Service),
		"quantile": into(r, &l.Quantile, (*value).quantile),
		"at_most":  into(r, &l.AtMost, (*value).positive),
		"outside":  r.intervals(&l.Outside),
	}
}

func latency(r *reader, v *value) Condition {
	var l Latency
	if r.object(v, r.latencyFields(&l), "service", "quantile", "at_most") {
		r.called(v, l.Service)
	}
	return l
}

func pauses(r *reader, v *value) Condition {
	var p Pauses
	if r.object(v, r.latencyFields((*Latency)(&p)), "service", "quantile", "at_most") {
		r.streamed(v, p.Service)
	}
	return p
}

func (r *reader) failsWithinFields(f *FailsWithin) fields {
	return fields{
		"service": r.known(&f.Service),
		"at_most": into(r, &f.AtMost, (*value).positive),
		"outside": r.intervals(&f.Outside),
	}
}

func failsWithin(r *reader, v *value) Condition {
	var f FailsWithin
	if r.object(v, r.failsWithinFields(&f), "service", "at_most") {
		r.called(v, f.Service)
	}
	return f
}

// streamed demands that there are streams to a service: calls make no pauses.
func (r *reader) streamed(v *value, service string) {
	if !slices.ContainsFunc(r.s.Traffic, func(t Traffic) bool { return t.To == service && t.Kind == Streams }) && !r.servicesBroken {
		r.fail(v.mistake("add kind: stream to traffic", "there are no streams to %s", service))
	}
}

// called demands that there is traffic to a service: else nothing would be measured.
func (r *reader) called(v *value, service string) {
	if !slices.ContainsFunc(r.s.Traffic, func(t Traffic) bool { return t.To == service }) && !r.servicesBroken {
		r.fail(v.mistake("add one to traffic", "there is no traffic to %s", service))
	}
}

// intervals reads [30s, 45s], or a list of such.
func (r *reader) intervals(to *[]Interval) setter {
	return func(v *value) {
		items := []*value{v}
		if v.kind == list && len(v.items) > 0 && v.items[0].kind == list {
			items = v.items
		}
		if len(items) > maxEntries {
			r.fail(v.mistake("", "more than %d intervals", maxEntries))
			return
		}
		for _, item := range items {
			if i, m := item.interval(); m == nil {
				*to = append(*to, i)
			} else {
				r.fail(m)
			}
		}
	}
}

func (v *value) interval() (i Interval, m *Mistake) {
	if v.kind != list || len(v.items) != 2 {
		return i, v.wrong("an interval like [30s, 45s]")
	}
	if i.From, m = v.items[0].duration(); m != nil {
		return i, m
	}
	if i.To, m = v.items[1].duration(); m != nil {
		return i, m
	}
	if i.To <= i.From {
		return i, v.mistake("", "the interval ends at %s, not after %s", i.To, i.From)
	}
	return i, nil
}

func (r *reader) resolvesFields(e *Resolves) fields {
	return fields{
		"service":   r.known(&e.Service),
		"from":      r.nodesAt(&e.From, &e.At),
		"instances": into(r, &e.Instances, within(0, maxNodes)),
		"at":        into(r, &e.At, r.moment),
	}
}

func resolves(r *reader, v *value) Condition {
	e := Resolves{At: r.end()}
	r.object(v, r.resolvesFields(&e), "service", "from", "instances")
	return e
}

func (r *reader) statusFields(s *Status) fields {
	return fields{
		"nodes":   r.nodesAt(&s.Nodes, &s.At),
		"seen_by": r.nodesAt(&s.SeenBy, &s.At),
		"is":      into(r, &s.Is, oneOf(Alive, Suspect, Dead, Left, Revoked)),
		"at":      into(r, &s.At, r.moment),
	}
}

func status(r *reader, v *value) Condition {
	s := Status{At: r.end()}
	r.object(v, r.statusFields(&s), "nodes", "seen_by", "is")
	return s
}

func (r *reader) pathFields(p *Path) fields {
	return fields{
		"from": r.nodesAt(&p.From, &p.At),
		"to":   r.nodesAt(&p.To, &p.At),
		"is":   into(r, &p.Is, oneOf(Direct, Relayed, OverTCP, OverLanes)),
		"at":   into(r, &p.At, r.moment),
	}
}

func path(r *reader, v *value) Condition {
	p := Path{At: r.end()}
	r.object(v, r.pathFields(&p), "from", "to", "is")
	return p
}

func (r *reader) warnsFields(w *Warns) fields {
	return fields{
		"nodes": r.nodesAt(&w.Nodes, &w.At),
		"code":  into(r, &w.Code, (*value).label),
		"shown": into(r, &w.Shown, (*value).boolean),
		"at":    into(r, &w.At, r.moment),
	}
}

func warns(r *reader, v *value) Condition {
	w := Warns{At: r.end(), Shown: true}
	r.object(v, r.warnsFields(&w), "nodes", "code")
	return w
}

func (r *reader) goneWithinFields(g *GoneWithin) fields {
	end := r.end()
	after := oneOf("kill", "stop", "restart", "stall", "isolate", "partition", "deregister")
	return fields{
		"service_on": r.nodesAt(&g.ServiceOn, &end),
		"after":      into(r, &g.After, after),
		"at_most":    into(r, &g.AtMost, (*value).positive),
	}
}

func goneWithin(r *reader, v *value) Condition {
	var g GoneWithin
	if !r.object(v, r.goneWithinFields(&g), "service_on", "after", "at_most") {
		return g
	}
	i := slices.IndexFunc(r.s.Timeline, func(s Step) bool { return s.Action.Verb() == g.After })
	switch {
	case i < 0:
		r.fail(v.get("after").mistake("add such a step to the timeline", "there is no %s in the timeline", g.After))
	case r.s.Timeline[i].At+g.AtMost > r.end():
		r.fail(v.get("at_most").mistake("make duration longer", "the scenario ends before, at %s", r.end()))
	}
	return g
}

// nodesAt is nodes at a time that may be read later.
func (r *reader) nodesAt(to *Selector, at *time.Duration) setter {
	set := r.nodes(to)
	return func(v *value) {
		n := len(r.uses)
		set(v)
		for i := range r.uses[n:] {
			r.uses[n+i].late = at
		}
	}
}

func (r *reader) knownWithinFields(k *KnownWithin) fields {
	return fields{
		"service": r.known(&k.Service),
		"at_most": into(r, &k.AtMost, (*value).positive),
	}
}

func knownWithin(r *reader, v *value) Condition {
	var k KnownWithin
	if !r.object(v, r.knownWithinFields(&k), "service", "at_most") {
		return k
	}
	isIt := func(s Step) bool { a, ok := s.Action.(Register); return ok && a.Service == k.Service }
	if !slices.ContainsFunc(r.s.Timeline, isIt) {
		r.fail(v.get("service").mistake("add such a step to the timeline", "nothing registers %s in the timeline", k.Service))
	}
	return k
}

func (r *reader) revokedWithinFields(w *RevokedWithin) fields {
	return fields{
		"at_most":    into(r, &w.AtMost, (*value).positive),
		"after_heal": into(r, &w.AfterHeal, (*value).positive),
		"flows":      into(r, &w.Flows, (*value).positive),
	}
}

func revokedWithin(r *reader, v *value) Condition {
	var w RevokedWithin
	if !r.object(v, r.revokedWithinFields(&w), "at_most", "after_heal", "flows") {
		return w
	}
	i := slices.IndexFunc(r.s.Timeline, func(s Step) bool { return s.Action.Verb() == "revoke" })
	switch {
	case i < 0:
		r.fail(v.mistake("add a revoke to the timeline", "nobody is revoked in the timeline"))
	case r.s.Timeline[i].At+w.AtMost > r.end():
		r.fail(v.get("at_most").mistake("make duration longer", "the scenario ends before, at %s", r.end()))
	}
	return w
}
