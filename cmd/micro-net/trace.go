package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/micro/micro-net/node/api"
)

func (a *app) traceCommand() *cobra.Command {
	c := a.command("trace SERVICE|NODE [flags]", "show hop by hop how packets get to a service or a node, and why not directly",
		"  micro-net trace web\n  micro-net trace worker-7",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			t, err := a.client().Trace(ctx, args[0])
			if err != nil {
				return err
			}
			return a.print(t, func(out *table) { printTrace(out, &t) })
		})
	c.Long = "Probes all ways to the node for a second: its addresses, and relays where none of them is used. For a service, the\n" +
		"node is that of the instance which the next call would be led to."
	return a.completes(a.printsData(a.talks(c)), nodeNames)
}

func printTrace(out *table, t *api.Trace) {
	out.row("HOP", "KIND", "NAME", "ADDRESS", "RTT")
	for i := range t.Hops {
		h := &t.Hops[i]
		out.row(i, h.Kind, h.Name, h.Address, rtt(h.RTTMs))
	}
	if len(t.Ways) > 0 {
		out.text("")
		out.row("WAY", "TRANSPORT", "RELAY", "REMOTE", "STATE", "RTT", "UNANSWERED")
	}
	for i := range t.Ways {
		w := &t.Ways[i]
		out.row(w.Path, w.Transport, w.Relay, w.Remote, w.State, rtt(w.RTTMs), w.Unanswered)
	}
	if t.Why != "" {
		out.text("")
		out.text("not direct: %s", t.Why)
	}
}
