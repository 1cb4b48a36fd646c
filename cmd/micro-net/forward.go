package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// maxForwarded bounds the connections of one forward; further ones are closed at once.
const maxForwarded = 1024

func (a *app) forwardCommand() *cobra.Command {
	var allow []string
	c := a.command("forward SERVICE [[ADDR:]PORT] [flags]", "listen on a local port for a service, until Ctrl-C",
		`  micro-net forward db 5432
  micro-net forward web                      # any free port; the address is printed
  micro-net forward web 0.0.0.0:8080 --allow-from 10.0.0.0/8`,
		cobra.RangeArgs(1, 2), func(ctx context.Context, args []string) error {
			f := &forwarder{app: a, service: args[0], client: a.client()}
			var err error
			if f.addr, f.allowed, err = forwardAddress(strings.Join(args[1:], ""), allow); err != nil {
				return err
			}
			return f.run(ctx)
		})
	c.Flags().StringArrayVar(&allow, "allow-from", nil, "`CIDR` that may use a listener off loopback; may be repeated")
	return a.completes(a.talks(c), serviceNames)
}

// forwardAddress reads [ADDR:]PORT. Off loopback it must be said who may use the listener.
func forwardAddress(word string, allow []string) (netip.AddrPort, []netip.Prefix, error) {
	bad := func(format string, args ...any) (netip.AddrPort, []netip.Prefix, error) {
		return netip.AddrPort{}, nil, micronet.E("forward", micronet.Invalid, format, args...).
			WithFix("want PORT or ADDR:PORT; off loopback say who may use it with --allow-from CIDR")
	}
	var allowed []netip.Prefix
	for _, s := range allow {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return bad("--allow-from: %w", err)
		}
		allowed = append(allowed, p.Masked())
	}
	loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if port, err := strconv.ParseUint(strings.TrimPrefix(word, ":"), 10, 16); err == nil || word == "" {
		return netip.AddrPortFrom(loopback, uint16(port)), allowed, nil
	}
	ap, err := netip.ParseAddrPort(strings.Replace(word, "localhost:", loopback.String()+":", 1))
	if err != nil {
		return bad("%q is no address", word)
	}
	if !ap.Addr().IsLoopback() && len(allowed) == 0 {
		return bad("%s can be reached from other hosts", ap)
	}
	return ap, allowed, nil
}

// forwarder carries connections to a local port into the mesh.
type forwarder struct {
	app     *app
	service string
	client  *api.Client
	addr    netip.AddrPort
	allowed []netip.Prefix
	conns   sync.WaitGroup
}

// run listens until ctx ends; connections end with it.
func (f *forwarder) run(ctx context.Context) error {
	if err := f.known(ctx); err != nil {
		return err
	}
	ln, err := f.app.env.Net.Listen(ctx, f.addr)
	if err != nil {
		return micronet.E("forward", micronet.Refused, "%w", err).WithFix("choose another port, or leave it out for any free one")
	}
	defer f.conns.Wait()
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	if _, err := fmt.Fprintln(f.app.out, ln.Addr()); err != nil {
		return err
	}
	slots := make(chan struct{}, maxForwarded)
	for {
		c, err := ln.Accept()
		if err != nil {
			return f.acceptError(ctx, err)
		}
		select {
		case slots <- struct{}{}:
			f.conns.Go(func() { defer func() { <-slots }(); f.carry(ctx, c) })
		default:
			_ = c.Close()
		}
	}
}

func (f *forwarder) acceptError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return micronet.E("forward", micronet.Internal, "accept: %w", err)
}

// known refuses a name that nobody has: a typing mistake should not become a listener. Names
// with dots may be the DNS form, which only the daemon can read.
func (f *forwarder) known(ctx context.Context) error {
	_, err := f.client.Services(ctx, f.service)
	if micronet.KindOf(err) == micronet.NotFound && strings.Contains(f.service, ".") {
		return nil
	}
	return err
}

func (f *forwarder) carry(ctx context.Context, c net.Conn) {
	defer c.Close()
	if !f.accepts(c.RemoteAddr()) {
		return
	}
	up, err := f.client.Dial(ctx, f.service)
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintf(f.app.err, "%s: %s\n", program, oneLine(describe("forward", err)))
		}
		return
	}
	defer up.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close(); _ = up.Close() })
	defer stop()
	done := make(chan struct{})
	go func() { defer close(done); pass(up, c) }()
	pass(c, up)
	<-done
}

func (f *forwarder) accepts(from net.Addr) bool {
	ap, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return false
	}
	a := ap.Addr().Unmap()
	return a.IsLoopback() || slices.ContainsFunc(f.allowed, func(p netip.Prefix) bool { return p.Contains(a) })
}

// pass copies one direction. Its end ends only this direction; a failure ends both.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if errors.Join(err, halfClose(to)) != nil {
		_ = to.Close()
		_ = from.Close()
	}
}
