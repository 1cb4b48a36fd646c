package node

import (
	"fmt"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/policy"
)

// unknownService is the error of a name that nobody offers, with the one that was probably meant.
func (v *view) unknownService(name string) *micronet.Error {
	e := micronet.E("services", micronet.NotFound, "no service %q in the mesh", name)
	if near := config.Nearest(name, v.offered()); near != "" {
		return e.WithFix("did you mean %q? see `micro-net services`", near)
	}
	return e.WithFix("see `micro-net services`")
}

// nodeNames lists the names of all nodes that are known.
func (v *view) nodeNames() (names []string) {
	for i := range v.nodes {
		names = append(names, v.nodes[i].Name)
	}
	return names
}

// unknownNames tells what rules name and nobody here knows. That is no mistake where the service or the node
// is still to come, and else a rule that covers nothing.
func (v *view) unknownNames(rules []policy.Rule) []string {
	out := []string{}
	tell := func(rule, what, name string, known []string) {
		if slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, name) }) {
			return
		}
		text := fmt.Sprintf("%s: no %s %q is known now", rule, what, name)
		if near := config.Nearest(name, known); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for i := range rules {
		services, nodes := rules[i].Named()
		for _, name := range services {
			tell(rules[i].Name, "service", name, v.offered())
		}
		for _, name := range nodes {
			tell(rules[i].Name, "node", name, v.nodeNames())
		}
	}
	return out
}
