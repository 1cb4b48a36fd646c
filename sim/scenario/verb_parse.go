package scenario

import (
	"slices"
)

// lasting says whether a verb can have a For.
type lasting int

const (
	mayLast lasting = iota
	neverLasts
	mustLast
)

// verb reads the action of one verb.
type verb struct {
	lasts lasting
	parts func(r *reader) *part
}

// part is an action that is being read.
type part struct {
	action   func() Action
	fields   fields
	short    setter // for a value that is no mapping; nil: it must be one
	required []string
	check    func(v *value) // what no key alone can tell, nil: nothing
}

// verbs is the table of verbs.
func verbs() map[string]verb {
	return map[string]verb{
		"partition":   {mayLast, partition},
		"isolate":     {mayLast, many(func(s Selector) Action { return Isolate{s} })},
		"apart":       {mayLast, apart},
		"bridge":      {mayLast, bridge},
		"ring":        {mayLast, many(func(s Selector) Action { return Ring{s} })},
		"one_way":     {mayLast, oneWay},
		"flap":        {mustLast, flap},
		"link":        {mayLast, setLink},
		"network":     {mayLast, setNetwork},
		"heal":        {neverLasts, heal},
		"start":       {neverLasts, many(func(s Selector) Action { return Start{s} })},
		"stop":        {mayLast, many(func(s Selector) Action { return Stop{s} })},
		"kill":        {mayLast, many(func(s Selector) Action { return Kill{s} })},
		"restart":     {neverLasts, restart},
		"stall":       {mustLast, many(func(s Selector) Action { return Stall{s} })},
		"slow":        {mayLast, slow},
		"clock":       {mayLast, clock},
		"disk":        {mayLast, disk},
		"snapshot":    {neverLasts, many(func(s Selector) Action { return Snapshot{s} })},
		"clone":       {neverLasts, clone},
		"join":        {neverLasts, join},
		"promote":     {neverLasts, many(func(s Selector) Action { return Promote{s} })},
		"demote":      {neverLasts, many(func(s Selector) Action { return Demote{s} })},
		"rotate":      {neverLasts, many(func(s Selector) Action { return Rotate{s} })},
		"invite":      {neverLasts, many(func(s Selector) Action { return Invite{s} })},
		"address":     {neverLasts, many(func(s Selector) Action { return Address{s} })},
		"udp_blocked": {mayLast, many(func(s Selector) Action { return UDPBlocked{s} })},
		"rebind":      {neverLasts, rebind},
		"register":    {mayLast, register},
		"deregister":  {mayLast, deregister},
		"grant":       {mayLast, grant},
		"churn":       {mustLast, churn},
		"revoke":      {neverLasts, revoke},
		"policy":      {mayLast, policy},
		"insider":     {mayLast, insider},
	}
}

// act reads the value of a verb; nil after a mistake.
func (r *reader) act(name string, v *value) Action {
	p := r.verbs[name].parts(r)
	before := len(r.list) + r.more
	if p.short != nil && v.kind != mapping {
		p.short(v)
	} else {
		r.object(v, p.fields, p.required...)
	}
	if p.check != nil && len(r.list)+r.more == before {
		p.check(v)
	}
	if len(r.list)+r.more > before {
		return nil
	}
	return p.action()
}

// many is a verb that needs nodes alone.
func many(make func(Selector) Action) func(*reader) *part {
	return func(r *reader) *part {
		var s Selector
		set := r.nodes(&s)
		return &part{func() Action { return make(s) }, fields{"nodes": set}, set, []string{"nodes"}, nil}
	}
}

// partition is a list of sides, each a list of selectors.
func partition(r *reader) *part {
	var p Partition
	read := func(v *value) {
		r.each(v, maxNodes, func(side *value) {
			var s Selector
			r.nodes(&s)(side)
			p.Sides = append(p.Sides, s)
		})
		if v.kind == list && len(v.items) == 0 {
			r.fail(v.mistake("write it like [[1-5], [6-10]]", "a partition without sides"))
		}
		r.disjoint(v, p.Sides...)
	}
	return &part{func() Action { return p }, fields{"sides": read}, read, []string{"sides"}, nil}
}

func apart(r *reader) *part {
	var a Apart
	return &part{
		action:   func() Action { return a },
		fields:   fields{"a": r.nodes(&a.A), "b": r.nodes(&a.B)},
		required: []string{"a", "b"},
		check:    func(v *value) { r.disjoint(v, a.A, a.B) },
	}
}

func bridge(r *reader) *part {
	var b Bridge
	return &part{
		action:   func() Action { return b },
		fields:   fields{"a": r.nodes(&b.A), "b": r.nodes(&b.B), "over": r.nodes(&b.Over)},
		required: []string{"a", "b", "over"},
		check:    func(v *value) { r.disjoint(v, b.A, b.B, b.Over) },
	}
}

func oneWay(r *reader) *part {
	var o OneWay
	return &part{
		action:   func() Action { return o },
		fields:   fields{"from": r.nodes(&o.From), "to": r.nodes(&o.To)},
		required: []string{"from", "to"},
	}
}

func flap(r *reader) *part {
	f := Flap{Rate: 1}
	return &part{
		action:   func() Action { return f },
		fields:   fields{"a": r.nodes(&f.A), "b": r.nodes(&f.B), "rate": into(r, &f.Rate, (*value).rate)},
		required: []string{"a", "b"},
		check: func(v *value) {
			r.disjoint(v, f.A, f.B)
			if f.Rate > maxFlap {
				r.fail(v.mistake("", "a rate above %d/s", maxFlap))
			}
		},
	}
}

// maxFlap bounds Flap.Rate.
const maxFlap = 1000

func setLink(r *reader) *part {
	var l SetLink
	return &part{
		action:   func() Action { return l },
		fields:   r.linkRuleFields(&l.LinkRule),
		required: []string{"from", "to"},
		check: func(v *value) {
			l.Line = v.line
			r.says(v, &l.Link)
		},
	}
}

func setNetwork(r *reader) *part {
	var n SetNetwork
	return &part{
		action: func() Action { return n },
		fields: r.linkFields(&n.Link),
		check:  func(v *value) { r.says(v, &n.Link) },
	}
}

func heal(r *reader) *part {
	var h Heal
	set := into(r, &h.What, oneOf(HealAll, HealPartitions, HealLinks))
	return &part{func() Action { return h }, fields{"what": set}, set, []string{"what"}, nil}
}

func restart(r *reader) *part {
	s := Restart{Disk: Kept}
	nodes := r.nodes(&s.Nodes)
	return &part{
		action: func() Action { return s },
		fields: fields{
			"nodes":  nodes,
			"disk":   into(r, &s.Disk, oneOf(Kept, Lost, RolledBack)),
			"within": into(r, &s.Within, (*value).duration),
		},
		short:    nodes,
		required: []string{"nodes"},
	}
}

func slow(r *reader) *part {
	var s Slow
	return &part{
		action:   func() Action { return s },
		fields:   fields{"nodes": r.nodes(&s.Nodes), "factor": into(r, &s.Factor, (*value).factor)},
		required: []string{"nodes", "factor"},
	}
}

func clock(r *reader) *part {
	var c Clock
	return &part{
		action: func() Action { return c },
		fields: fields{
			"nodes": r.nodes(&c.Nodes),
			"skew":  into(r, &c.Skew, (*value).signed),
			"drift": into(r, &c.Drift, (*value).ppm),
		},
		required: []string{"nodes"},
		check: func(v *value) {
			if v.get("skew") == nil && v.get("drift") == nil {
				r.fail(v.mistake("add skew: 5m or drift: 500ppm", "it says nothing of the clock"))
			}
		},
	}
}

func disk(r *reader) *part {
	var d Disk
	faults := oneOf(DiskWhole, DiskFull, DiskEIO, DiskReadOnly, DiskTorn)
	return &part{
		action:   func() Action { return d },
		fields:   fields{"nodes": r.nodes(&d.Nodes), "fault": into(r, &d.Fault, faults)},
		required: []string{"nodes", "fault"},
	}
}

func clone(r *reader) *part {
	var c Clone
	return &part{
		action:   func() Action { return c },
		fields:   fields{"of": r.node(&c.Of), "as": into(r, &c.As, (*value).cloneName)},
		required: []string{"of", "as"},
	}
}

func (v *value) cloneName() (string, *Mistake) {
	if !v.isScalar() || !isName(v.raw) {
		return "", v.wrong("a name like twin")
	}
	return v.raw, nil
}

func join(r *reader) *part {
	var j Join
	return &part{
		action:   func() Action { return j },
		fields:   fields{"nodes": into(r, &j.Nodes, within(1, maxNodes)), "within": into(r, &j.Within, (*value).duration), "once": into(r, &j.Once, (*value).boolean)},
		required: []string{"nodes"},
	}
}

func rebind(r *reader) *part {
	var b Rebind
	set := func(v *value) {
		into(r, &b.Group, (*value).lineText)(v)
		r.checkNAT(v, b.Group)
	}
	return &part{func() Action { return b }, fields{"group": set}, set, []string{"group"}, nil}
}

// checkNAT demands a group that is behind a NAT.
func (r *reader) checkNAT(v *value, group string) {
	var names []string
	for i := range r.s.Groups {
		names = append(names, r.s.Groups[i].Name)
	}
	i := slices.Index(names, group)
	switch {
	case r.groupsBroken || group == "":
	case i < 0:
		r.fail(v.mistake(suggest(group, names), "there is no group %q", shorten(group)))
	case r.s.Groups[i].NAT.Kind == NoNAT:
		r.fail(v.mistake("add nat: symmetric to the group", "the group %s is behind no NAT", group))
	}
}

func register(r *reader) *part {
	var s Register
	return onNodes(r, &s.Service, &s.On, func() Action { return s })
}

func deregister(r *reader) *part {
	var s Deregister
	return onNodes(r, &s.Service, &s.On, func() Action { return s })
}

func grant(r *reader) *part {
	var s Grant
	return onNodes(r, &s.Service, &s.On, func() Action { return s })
}

func onNodes(r *reader, service *string, on *Selector, action func() Action) *part {
	return &part{
		action:   action,
		fields:   fields{"service": r.known(service), "on": r.nodes(on)},
		required: []string{"service", "on"},
	}
}

func churn(r *reader) *part {
	c := Churn{Services: 1}
	return &part{
		action:   func() Action { return c },
		fields:   fields{"rate": into(r, &c.Rate, (*value).rate), "services": into(r, &c.Services, within(1, maxEntries))},
		required: []string{"rate"},
	}
}

func revoke(r *reader) *part {
	var v Revoke
	nodes := r.nodes(&v.Nodes)
	return &part{
		action:   func() Action { return v },
		fields:   fields{"nodes": nodes, "by": r.node(&v.By)},
		short:    nodes,
		required: []string{"nodes"},
	}
}

func policy(r *reader) *part {
	p := Policy{Action: Deny}
	return &part{
		action:   func() Action { return p },
		fields:   fields{"from": r.nodes(&p.From), "to": r.known(&p.To), "action": into(r, &p.Action, oneOf(Deny, Allow, Audit))},
		required: []string{"to"},
	}
}

func insider(r *reader) *part {
	var i Insider
	forgeries := oneOf(ForgeDead, ForgeSuspect, ForgeAlive, ForgePoison, ForgeFlood, ForgeReplay, ForgeBombs, ForgeBlock,
		ForgeMangle, ForgeWithhold, ForgeSuppress, ForgeEquivocate, ForgeEndpoints, ForgeReflect, ForgeFuture, ForgeForeign, ForgeSquat,
		ForgeRelayDrops, ForgeRelayThins, ForgeRelaySieves, ForgeRelayDelays, ForgeRelayAlters, ForgeRelayRepeats)
	return &part{
		action:   func() Action { return i },
		fields:   fields{"node": r.node(&i.Node), "forge": into(r, &i.Forge, forgeries), "about": r.nodes(&i.About)},
		required: []string{"node", "forge"},
		check: func(v *value) {
			if i.Forge.OfRelay() && !i.About.IsZero() {
				r.fail(v.mistake("leave about out", "%s is about all whom the relay forwards for", i.Forge))
			}
		},
	}
}
