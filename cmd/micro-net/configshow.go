package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "the local configuration", Example: "  micro-net config show --origin",
		Args: unknownVerb, SuggestionsMinimumDistance: nearWord, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(a.configShowCommand())
	return c
}

func (a *app) configShowCommand() *cobra.Command {
	var origin bool
	c := a.command("show [flags]", "print every setting of the daemon, with --origin where each came from",
		"  micro-net config show --origin\n  micro-net config show -o json",
		noArgs, func(ctx context.Context, _ []string) error {
			settings, err := a.settings(ctx)
			if err != nil {
				return err
			}
			return a.print(settings, func(t *table) { settingsTable(t, settings, origin) })
		})
	c.Long = "Prints every setting of the daemon; when none runs, what `micro-net up` without flags would use."
	c.Flags().BoolVar(&origin, "origin", false, "show where each value came from: default, file, environment or flag")
	return a.printsData(a.talks(c))
}

func settingsTable(t *table, settings []api.Setting, origin bool) {
	head := []any{"KEY", "VALUE", "ORIGIN"}
	columns := len(head) - 1
	if origin {
		columns++
	}
	t.row(head[:columns]...)
	for _, s := range settings {
		t.row([]any{s.Key, settingText(s.Value), s.Origin}[:columns]...)
	}
}

func settingText(v any) string {
	switch v := v.(type) {
	case []any:
		texts := make([]string, len(v))
		for i := range v {
			texts[i] = fmt.Sprint(v[i])
		}
		return strings.Join(texts, ",")
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}

// settings are the daemon's; without one, those that a start would find here.
func (a *app) settings(ctx context.Context) ([]api.Setting, error) {
	settings, err := a.client().Settings(ctx)
	if micronet.KindOf(err) != micronet.NoDaemon {
		return settings, err
	}
	loaded, err := a.load(nil)
	if err != nil {
		return nil, invalid("config show", err)
	}
	fmt.Fprintln(a.err, "No daemon answers: this is what `micro-net up` without flags would use.")
	settings = []api.Setting{}
	for _, o := range loaded.Origins {
		settings = append(settings, api.Setting{Key: o.Key, Value: o.Value, Origin: o.Origin})
	}
	return settings, nil
}
