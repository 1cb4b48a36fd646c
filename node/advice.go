package node

import (
	"fmt"
	"strings"

	"github.com/micro/micro-net/internal/policy"
)

// grantCommand is ready to be run: a grant takes the place of the former one, so it holds that, too.
func grantCommand(node string, patterns []string) string {
	words := []string{"micro-net node grant", node}
	for _, p := range patterns {
		words = append(words, quoted(p))
	}
	return "`" + strings.Join(words, " ") + "`"
}

// grantMore says how a node with a grant comes to offer services, too.
func grantMore(node string, patterns, services []string) string {
	union, ok := policy.With(patterns, services...)
	if !ok {
		return fmt.Sprintf("say anew what it may offer, as an exception in %s takes the name out", grantCommand(node, patterns))
	}
	return grantCommand(node, union)
}

// grantFix says what to do about services that are withheld.
func (l *life) grantFix(s *squat) string {
	return "if it is to offer that, at an authority: " + grantMore(s.node.Name, l.grants()[s.node.ID], s.services)
}
