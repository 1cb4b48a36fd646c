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

func (a *app) rootRotateCommand() *cobra.Command {
	var r api.RotateRequest
	c := a.command("rotate [flags]", "replace the cluster's root key",
		"  micro-net node root rotate\n  micro-net node root rotate --status\n  micro-net node root rotate --retire",
		noArgs, func(ctx context.Context, _ []string) error {
			if begins := !r.Status && !r.Retire && !r.Force; begins && a.inTerminal {
				if err := a.confirmRotation(ctx); err != nil {
					return err
				}
				r.Force = true // after it was asked
			}
			out, err := a.client().RotateRoot(ctx, r)
			if err != nil {
				return err
			}
			return a.print(out, func(t *table) { rotationText(t, &out) })
		})
	c.Long = "Announces a new root key, which takes the place of the present one once all live nodes have certificates under it.\n" +
		"Then export the new key, and destroy every file that was exported before, and its passphrase: the former key signs\n" +
		"nothing new, but whoever has it can date statements back, also the one that says which key came after it."
	c.Flags().BoolVar(&r.Status, "status", false, "only show how far it is, or when it ended last")
	c.Flags().BoolVar(&r.Force, "yes", false, "do not ask, and replace it also when that was done within a day")
	c.Flags().BoolVar(&r.Retire, "retire", false, "end the former root now, also when some have no certificate under the new one")
	c.MarkFlagsMutuallyExclusive("status", "retire")
	return a.printsData(a.talks(c))
}

// confirmRotation asks who types, unless it is under way.
func (a *app) confirmRotation(ctx context.Context) error {
	r, err := a.client().RotateRoot(ctx, api.RotateRequest{Status: true})
	if err != nil || r.Step == api.RotationAnnounced || r.Step == api.RotationRenewing {
		return err
	}
	if r.Ended != nil {
		fmt.Fprintf(a.err, "The root key was replaced before; that ended on %s.\n", r.Ended.UTC().Format(time.RFC3339))
	}
	fmt.Fprint(a.err, "Export the new root key once it has replaced this one, and destroy all that was exported before. Replace it? [y/N] ")
	answer, err := a.readLine(ctx)
	if err != nil {
		return err
	}
	if word := strings.ToLower(answer); word != "y" && word != "yes" {
		return micronet.E("rotate", micronet.Refused, "nothing was replaced").WithFix("answer y to go on, or use --yes")
	}
	return nil
}

func rotationText(t *table, r *api.Rotation) {
	if r.Step == api.RotationNone {
		t.text("The root key of the cluster was never replaced.")
		return
	}
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
		if r.Ended != nil {
			t.text("The former root ended on %s.", r.Ended.UTC().Format(time.RFC3339))
		} else {
			t.text("The former root has ended.")
		}
	}
	if r.Step == api.RotationRetired {
		t.text("Keep the new root key with `micro-net node root export FILE`, and destroy what was exported before: whoever has that can still date statements back.")
	} else {
		t.text("Export the new root key after that, and destroy what was exported before: whoever has that can still date statements back.")
	}
}
