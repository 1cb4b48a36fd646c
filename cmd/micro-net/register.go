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

func (a *app) registerCommand() *cobra.Command {
	var s config.Service
	var meta []string
	c := a.command("register FILE | --service NAME --port P [flags]", "announce services of this node; they survive a restart of the daemon",
		`  micro-net register web.yaml
  micro-net register --service web --port 8080 --protocol http --tag v2
  micro-net register --service web --port 8080 --service-port 80 --id web-1 --meta version=2.1.0`,
		cobra.MaximumNArgs(1), func(ctx context.Context, args []string) error {
			services, err := a.servicesOf(ctx, args, s, meta)
			if err != nil {
				return err
			}
			done, err := a.client().Register(ctx, services)
			if err != nil {
				return err
			}
			// Scripts read the ids: that is for people.
			for _, id := range done.Replaced {
				fmt.Fprintf(a.err, "%s replaced one that had other values\n", oneLine(id))
			}
			a.tellInVain(done)
			return a.print(done, func(t *table) {
				for _, id := range done.IDs {
					t.text("%s", id)
				}
			})
		})
	a.serviceFlags(c, &s)
	c.Flags().StringArrayVar(&meta, "meta", nil, "`KEY=VALUE` for others to read; may be repeated")
	return a.printsData(a.talks(c))
}

// tellInVain says what was registered in vain, or may have been.
func (a *app) tellInVain(done api.Registered) {
	for _, sentence := range slices.Concat(done.Withheld, done.Warnings) {
		fmt.Fprintln(a.err, oneLine(sentence))
	}
}

// serviceFlags are those that register and run share.
func (a *app) serviceFlags(c *cobra.Command, s *config.Service) {
	f := c.Flags()
	f.StringVar(&s.Name, "service", "", "`NAME` of the service, a DNS label")
	f.IntVar(&s.Port, "port", 0, "`PORT` on which the instance listens")
	f.IntVar(&s.ServicePort, "service-port", 0, "`PORT` that callers use at the VIP (default: --port)")
	f.StringVar(&s.Protocol, "protocol", "", "`tcp|udp|http|http2|grpc` (default tcp)")
	f.StringArrayVar(&s.Tags, "tag", nil, "`TAG` of the instance; may be repeated")
	f.StringVar(&s.ID, "id", "", "`ID` of the instance, unique at this node (default: the name)")
	f.IntVar(&s.PID, "pid", 0, "`PID` whose connections, and those of all that it started, are the service's own, for policies about it")
	f.StringVar(&s.Cgroup, "cgroup", "", "the same for a control group: its `PATH` as /proc/PID/cgroup has it (one that is not there now is taken with a warning: systemd makes a unit's when it starts)")
	f.StringVar(&s.Address, "address", "", "`ADDRESS` on which the instance listens (default 127.0.0.1)")
}

// servicesOf reads a service file, or takes the one service of the flags.
func (a *app) servicesOf(ctx context.Context, args []string, s config.Service, meta []string) ([]config.Service, error) {
	if len(args) == 0 {
		return flagService("register", s, meta)
	}
	if s.Name != "" || s.Port != 0 {
		return nil, micronet.E("register", micronet.Invalid, "a file and --service are given").WithFix("give one of them")
	}
	data, err := a.readInput(ctx, "register", args[0])
	if err != nil {
		return nil, err
	}
	services, errs := config.ParseServices(args[0], data)
	if len(errs) > 0 {
		return nil, invalid("register", errs...)
	}
	if len(services) == 0 {
		return nil, micronet.E("register", micronet.Invalid, "%s holds no services", args[0])
	}
	return services, nil
}

func flagService(op string, s config.Service, meta []string) ([]config.Service, error) {
	if s.Name == "" || s.Port == 0 {
		return nil, micronet.E(op, micronet.Invalid, "--service and --port are needed").WithFix("see `micro-net %s --help`", op)
	}
	for _, m := range meta {
		key, value, ok := strings.Cut(m, "=")
		if !ok || key == "" {
			return nil, micronet.E(op, micronet.Invalid, "--meta %q is not of the form KEY=VALUE", m)
		}
		if s.Meta == nil {
			s.Meta = map[string]string{}
		}
		s.Meta[key] = value
	}
	s, err := config.Complete(s)
	if err != nil {
		return nil, invalid(op, err)
	}
	return []config.Service{s}, nil
}

func (a *app) deregisterCommand() *cobra.Command {
	c := a.command("deregister ID", "withdraw an instance of this node",
		"  micro-net deregister web-1",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			if err := a.client().Deregister(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(a.err, "%s is withdrawn\n", args[0])
			return nil
		})
	return a.completes(a.talks(c), instanceIDs)
}
