package policy

import (
	"slices"
	"strings"
)

// Source is who calls. Node and Cluster come from the certificate, Service is attested by the node.
type Source struct {
	Node    string
	Service string   // "" when the node does not know
	Tags    []string // of the service's instances at the node
	Cluster string
}

// Target is what is called.
type Target struct {
	Service string
	Tags    []string
}

// Call is one question. Across says that it comes over a link between clusters.
type Call struct {
	From   Source
	To     Target
	Across bool
}

// Verdict is the answer.
type Verdict struct {
	Allowed bool
	Rule    string   // which decided; "" when none did, and the default holds
	Across  bool     // of the call: which default it is
	Audited []string // audit rules that would have refused what is allowed
}

// Snapshot is a set of rules that is ready to be asked. It is immutable. The zero value has no rules.
type Snapshot struct {
	rules    []Rule // by name
	compiled []compiled
	exact    map[string][]int // rules about one service, by its name, ascending
	general  []int            // rules about others, ascending
	sources  bool
}

// compiled is a rule with its patterns.
type compiled struct {
	action                      Action
	node, service, tag, cluster pattern
	target, targetTag           pattern
}

// Compile makes a Snapshot. Of rules with the same name the last counts.
func Compile(rules []Rule) *Snapshot {
	named := make(map[string]Rule, len(rules))
	for i := range rules {
		named[rules[i].Name] = rules[i]
	}
	s := &Snapshot{exact: map[string][]int{}}
	for _, r := range named {
		s.rules = append(s.rules, r)
	}
	slices.SortFunc(s.rules, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	for i := range s.rules {
		s.add(i)
	}
	return s
}

func (s *Snapshot) add(i int) {
	r := &s.rules[i]
	c := compiled{
		action: r.Action,
		node:   newPattern(r.From.Node), service: newPattern(r.From.Service), tag: newPattern(r.From.Tag), cluster: newPattern(r.From.Cluster),
		target: newPattern(r.To.Service), targetTag: newPattern(r.To.Tag),
	}
	if r.denies() {
		c.action = Deny
	}
	s.compiled = append(s.compiled, c)
	s.sources = s.sources || c.service.body != "" || c.tag.body != ""
	if name := c.target.plain(); name != "" {
		s.exact[name] = append(s.exact[name], i)
		return
	}
	s.general = append(s.general, i)
}

// Rules returns a copy of the rules, by name.
func (s *Snapshot) Rules() []Rule { return slices.Clone(s.rules) }

// Len is the number of rules.
func (s *Snapshot) Len() int { return len(s.rules) }

// AsksForService reports whether any rule depends on the calling service: finding it out costs, and
// is not done for nothing.
func (s *Snapshot) AsksForService() bool { return s.sources }

// Judge decides. Of several rules that decide alike, the first by name is told.
func (s *Snapshot) Judge(c Call) Verdict {
	c.lower()
	v := Verdict{Allowed: !c.Across, Across: c.Across}
	allowed := false
	for i := range merged(s.exact[c.To.Service], s.general) {
		r := &s.compiled[i]
		if !r.covers(&c) {
			continue
		}
		switch {
		case r.action == Deny:
			return Verdict{Rule: s.rules[i].Name, Across: c.Across}
		case r.action == Audit:
			v.Audited = append(v.Audited, s.rules[i].Name)
		case !allowed:
			allowed, v.Allowed, v.Rule = true, true, s.rules[i].Name
		}
	}
	if !v.Allowed {
		v.Audited = nil // it is refused anyway
	}
	return v
}

// merged yields two ascending lists as one.
func merged(a, b []int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for len(a) > 0 || len(b) > 0 {
			from := &a
			if len(a) == 0 || (len(b) > 0 && b[0] < a[0]) {
				from = &b
			}
			if !yield((*from)[0]) {
				return
			}
			*from = (*from)[1:]
		}
	}
}

func (c *Call) lower() {
	for _, s := range []*string{&c.From.Node, &c.From.Service, &c.From.Cluster, &c.To.Service} {
		*s = strings.ToLower(*s)
	}
}

func (r *compiled) covers(c *Call) bool {
	return r.target.matches(c.To.Service) && r.node.matches(c.From.Node) && r.service.matches(c.From.Service) &&
		r.cluster.matches(c.From.Cluster) && r.tag.matchesAny(c.From.Tags) && r.targetTag.matchesAny(c.To.Tags)
}
