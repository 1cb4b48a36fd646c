package policy

import (
	"fmt"
	"strings"

	micronet "github.com/micro/micro-net"
)

// Action is what a rule does with the calls it covers.
type Action string

// The actions of a rule.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
	Audit Action = "audit" // decides nothing; tells what Deny would have refused
)

// Valid reports whether this version knows the action.
func (a Action) Valid() bool { return a == Allow || a == Deny || a == Audit }

// Actions lists what a rule can do.
func Actions() []string { return []string{string(Allow), string(Deny), string(Audit)} }

// Callers is who a rule is about. Every field is a pattern; "" means any.
type Callers struct {
	Node    string `json:"node,omitempty"`
	Service string `json:"service,omitempty"`
	Tag     string `json:"tag,omitempty"` // of the calling service's instances at that node
	Cluster string `json:"cluster,omitempty"`
}

// Targets is what a rule is about. Every field is a pattern; "" means any.
type Targets struct {
	Service string `json:"service,omitempty"`
	Tag     string `json:"tag,omitempty"` // of the instance
}

// Rule is one policy of the mesh.
type Rule struct {
	Name   string // a DNS label, unique in the cluster
	From   Callers
	To     Targets
	Action Action

	// Strange says what this version does not understand, "" when it understands all. A strange rule
	// denies, whatever its action.
	Strange string
}

// Check reports why a rule is none that this version writes. The error is Invalid.
func (r *Rule) Check() error {
	if err := micronet.CheckLabel(r.Name); err != nil {
		return micronet.E("policy", micronet.Invalid, "name: %w", err)
	}
	if !r.Action.Valid() {
		return micronet.E("policy", micronet.Invalid, "%s: %q is no action", r.Name, r.Action)
	}
	for _, f := range r.fields() {
		if *f.text == "" {
			continue
		}
		if err := CheckPattern(*f.text); err != nil {
			return micronet.E("policy", micronet.Invalid, "%s: %s: %w", r.Name, f.key, err)
		}
	}
	return nil
}

// Named lists the services and nodes that a rule names one by one, also those it excepts: patterns with a * are
// none.
func (r *Rule) Named() (services, nodes []string) {
	add := func(to *[]string, text string) {
		if p := newPattern(text); p.body != "" && !p.glob {
			*to = append(*to, strings.TrimPrefix(text, "!"))
		}
	}
	add(&services, r.From.Service)
	add(&services, r.To.Service)
	add(&nodes, r.From.Node)
	return services, nodes
}

// denies reports whether the rule refuses what it covers.
func (r *Rule) denies() bool { return r.Action == Deny || r.Strange != "" || !r.Action.Valid() }

// String is the rule in one line, as tables show it.
func (r *Rule) String() string {
	return fmt.Sprintf("%s: %s %s -> %s", r.Name, r.Action, r.From, r.To)
}

// String lists the conditions on the caller, "any" when there are none.
func (c Callers) String() string {
	return conditions("node", c.Node, "service", c.Service, "tag", c.Tag, "cluster", c.Cluster)
}

// String lists the conditions on the target, "any" when there are none.
func (t Targets) String() string { return conditions("service", t.Service, "tag", t.Tag) }

// conditions joins pairs of key and pattern.
func conditions(pairs ...string) string {
	text := ""
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if text != "" {
			text += " "
		}
		text += pairs[i] + "=" + pairs[i+1]
	}
	if text == "" {
		return "any"
	}
	return text
}

// field is one text of a rule with its wire number.
type field struct {
	number byte
	key    string
	text   *string
}

// fields lists the patterns of a rule, ascending by number. Numbers are wire values and are never
// reused; 1 is the action.
func (r *Rule) fields() [6]field {
	return [...]field{
		{2, "from.node", &r.From.Node},
		{3, "from.service", &r.From.Service},
		{4, "from.tag", &r.From.Tag},
		{5, "from.cluster", &r.From.Cluster},
		{6, "to.service", &r.To.Service},
		{7, "to.tag", &r.To.Tag},
	}
}
