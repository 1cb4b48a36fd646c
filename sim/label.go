package sim

import (
	"fmt"
	"strings"

	"github.com/micro/micro-net/sim/scenario"
)

// label says what a step was done to, in the words of its file.
func label(a scenario.Action) string {
	for _, f := range []func(scenario.Action) string{networkLabel, nodeLabel, authorityLabel, otherLabel} {
		if text := f(a); text != "" {
			return text
		}
	}
	return ""
}

// networkLabel is that of the verbs about paths.
func networkLabel(a scenario.Action) string {
	switch a := a.(type) {
	case scenario.Partition:
		var sides []string
		for _, s := range a.Sides {
			sides = append(sides, s.String())
		}
		return strings.Join(sides, " | ")
	case scenario.Isolate:
		return a.Nodes.String()
	case scenario.Apart:
		return a.A.String() + " | " + a.B.String()
	case scenario.Bridge:
		return a.A.String() + " | " + a.B.String() + " over " + a.Over.String()
	case scenario.Ring:
		return a.Nodes.String()
	case scenario.OneWay:
		return a.From.String() + " to " + a.To.String()
	case scenario.Flap:
		return fmt.Sprintf("%s | %s, %g/s", a.A, a.B, a.Rate)
	case scenario.SetLink:
		return a.From.String() + arrow(a.Both) + a.To.String()
	case scenario.SetNetwork:
		return "all"
	case scenario.Heal:
		return string(a.What)
	case scenario.UDPBlocked:
		return a.Nodes.String()
	case scenario.Rebind:
		return a.Group
	}
	return ""
}

func arrow(both bool) string {
	if both {
		return " and "
	}
	return " to "
}

// nodeLabel is that of the verbs about nodes and their disks.
func nodeLabel(a scenario.Action) string {
	switch a := a.(type) {
	case scenario.Start:
		return a.Nodes.String()
	case scenario.Stop:
		return a.Nodes.String()
	case scenario.Kill:
		return a.Nodes.String()
	case scenario.Restart:
		if a.Disk != scenario.Kept {
			return a.Nodes.String() + ", disk " + string(a.Disk)
		}
		return a.Nodes.String()
	case scenario.Stall:
		return a.Nodes.String()
	case scenario.Slow:
		return fmt.Sprintf("%s, %g times", a.Nodes, a.Factor)
	case scenario.Clock:
		return fmt.Sprintf("%s, %v ahead, %g ppm", a.Nodes, a.Skew, a.Drift)
	case scenario.Disk:
		return a.Nodes.String() + ", " + string(a.Fault)
	case scenario.Snapshot:
		return a.Nodes.String()
	case scenario.Clone:
		return a.Of.String() + " as " + a.As
	case scenario.Join:
		return fmt.Sprintf("%d nodes", a.Nodes)
	case scenario.Address:
		return a.Nodes.String()
	}
	return ""
}

// authorityLabel is that of the verbs about who signs.
func authorityLabel(a scenario.Action) string {
	switch a := a.(type) {
	case scenario.Promote:
		return a.Nodes.String()
	case scenario.Demote:
		return a.Nodes.String()
	case scenario.Rotate:
		return a.Nodes.String()
	case scenario.Invite:
		return a.Nodes.String()
	}
	return ""
}

// otherLabel is that of the verbs about services, revocations and insiders.
func otherLabel(a scenario.Action) string {
	switch a := a.(type) {
	case scenario.Register:
		return a.Service + " on " + a.On.String()
	case scenario.Deregister:
		return a.Service + " on " + a.On.String()
	case scenario.Grant:
		return a.Service + " on " + a.On.String()
	case scenario.Churn:
		return fmt.Sprintf("%d services, %g/s", a.Services, a.Rate)
	case scenario.Revoke:
		if a.By.IsZero() {
			return a.Nodes.String()
		}
		return a.Nodes.String() + " by " + a.By.String()
	case scenario.Policy:
		if a.From.IsZero() {
			return string(a.Action) + " all to " + a.To
		}
		return string(a.Action) + " " + a.From.String() + " to " + a.To
	case scenario.Insider:
		if a.About.IsZero() {
			return a.Node.String() + ", " + string(a.Forge)
		}
		return a.Node.String() + ", " + string(a.Forge) + " about " + a.About.String()
	}
	return ""
}
