package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/node/api"
)

func (a *app) rootRotateCommand() *cobra.Command {
	retire := false
	c := a.command("rotate [flags]", "replace the cluster's root key; run again to see how far that is",
		"  micro-net node root rotate\n  micro-net node root rotate --retire",
		noArgs, func(ctx context.Context, _ []string) error {
			r, err := a.client().RotateRoot(ctx, api.RotateRequest{Retire: retire})
			if err != nil {
				return err
			}
			return a.print(r, func(t *table) { rotationText(t, &r) })
		})
	c.Flags().BoolVar(&retire, "retire", false, "end the former root now, also when some have no certificate under the new one")
	return a.printsData(a.talks(c))
}

func rotationText(t *table, r *api.Rotation) {
	t.text("new root %.16s: %d of %d nodes have a certificate under it", r.Root, r.Renewed, r.Nodes)
	if len(r.Waiting) > 0 {
		t.text("missing: %s", strings.Join(r.Waiting, ", "))
	}
	switch r.Step {
	case api.RotationAnnounced:
		t.text("The new root is announced. It signs in a minute; the former one ends by itself when all live nodes have renewed.")
	case api.RotationRenewing:
		t.text("The new root signs. The former one ends by itself when all live nodes have renewed.")
	case api.RotationRetired:
		t.text("The former root has ended. What was exported of it is of no use now: keep the new one with `micro-net node root export FILE`.")
	}
}
