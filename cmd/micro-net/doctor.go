package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// verdict is the result of a check.
type verdict string

const (
	good verdict = "ok"
	warn verdict = "warn"
	bad  verdict = "fail"
)

// finding is one line of doctor.
type finding struct {
	Status verdict `json:"status"`
	Check  string  `json:"check"`
	Detail string  `json:"detail"`
	Fix    string  `json:"fix"`
	Value  string  `json:"value,omitempty"` // what was found in one word, for programs
}

// probeTimeout bounds each question that doctor asks.
const probeTimeout = 2 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	c := a.command("doctor [flags]", "check this host and its daemon, and say how to fix what is wrong",
		"  micro-net doctor\n  micro-net doctor --json",
		noArgs, func(ctx context.Context, _ []string) error {
			d := &doctor{app: a, client: a.client(), findings: []finding{}}
			d.examine(ctx)
			if err := a.printFindings(d.findings); err != nil {
				return err
			}
			if n := d.count(bad); n > 0 {
				return micronet.E("doctor", micronet.Internal, "%d of %d checks failed", n, len(d.findings))
			}
			return nil
		})
	c.Long = "Asks the daemon and, through it, up to 32 other nodes, which takes a few seconds: how they reach this host and are reached. Without\n" +
		"a daemon it checks whether one could start. Exit 1 when a line says fail."
	return a.printsData(a.talks(c))
}

// doctor collects findings about this host, and about the daemon if one answers.
type doctor struct {
	app      *app
	client   *api.Client
	findings []finding
	receives int // the size of the daemon's UDP buffers, bytes, 0: not known
	sends    int
}

func (d *doctor) add(v verdict, check, detail, fix string) {
	d.findings = append(d.findings, finding{Status: v, Check: check, Detail: oneLine(detail), Fix: oneLine(fix)})
}

// addError tells of a failure with the remedy it carries.
func (d *doctor) addError(v verdict, check string, err error, fix string) {
	if e, ok := asOurs(err); ok && e.Fix != "" {
		fix = e.Fix
	}
	d.add(v, check, reason(err).Error(), fix)
}

func (d *doctor) count(v verdict) (n int) {
	for _, f := range d.findings {
		if f.Status == v {
			n++
		}
	}
	return n
}

func (d *doctor) examine(ctx context.Context) {
	asked, cancel := context.WithTimeout(ctx, probeTimeout)
	s, err := d.client.Status(asked)
	cancel()
	switch {
	case err == nil:
		d.daemon(ctx, &s)
	case micronet.KindOf(err) == micronet.NoDaemon:
		d.addError(warn, "daemon", err, "")
		d.absent(ctx)
	default:
		d.addError(bad, "daemon", err, "see its log")
	}
	d.clock(ctx, err == nil)
	d.buffers()
}

func (a *app) printFindings(list []finding) error {
	if a.format != formatTable {
		return a.printData(list)
	}
	var b strings.Builder
	t := newTable(&b)
	t.row("STATUS", "CHECK", "DETAIL", "FIX")
	for _, f := range list {
		t.row(f.Status, f.Check, f.Detail, f.Fix)
	}
	if err := t.flush(); err != nil {
		return err
	}
	text := b.String()
	if a.colour() {
		text = paint(text)
	}
	_, err := a.out.Write([]byte(text))
	return err
}

// colour follows no-color.org, and pipes get none.
func (a *app) colour() bool { return a.outTerminal && a.env.Host.Getenv("NO_COLOR") == "" }

// paint colours the verdict at the beginning of each line; widths stay what they were.
func paint(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for v, code := range map[verdict]string{good: "32", warn: "33", bad: "31"} {
			if rest, ok := strings.CutPrefix(line, string(v)+" "); ok {
				lines[i] = "\x1b[" + code + "m" + string(v) + "\x1b[0m " + rest
			}
		}
	}
	return strings.Join(lines, "\n")
}

// absent checks whether a daemon could start: its configuration, and the ports it would take.
func (d *doctor) absent(ctx context.Context) {
	loaded, err := d.app.load(nil)
	if err != nil {
		for _, leaf := range leaves(err) {
			d.addError(bad, "configuration", leaf, "")
		}
		return
	}
	d.freePorts(ctx, &loaded.Settings)
}

// free says where a port cannot be had.
func (d *doctor) freePorts(ctx context.Context, s *config.Settings) {
	d.freeUDP(ctx, "listen", s.Listen)
	d.freeTCP(ctx, "api-addr", s.APIAddr)
	d.freeUDP(ctx, "dns-addr", s.DNSAddr)
	d.freeTCP(ctx, "dns-addr", s.DNSAddr)
	d.freeTCP(ctx, "proxy-addr", s.ProxyAddr)
}
