package config

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/policy"
)

// policiesKey is the key of the list of policies in a file.
const policiesKey = "policies"

// MaxPolicies bounds the policies of a cluster, and of one file.
const MaxPolicies = 1024

// ParsePolicies reads a policy file: YAML or JSON with a list under `policies:`. A file with any
// mistake gives none: half of the rules that somebody wrote may be less safe than those before. Each
// error is a *Fault.
func ParsePolicies(file string, data []byte) ([]policy.Rule, []error) {
	root, err := parseTree(file, data)
	if err != nil {
		return nil, []error{err}
	}
	p := &policyParser{lines: map[string]int{}}
	for _, v := range p.list(root) {
		p.policy(v)
	}
	if errs := p.all(); len(errs) > 0 {
		return nil, errs
	}
	return p.rules, nil
}

type policyParser struct {
	serviceParser // collects what is wrong
	rules         []policy.Rule
	lines         map[string]int // of names
}

// list finds the policies in a file. An empty file is a mistake: who applies one means something.
func (p *policyParser) list(root *value) []*value {
	if root.kind != mapping {
		p.fail(root.wrong("policies: a list under the key policies"))
		return nil
	}
	for _, pr := range root.pairs {
		if pr.name != policiesKey {
			p.fail(pr.fault(suggest(pr.name, []string{policiesKey}), "unknown key"))
		}
	}
	many := root.get(policiesKey)
	switch {
	case many == nil:
		return nil // another key was told, as a mapping has one
	case many.kind == sequence && len(many.items) == 0:
		p.fail(many.fault("", "the list is empty; `micro-net policy delete NAME` takes a policy away"))
		return nil
	case many.kind != sequence:
		p.fail(many.wrong("a list of policies"))
		return nil
	case len(many.items) > MaxPolicies:
		p.fail(many.items[MaxPolicies].fault("", "more than %d policies", MaxPolicies))
		return nil
	}
	return many.items
}

func (p *policyParser) policy(v *value) {
	if v.kind != mapping {
		p.fail(v.wrong("a policy"))
		return
	}
	var r policy.Rule
	e := &entry{p: &p.serviceParser, v: v}
	e.fill(map[string]setter{
		"name":   into(&r.Name, (*value).text),
		"from":   e.side("a caller", map[string]setter{"node": pattern(&r.From.Node), "service": pattern(&r.From.Service), "tag": pattern(&r.From.Tag), "cluster": pattern(&r.From.Cluster)}),
		"to":     e.side("a target", map[string]setter{"service": pattern(&r.To.Service), "tag": pattern(&r.To.Tag)}),
		"action": func(a *value) error { return action(a, &r.Action) },
	})
	for _, key := range []string{"name", "action"} {
		if v.get(key) == nil {
			e.mistake(mistake{key: key, what: "is missing", fix: map[string]string{"name": "give the policy a name", "action": "give allow, deny or audit"}[key]})
		}
	}
	if e.failed {
		return
	}
	p.add(e, r)
}

// add takes a policy that was read. What is left to be wrong is about its name.
func (p *policyParser) add(e *entry, r policy.Rule) {
	name := e.v.get("name")
	if err := micronet.CheckLabel(r.Name); err != nil {
		p.fail(name.fault("", "%s", err))
		return
	}
	if line, twice := p.lines[r.Name]; twice {
		p.fail(name.fault("give each its own name", "the name %q is taken by the policy of line %d", r.Name, line))
		return
	}
	p.lines[r.Name] = e.v.line
	p.rules = append(p.rules, r)
}

// side reads the mapping of a caller or a target.
func (e *entry) side(what string, fields map[string]setter) setter {
	return func(v *value) error {
		if v.kind != mapping {
			return v.wrong(what)
		}
		inner := &entry{p: e.p, v: v}
		inner.fill(fields)
		e.failed = e.failed || inner.failed
		return nil
	}
}

// pattern reads a pattern. One that is given and empty is a mistake: it could mean any or none.
func pattern(target *string) setter {
	return func(v *value) error {
		s, err := v.text()
		if err == nil {
			err = policy.CheckPattern(s)
			if err != nil {
				return v.fault("leave the key out where any is meant", "%s", err)
			}
		}
		*target = s
		return err
	}
}

func action(v *value, target *policy.Action) error {
	s, err := v.text()
	if err != nil {
		return err
	}
	if *target = policy.Action(s); !target.Valid() {
		return v.fault(suggest(s, policy.Actions()), "%q is no action", shorten(s))
	}
	return nil
}
