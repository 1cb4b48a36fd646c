package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
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
			switch {
			case verify:
				log.Issued = slices.DeleteFunc(log.Issued, func(i api.Issuance) bool { return i.What != api.IssuanceDamaged })
			case last > 0:
				log.Issued = log.Issued[max(0, count-last):]
			}
			if err := a.print(log, func(t *table) { issuanceTable(t, &log, verify, count) }); err != nil {
				return err
			}
			if log.Fault != "" {
				return micronet.E("log", micronet.Internal, "the log is not what was written: %s", log.Fault).
					WithFix("find out who changed it; the lines in front of the fault are sound, and the log goes on after them when the daemon is started again")
			}
			if verify {
				return damaged(log.Issued)
			}
			return nil
		})
	c.Flags().IntVar(&last, "last", last, "how many lines to show; 0: all")
	c.Flags().BoolVar(&verify, "verify", false, "show only whether every line follows on the one before, and the hash of the last; fail (exit 1) where not, or where lines were lost")
	return a.printsData(a.talks(c))
}

// maxDamaged is how many lines are named that say that others were lost.
const maxDamaged = 5

// damaged is the error of a log that was damaged once, by its lines that say so.
func damaged(lines []api.Issuance) error {
	if len(lines) == 0 {
		return nil
	}
	var which []string
	for _, l := range lines[:min(len(lines), maxDamaged)] {
		which = append(which, fmt.Sprintf("%d (%s)", l.Number, l.Time.Format(time.RFC3339)))
	}
	if more := len(lines) - len(which); more > 0 {
		which = append(which, fmt.Sprintf("and %d more", more))
	}
	return micronet.E("log", micronet.Internal, "the log was damaged %s, and lines were lost in front of: %s", plural(len(lines), "time", "times"), strings.Join(which, ", ")).
		WithFix("look in a copy of the log, or in issued.log.damaged in the data folder, for what was issued before, and revoke what you do not know")
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
