package sim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim"
	"github.com/micro/micro-net/sim/scenario"
)

const twoSites = `
name: greetings over two sites
groups: [{name: eu, nodes: 2}, {name: us, nodes: 2}]
links: [{from: eu, to: us, both: true, latency: 40ms}]
timeline:
  - {at: 30s, kill: eu2}
  - {at: 40s, restart: eu2}
expect:
  - {at: 55s, converged: true}
duration: 1m
`

// greeter is a program that embeds a node: in eu it says hello on the mesh, elsewhere it asks for that.
func greeter(ctx context.Context, name string, n *node.Node) error {
	if !strings.HasPrefix(name, "eu") {
		return ask(ctx, n)
	}
	l, err := n.Listen(ctx, "greeter")
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		_, _ = io.WriteString(c, "hello from "+name)
		_ = c.Close()
	}
}

func ask(ctx context.Context, n *node.Node) error {
	var c net.Conn
	var err error
	for c == nil && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		c, err = n.Dial(ctx, "greeter") // fails until the others have started
	}
	if c == nil {
		return err
	}
	defer c.Close()
	said, err := io.ReadAll(c)
	if err == nil && !strings.HasPrefix(string(said), "hello from eu") {
		err = fmt.Errorf("the greeting is %q", said)
	}
	return err
}

// TestPrograms: code that embeds a node runs in the simulation.
func TestPrograms(t *testing.T) {
	s, err := scenario.Parse("two-sites.yaml", []byte(twoSites))
	if err != nil {
		t.Fatal(err)
	}
	sim.Run(t, s, sim.Options{Seed: 1, Program: greeter})
}

// TestProgramThatFails: its error fails the run, and names the node.
func TestProgramThatFails(t *testing.T) {
	s, err := scenario.Parse("two-sites.yaml", []byte(twoSites))
	if err != nil {
		t.Fatal(err)
	}
	r, err := sim.Simulate(s, sim.Options{Seed: 1, Program: func(_ context.Context, name string, _ *node.Node) error {
		if name == "us1" {
			return errors.New("out of tea")
		}
		return nil
	}})
	if err != nil || r.Passed || len(r.Failures) != 1 || r.Failures[0].Node != "us1" || !strings.Contains(r.Failures[0].Text, "out of tea") {
		t.Errorf("%v, %+v", err, r.Failures)
	}
}
