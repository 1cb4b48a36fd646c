package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const defaultWait = 30 * time.Second

func (a *app) statusCommand() *cobra.Command {
	var conditions []string
	timeout := defaultWait
	c := a.command("status [flags]", "this node in one screen; with --wait, wait for something first",
		`  micro-net status
  micro-net status --json
  micro-net status --wait ready --wait nodes=3 --timeout 1m
  micro-net status --wait service=web`,
		noArgs, func(ctx context.Context, _ []string) error {
			w, err := parseWaits(conditions)
			if err != nil {
				return err
			}
			s, err := a.await(ctx, w, timeout)
			if err != nil {
				return err
			}
			return a.print(s, func(t *table) { a.statusScreen(t, &s) })
		})
	c.Flags().StringArrayVar(&conditions, "wait", nil, "wait until `ready|nodes=N|service=S`: N nodes are alive, S has a healthy instance; may be repeated")
	c.Flags().DurationVar(&timeout, "timeout", timeout, "how long to wait; exit 5 after that, also where no daemon has answered yet")
	return a.printsData(a.talks(c))
}

func (a *app) statusScreen(t *table, s *api.Status) {
	state := "ready"
	switch {
	case s.Node.Status == micronet.Revoked:
		state = "revoked: the other nodes refuse it for good"
	case !s.Ready:
		state = "not ready: the catalog is not synchronised yet"
	}
	t.row("node", fmt.Sprintf("%s (%s)", s.Node.Name, shortID(s.Node.ID)))
	t.row("cluster", s.Node.Cluster)
	t.row("state", state)
	t.row("roles", strings.Join(s.Node.Roles, ", "))
	t.row("version", s.Node.Version)
	t.row("address", s.Node.Address)
	t.row("nodes", fmt.Sprintf("%d alive, %d suspect, %d dead, %d revoked", s.Nodes.Alive, s.Nodes.Suspect, s.Nodes.Dead, s.Nodes.Revoked))
	t.row("services", s.Services)
	t.row("certificate", a.expiry(s.Certificate.Expires))
	t.row("mesh", s.Listeners.Mesh)
	t.row("mesh, TCP", meshTCP(s.Listeners))
	t.row("api", s.Listeners.API)
	t.row("socket", s.Listeners.Socket)
	t.row("dns", s.Listeners.DNS)
	t.row("proxy", s.Listeners.Proxy)
	t.row("vips", s.Listeners.VIPs)
	for _, w := range s.Warnings {
		t.row("warning", fmt.Sprintf("%s: %s; %s", w.Code, w.Text, w.Fix))
	}
}

// meshTCP is the address that takes TCP for the mesh, or what there is instead, and why.
func meshTCP(l api.Listeners) string {
	if l.TCPReason == "" {
		return l.TCP
	}
	return l.TCP + ": " + l.TCPReason
}

func (a *app) expiry(at time.Time) string {
	date := at.UTC().Format(time.RFC3339)
	if left := at.Sub(a.env.Wall()); left > 0 {
		return fmt.Sprintf("valid for %s, until %s", age(left.Milliseconds()), date)
	}
	return "expired " + date
}
