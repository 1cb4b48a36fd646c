package scenario

import (
	"regexp"
	"slices"
)

// groups reads `nodes` or `groups`.
func (r *reader) groups(root *value) {
	before := len(r.list)
	one, many := r.later["nodes"], r.later["groups"]
	switch {
	case one == nil && many == nil:
		r.fail(root.mistake("add nodes: 5", "a scenario without nodes"))
	case one != nil && many != nil:
		r.fail(one.mistake("remove one of them", "nodes and groups cannot both stand here"))
	case one != nil:
		g := Group{Name: DefaultGroup}
		into(r, &g.Nodes, within(1, maxNodes))(one)
		r.s.Groups = []Group{g}
	case many.kind == list && len(many.items) == 0:
		r.fail(many.mistake("add nodes: 5", "a scenario without nodes"))
	default:
		r.each(many, maxGroups, r.group)
		if n := len(r.s.Nodes()); n > maxNodes {
			r.fail(many.mistake("", "%d nodes, at most %d are simulated", n, maxNodes))
		}
	}
	r.groupsBroken = len(r.list) > before
}

func (r *reader) group(v *value) {
	var g Group
	if !r.object(v, r.groupFields(&g), "name", "nodes") {
		return
	}
	if slices.ContainsFunc(r.s.Groups, func(o Group) bool { return o.Name == g.Name }) {
		r.fail(v.mistake("give it another name", "the group %s stands here twice", g.Name))
		return
	}
	r.s.Groups = append(r.s.Groups, g)
}

func (r *reader) groupFields(g *Group) fields {
	return fields{
		"name":     into(r, &g.Name, (*value).groupName),
		"nodes":    into(r, &g.Nodes, within(1, maxNodes)),
		"nat":      func(v *value) { r.nat(v, &g.NAT) },
		"firewall": into(r, &g.Firewall, (*value).boolean),
		"network":  func(v *value) { r.object(v, r.linkFields(&g.Network)) },
	}
}

const maxGroupName = 40

var groupWord = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)

func (v *value) groupName() (string, *Mistake) {
	name, m := v.lineText()
	switch {
	case m != nil:
		return "", m
	case !groupWord.MatchString(name) || len(name) > maxGroupName:
		return "", v.mistake("its nodes get the numbers", "%q is no name of a group: want at most %d letters, and hyphens between them", shorten(name), maxGroupName)
	case name == JoinGroup || slices.Contains(selectorWords(), name):
		return "", v.mistake("give it another name", "%q has a meaning of its own", name)
	}
	return name, nil
}

// nat reads "symmetric", or a mapping for more.
func (r *reader) nat(v *value, n *NAT) {
	n.Levels = 1
	if v.kind == mapping {
		r.object(v, r.natFields(n), "kind")
	} else {
		into(r, &n.Kind, natKind)(v)
	}
	if n.Kind == NoNAT {
		*n = NAT{}
	}
}

func natKind(v *value) (NATKind, *Mistake) {
	kind, m := oneOf(noNAT, FullCone, Restricted, PortRestricted, Symmetric)(v)
	if kind == noNAT {
		return NoNAT, m
	}
	return kind, m
}

// noNAT is how files write NoNAT.
const noNAT NATKind = "none"

func (r *reader) natFields(n *NAT) fields {
	return fields{
		"kind":    into(r, &n.Kind, natKind),
		"timeout": into(r, &n.Timeout, (*value).positive),
		"hairpin": into(r, &n.Hairpin, (*value).boolean),
		"levels":  into(r, &n.Levels, within(1, 2)),

		"port_map": into(r, &n.PortMap, oneOf(PCP, NATPMP, UPnP)),
	}
}
