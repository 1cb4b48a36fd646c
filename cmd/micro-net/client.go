package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

const (
	apiVariable = "MICRO_NET_API"
	// defaultTCP is asked last: it answers also where the socket is out of reach, in a container
	// that shares the host's network for instance.
	defaultTCP = "http://127.0.0.1:8500"
)

// talks gives a verb the flag --api.
func (a *app) talks(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&a.address, "api", "", "the daemon's API: unix:///path or http://addr ($"+apiVariable+"; default: this host's sockets, then "+defaultTCP+")")
	return c
}

// client talks to the daemon that the user named, or to the one of this host.
func (a *app) client() *api.Client {
	if a.address != "" {
		return api.NewClient(a.env.Net, a.address)
	}
	if named := a.env.Host.Getenv(apiVariable); named != "" {
		return api.NewClient(a.env.Net, named)
	}
	var all []string
	for _, path := range config.SocketCandidates(a.env.Host.Getenv, a.env.Host.UID) {
		all = append(all, "unix://"+path)
	}
	return api.NewClient(a.env.Net, append(all, defaultTCP)...)
}

// completionTimeout bounds what a press of the tab key waits for.
const completionTimeout = time.Second

// completes offers names from the daemon for the first argument of a verb.
func (a *app) completes(c *cobra.Command, names func(context.Context, *api.Client) []string) *cobra.Command {
	c.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		return names(ctx, a.client()), cobra.ShellCompDirectiveNoFileComp
	}
	return c
}

// serviceNames, nodeNames and instanceIDs return nothing when no daemon answers: a completion
// has no place for errors.
func serviceNames(ctx context.Context, c *api.Client) (names []string) {
	list, _ := c.Services(ctx, "")
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}

func nodeNames(ctx context.Context, c *api.Client) (names []string) {
	list, _ := c.Nodes(ctx)
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}

func instanceIDs(ctx context.Context, c *api.Client) (ids []string) {
	s, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	list, _ := c.Services(ctx, "")
	for i := range list {
		for _, inst := range list[i].Instances {
			if inst.Node == s.Node.Name && inst.Cluster == s.Node.Cluster {
				ids = append(ids, inst.ID)
			}
		}
	}
	return ids
}
