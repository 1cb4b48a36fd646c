package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func (a *app) resolveCommand() *cobra.Command {
	c := a.command("resolve NAME [TYPE] [flags]", "ask the daemon's DNS and show the answer with its age",
		`  micro-net resolve web
  micro-net resolve _web._tcp SRV
  micro-net resolve web.service.eu.micro.internal`,
		cobra.RangeArgs(1, 2), func(ctx context.Context, args []string) error {
			r, err := a.client().Resolve(ctx, args[0], strings.ToUpper(strings.Join(args[1:], "")))
			if err != nil {
				return err
			}
			if err := a.print(r, func(t *table) { answerLines(t, &r) }); err != nil {
				return err
			}
			return emptyAnswer(&r)
		})
	return a.completes(a.printsData(a.talks(c)), serviceNames)
}

// answerLines prints records as zone files do, and how old what stands behind them is.
func answerLines(t *table, r *api.Resolution) {
	for _, rr := range r.Answers {
		t.row(rr.Name, rr.TTL, "IN", rr.Type, rr.Data, "; age "+age(r.AgeMs))
	}
}

// rcodeKinds are the DNS answers that are failures (RFC 1035 section 4.1.1).
var rcodeKinds = map[string]micronet.Kind{
	"FORMERR": micronet.Invalid, "SERVFAIL": micronet.Unreachable, "NXDOMAIN": micronet.NotFound, "REFUSED": micronet.Refused,
}

// emptyAnswer is the error of an answer without records: not found, unless the server says more.
func emptyAnswer(r *api.Resolution) error {
	why := ""
	if r.Reason != "" {
		why = ": " + r.Reason
	}
	if kind, failed := rcodeKinds[r.Rcode]; failed {
		return micronet.E("resolve", kind, "%s: %s%s", r.Name, r.Rcode, why)
	}
	if len(r.Answers) == 0 {
		return micronet.E("resolve", micronet.NotFound, "%s has no record of type %s%s", r.Name, r.Type, why)
	}
	return nil
}
