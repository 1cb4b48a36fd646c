package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/node/api"
)

func (a *app) servicesCommand() *cobra.Command {
	c := a.command("services [NAME] [flags]", "list the services of the mesh, or the instances of one",
		"  micro-net services\n  micro-net services web",
		cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
			name := strings.Join(args, "")
			list, err := a.client().Services(ctx, name)
			if err != nil {
				return err
			}
			return a.print(list, func(t *table) {
				if name == "" {
					servicesTable(t, list)
				} else {
					instancesTable(t, list)
				}
			})
		})
	return a.completes(a.printsData(a.talks(c)), serviceNames)
}

func servicesTable(t *table, list []api.Service) {
	t.row("NAME", "PROTOCOL", "HEALTHY", "VIP", "PORTS", "TAGS", "DNS")
	for i := range list {
		s := &list[i]
		t.row(s.Name, s.Protocol, fmt.Sprintf("%d/%d", healthy(s), len(s.Instances)), s.VIP, ports(s.Ports), strings.Join(s.Tags, ","), s.DNS)
	}
}

func instancesTable(t *table, list []api.Service) {
	t.row("SERVICE", "ID", "NODE", "CLUSTER", "ADDRESS", "HEALTH", "WEIGHT", "TAGS", "AGE", "HELD")
	for i := range list {
		for j := range list[i].Instances {
			inst := &list[i].Instances[j]
			state := string(inst.Health)
			if inst.Withheld != "" {
				state = "withheld"
			}
			t.row(list[i].Name, inst.ID, inst.Node, inst.Cluster, hostPort(inst.Address, inst.Port), state,
				inst.Weight, strings.Join(inst.Tags, ","), age(inst.AgeMs), heldFor(&list[i], inst))
		}
	}
	withheldText(t, list)
}

// heldFor is how long the node of an instance has offered the service; who has longest is marked.
func heldFor(s *api.Service, inst *api.Instance) string {
	if s.FirstHolder != "" && s.FirstHolder == inst.Node && len(s.Instances) > 1 {
		return age(inst.HeldMs) + " (first)"
	}
	return age(inst.HeldMs)
}

// withheldText says below the table why nobody is led to some of it.
func withheldText(t *table, list []api.Service) {
	for i := range list {
		for j := range list[i].Instances {
			if inst := &list[i].Instances[j]; inst.Withheld != "" {
				t.text("Nobody is led to %s at %s: %s.", inst.ID, inst.Node, inst.Withheld)
			}
		}
	}
}

func healthy(s *api.Service) (n int) {
	for i := range s.Instances {
		if s.Instances[i].Health.Serving() && s.Instances[i].Withheld == "" {
			n++
		}
	}
	return n
}

func ports(list []int) string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = strconv.Itoa(p)
	}
	return strings.Join(texts, ",")
}

func hostPort(host string, port int) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(port)
}
