package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func (a *app) nodeLogCommand() *cobra.Command {
	last, verify := 50, false
	c := a.command("log [flags]", "show what this authority has issued: certificates and promotions",
		"  micro-net node log\n  micro-net node log --last 0 -o json\n  micro-net node log --verify",
		noArgs, func(ctx context.Context, _ []string) error {
			if last < 0 {
				return micronet.E("log", micronet.Invalid, "--last %d: want a number of lines, or 0 for all", last)
			}
			log, err := a.client().Issuances(ctx)
			if err != nil {
				return err
			}
			count := len(log.Issued)
			if last > 0 {
				log.Issued = log.Issued[max(0, count-last):]
			}
			if verify {
				log.Issued = []api.Issuance{}
			}
			if err := a.print(log, func(t *table) { issuanceTable(t, &log, verify, count) }); err != nil {
				return err
			}
			if log.Fault != "" {
				return micronet.E("log", micronet.Internal, "the log is not what was written: %s", log.Fault).
					WithFix("find out who changed it; the lines in front of the fault are sound, and the log goes on after them when the daemon is started again")
			}
			return nil
		})
	c.Flags().IntVar(&last, "last", last, "how many lines to show; 0: all")
	c.Flags().BoolVar(&verify, "verify", false, "show only whether every line follows on the one before, and the hash of the last")
	return a.printsData(a.talks(c))
}

func issuanceTable(t *table, log *api.IssuanceLog, verify bool, count int) {
	if verify {
		if log.Fault == "" {
			t.text("%d lines, each follows on the one before; the last has the hash %s", count, log.Head)
		}
		return
	}
	t.row("NUMBER", "TIME", "WHAT", "NODE", "ENDS", "ID")
	for _, i := range log.Issued {
		t.row(i.Number, i.Time.Format(time.RFC3339), i.What, i.Node, ends(i.Ends), shortID(i.ID))
	}
}

// ends writes when something ends; a revocation does not.
func ends(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Format(time.RFC3339)
}
