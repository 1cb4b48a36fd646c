package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

const (
	defaultPings    = 4
	defaultInterval = time.Second
	// maxPings bounds -c, and with it the list of replies.
	maxPings = 10000
)

// pings is the result of ping, in milliseconds.
type pings struct {
	Node     string     `json:"node"`
	ID       string     `json:"id"`
	Sent     int        `json:"sent"`
	Received int        `json:"received"`
	MinMs    float64    `json:"min_ms"`
	AvgMs    float64    `json:"avg_ms"`
	MaxMs    float64    `json:"max_ms"`
	Replies  []api.Pong `json:"replies"`
}

func (a *app) pingCommand() *cobra.Command {
	count, interval := defaultPings, defaultInterval
	c := a.command("ping NODE [flags]", "measure round trips to a node, by name or beginning of its id",
		"  micro-net ping worker-7\n  micro-net ping worker-7 -c 1",
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			if count < 1 || count > maxPings {
				return micronet.E("ping", micronet.Invalid, "-c %d is not between 1 and %d", count, maxPings)
			}
			return a.ping(ctx, args[0], count, interval)
		})
	c.Flags().IntVarP(&count, "count", "c", count, "how many")
	c.Flags().DurationVarP(&interval, "interval", "i", interval, "time between two")
	return a.completes(a.printsData(a.talks(c)), nodeNames)
}

func (a *app) ping(ctx context.Context, node string, count int, interval time.Duration) error {
	client := a.client()
	sum := pings{Node: node, Replies: []api.Pong{}}
	var last error
	for i := 0; i < count && ctx.Err() == nil; i++ {
		if i > 0 {
			micronet.Pause(ctx, interval)
		}
		pong, err := client.Ping(ctx, node)
		if ctx.Err() != nil {
			break
		}
		if err != nil && !micronet.KindOf(err).Retryable() {
			return err // an unknown node stays unknown
		}
		sum.Sent++
		last = err
		a.pinged(&sum, i+1, &pong, err)
	}
	if err := a.printPings(&sum); err != nil {
		return err
	}
	if sum.Received == 0 && last != nil {
		return last
	}
	return nil
}

// pinged counts one reply, or its absence, and shows it.
func (a *app) pinged(sum *pings, n int, pong *api.Pong, err error) {
	if err == nil {
		sum.add(pong)
	}
	switch {
	case a.format != formatTable:
	case err != nil:
		fmt.Fprintf(a.out, "%d: no answer: %s\n", n, oneLine(reason(err).Error()))
	case pong.Remote == "":
		fmt.Fprintf(a.out, "%d: %s is this node\n", n, pong.Node)
	case pong.Relay != "":
		fmt.Fprintf(a.out, "%d: %s over %s at %s (%s) %s\n", n, pong.Node, pong.Relay, pong.Remote, wayOf(pong), rtt(pong.RTTMs))
	default:
		fmt.Fprintf(a.out, "%d: %s at %s (%s) %s\n", n, pong.Node, pong.Remote, wayOf(pong), rtt(pong.RTTMs))
	}
}

// wayOf is the kind of the path, with what carries the packets where that is not UDP.
func wayOf(pong *api.Pong) string {
	if pong.Transport == micronet.TransportTCP {
		return string(pong.Path) + ", tcp"
	}
	return string(pong.Path)
}

func (p *pings) add(pong *api.Pong) {
	p.Node, p.ID = pong.Node, pong.ID
	if p.Received == 0 || pong.RTTMs < p.MinMs {
		p.MinMs = pong.RTTMs
	}
	p.MaxMs = max(p.MaxMs, pong.RTTMs)
	p.AvgMs = (p.AvgMs*float64(p.Received) + pong.RTTMs) / float64(p.Received+1)
	p.Received++
	p.Replies = append(p.Replies, *pong)
}

func (a *app) printPings(p *pings) error {
	if a.format != formatTable {
		return a.printData(p)
	}
	_, err := fmt.Fprintf(a.out, "%s: %d sent, %d received, round trip min/avg/max %.2f/%.2f/%.2f ms\n",
		p.Node, p.Sent, p.Received, p.MinMs, p.AvgMs, p.MaxMs)
	return err
}
