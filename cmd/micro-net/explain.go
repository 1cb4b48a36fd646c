package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) explainCommand() *cobra.Command {
	as := ""
	c := a.command("explain SERVICE [flags]", "tell why a call from here is led to this instance, or refused",
		"  micro-net explain web\n  micro-net explain payments --as shop -o json",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			e, err := a.client().Explain(ctx, args[0], as)
			if err != nil {
				return err
			}
			return a.print(e, func(t *table) {
				t.text("a call of %s from %s: %s", e.Service, callerName(&e.From), withoutParts(e.Answer))
				t.row("", "INSTANCE", "NODE", "PATH", "STATE", "METRIC", "REASON", "ALLOWED", "POLICY", "AUDITED")
				for i := range e.Candidates {
					c := &e.Candidates[i]
					mark := ""
					if c.Picked {
						mark = "*"
					}
					t.row(mark, c.Instance, c.Node, c.Path, c.State, c.Metric, c.Reason, yesNo(c.Allowed), c.Policy, strings.Join(c.Audited, ","))
				}
			})
		})
	c.Long = "Asks the router and the policies as a call of this program would, without calling. Instances that cost the same\n" +
		"are drawn by weight: the next call may be led to another one."
	c.Flags().StringVar(&as, "as", "", "as if `SERVICE` of this host called")
	return a.completes(a.printsData(a.talks(c)), serviceNames)
}
