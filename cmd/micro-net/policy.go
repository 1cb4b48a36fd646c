package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// policyCommand holds the verbs about who may call what.
func (a *app) policyCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "policy", Short: "who may call what: rules of the whole mesh",
		Example: "  micro-net policy list\n  micro-net policy apply no-c.yaml\n  micro-net policy test shop@web-1 payments",
		Args:    unknownVerb, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.policyListCommand(), a.policyApplyCommand(), a.policyTestCommand(), a.policyDeleteCommand())
	return c
}

func (a *app) policyListCommand() *cobra.Command {
	c := a.command("list [flags]", "list the policies, and what they did at this node",
		"  micro-net policy list\n  micro-net policy list -o yaml",
		noArgs, func(ctx context.Context, _ []string) error {
			list, err := a.client().Policies(ctx)
			if err != nil {
				return err
			}
			return a.print(list, func(t *table) {
				if len(list) == 0 {
					t.text("There is no policy: whoever is in the cluster may call every service of it.")
					return
				}
				t.row("NAME", "FROM", "TO", "ACTION", "REFUSED", "AUDITED", "PROBLEM")
				for i := range list {
					p := &list[i]
					t.row(p.Name, p.From, p.To, p.Action, p.Refused, p.Audited, p.Problem)
				}
			})
		})
	return a.printsData(a.talks(c))
}

func (a *app) policyApplyCommand() *cobra.Command {
	c := a.command("apply FILE [flags]", "make the policies of a file those of the mesh, all or none",
		`  micro-net policy apply no-c.yaml

  policies:                  # the file
    - name: no-c
      from: {node: c}        # node, service, tag, cluster; patterns like web-* and !shop; missing: any
      to: {service: web}     # service, tag
      action: deny           # allow | deny | audit; deny wins`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			data, err := a.readInput(ctx, "apply", args[0])
			if err != nil {
				return err
			}
			rules, errs := config.ParsePolicies(args[0], data)
			if len(errs) > 0 {
				return invalid("apply", errs...)
			}
			done, err := a.client().ApplyPolicies(ctx, rules)
			if err != nil {
				return err
			}
			for _, w := range done.Warnings {
				fmt.Fprintf(a.err, "Warning: %s\n", oneLine(w))
			}
			return a.print(done, func(t *table) {
				for _, name := range done.Applied {
					t.text("%s is applied", name)
				}
				for _, name := range done.Unchanged {
					t.text("%s was there already", name)
				}
			})
		})
	c.Long = "Puts each policy of a file in the place of the one with its name; others stay. It counts at every node that can\n" +
		"be reached within two seconds, and connections that it refuses are cut. It takes effect at an authority of the\n" +
		"cluster; elsewhere it is refused, and names one."
	return a.printsData(a.talks(c))
}

func (a *app) policyTestCommand() *cobra.Command {
	c := a.command("test FROM TO [flags]", "tell whether a call is allowed, and by which policy",
		`  micro-net policy test web-1 payments           # any program of the node web-1
  micro-net policy test shop@web-1 payments      # the service shop of that node
  micro-net policy test shop payments            # the service shop, wherever it runs`,
		cobra.ExactArgs(2), func(ctx context.Context, args []string) error {
			list, err := a.client().TestPolicy(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			if err := a.print(list, func(t *table) {
				t.row("FROM", "TO", "INSTANCES", "ALLOWED", "POLICY", "AUDITED", "REASON")
				for i := range list {
					v := &list[i]
					t.row(callerName(&v.From), v.Service, strings.Join(v.Instances, ","), yesNo(v.Allowed), v.Rule, strings.Join(v.Audited, ","), v.Reason)
				}
			}); err != nil {
				return err
			}
			if err := deniedAny(list); err != nil {
				return err
			}
			return a.unknownTarget(ctx, list)
		})
	c.Long = "Judges calls by the policies as this node knows them. A caller that may call no instance is a failure (exit 4), and\n" +
		"so is a service that nobody offers (exit 3)."
	return a.printsData(a.talks(c))
}

// deniedAny is the error of the first caller that may call no instance.
func deniedAny(list []api.PolicyVerdict) error {
	allowed := map[string]bool{}
	for i := range list {
		name := callerName(&list[i].From)
		allowed[name] = allowed[name] || list[i].Allowed
	}
	for i := range list {
		if v := &list[i]; !allowed[callerName(&v.From)] {
			return micronet.E("test", micronet.Refused, "%s may not call %s: %s", callerName(&v.From), v.Service, v.Reason).
				WithFix("see `micro-net policy list`")
		}
	}
	return nil
}

// unknownTarget is the error of a service that nobody offers: that a call of it would be allowed says little.
func (a *app) unknownTarget(ctx context.Context, list []api.PolicyVerdict) error {
	if len(list) == 0 || slices.ContainsFunc(list, func(v api.PolicyVerdict) bool { return len(v.Instances) > 0 }) {
		return nil
	}
	_, err := a.client().Services(ctx, list[0].Service)
	return err
}

// callerName is a caller as `policy test` takes it.
func callerName(c *api.PolicyCaller) string {
	if c.Service == "" {
		return c.Node
	}
	return c.Service + "@" + c.Node
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) policyDeleteCommand() *cobra.Command {
	c := a.command("delete NAME...", "take policies away",
		"  micro-net policy delete no-c\n  micro-net policy delete no-c only-shop",
		cobra.MinimumNArgs(1), func(ctx context.Context, args []string) error {
			names := slices.Compact(slices.Sorted(slices.Values(args)))
			if err := a.knownPolicies(ctx, names); err != nil {
				return err
			}
			for _, name := range names {
				if err := a.client().DeletePolicy(ctx, name); err != nil {
					return err
				}
				fmt.Fprintf(a.err, "%s is deleted\n", name)
			}
			return nil
		})
	return a.completes(a.talks(c), policyNames)
}

// knownPolicies refuses names of which one is wrong before anything is deleted.
func (a *app) knownPolicies(ctx context.Context, names []string) error {
	if len(names) == 1 {
		return nil // the daemon says it
	}
	list, err := a.client().Policies(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(list, func(p api.Policy) bool { return p.Name == name }) {
			return micronet.E("delete", micronet.NotFound, "no policy %q, and nothing was deleted", name).WithFix("see `micro-net policy list`")
		}
	}
	return nil
}

func policyNames(ctx context.Context, c *api.Client) (names []string) {
	list, _ := c.Policies(ctx)
	for i := range list {
		names = append(names, list[i].Name)
	}
	return names
}
