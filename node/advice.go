package node

import (
	"fmt"
	"strings"

	micronet "github.com/micro/micro-net"
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

// grantAll is grantFix for one or several nodes.
func (l *life) grantAll(squats []squat) string {
	if len(squats) == 1 {
		return l.grantFix(&squats[0])
	}
	return "if they are to offer that, at an authority: " + grantEach(squats, l.grants())
}

// grantEach is grantMore for each of several nodes; of many for the first, with how many more there are.
func grantEach(squats []squat, grants map[micronet.NodeID][]string) string {
	commands := make([]string, len(squats))
	for i := range squats {
		s := &squats[i]
		commands[i] = grantMore(s.node.Name, grants[s.node.ID], s.services)
	}
	return shortNames(commands)
}
