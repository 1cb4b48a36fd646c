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

const (
	defaultTTL  = 15 * time.Minute
	defaultUses = 1
)

func (a *app) inviteCommand() *cobra.Command {
	var req api.InviteRequest
	ttl := defaultTTL
	c := a.command("invite [flags]", "print a token with which another host joins this cluster",
		`  micro-net invite > token
  micro-net invite --uses 5 --ttl 1h
  micro-net invite --name worker-7 --address vpn.example.com`,
		noArgs, func(ctx context.Context, _ []string) error {
			if req.Uses < 1 {
				// The API takes 0 for the default.
				return micronet.E("invite", micronet.Invalid, "--uses %d: a token is for 1 host or more", req.Uses)
			}
			req.TTL = ttl.String()
			inv, err := a.client().Invite(ctx, req)
			if err != nil {
				return err
			}
			return a.printInvitation(&inv)
		})
	c.Flags().DurationVar(&ttl, "ttl", ttl, "how long the token can be used")
	c.Flags().IntVar(&req.Uses, "uses", defaultUses, "how many hosts may join with it")
	c.Flags().StringVar(&req.Name, "name", "", "the one node name it is good for")
	c.Flags().StringArrayVar(&req.Addresses, "address", nil, "`HOST[:PORT]` at which others reach this cluster; may be repeated")
	return a.printsData(a.talks(c))
}

// printInvitation writes the token alone to standard output, so that it can go into a file, and
// what a person should know to standard error.
func (a *app) printInvitation(inv *api.Invitation) error {
	if a.format != formatTable {
		if err := a.printData(inv); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintln(a.out, inv.Token); err != nil {
		return err
	}
	left := inv.Expires.Sub(a.env.Wall()).Round(time.Second)
	fmt.Fprintf(a.err, "The token leads to %s and can be used for %s.\n", strings.Join(inv.Addresses, ", "), left)
	if inv.Warning != "" {
		fmt.Fprintf(a.err, "Warning: %s\n", inv.Warning)
	}
	fmt.Fprintln(a.err, "Put it into a file on the other host, and run there: micro-net up --join @FILE")
	return nil
}
