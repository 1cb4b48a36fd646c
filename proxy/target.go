package proxy

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

// maxPassAddrs is how many addresses of a foreign name are tried.
const maxPassAddrs = 4

// connect opens a connection to what a client named. With answered it returns once an instance
// has accepted, so that the client can be told; without, what the client sends goes along.
func (o *Outbound) connect(ctx context.Context, host string, port uint16, caller micronet.Caller, answered bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	dest, ok := o.cfg.Resolve(host)
	if !ok {
		return o.passThrough(ctx, host, port)
	}
	c, err := o.cfg.Dial(ctx, dest, caller)
	if err != nil || !answered {
		return c, err
	}
	if err := c.Answered(ctx); err != nil {
		c.Abort()
		return nil, err
	}
	return c, nil
}

// passThrough connects to a name that is none of the mesh, if that is wanted.
func (o *Outbound) passThrough(ctx context.Context, host string, port uint16) (net.Conn, error) {
	if o.cfg.Lookup == nil {
		return nil, micronet.E("proxy.outbound", micronet.Refused, "%q is not a name of this mesh", host).
			WithFix("exempt it with NO_PROXY, or start the daemon with --proxy-pass")
	}
	addrs, err := o.lookup(ctx, host)
	if err != nil {
		return nil, micronet.E("proxy.outbound", micronet.NotFound, "%s: %w", hostPort(host, port), err)
	}
	last := error(micronet.E("proxy.outbound", micronet.Refused, "%q has no address that is passed through", host))
	for i, a := range addrs[:min(len(addrs), maxPassAddrs)] {
		if !passable(a) {
			continue
		}
		c, err := o.dialPart(ctx, netip.AddrPortFrom(a, port), min(len(addrs), maxPassAddrs)-i)
		if err == nil {
			return c, nil
		}
		last = micronet.E("proxy.outbound", micronet.Unreachable, "%s: %w", hostPort(host, port), err)
	}
	return nil, last
}

func (o *Outbound) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	return o.cfg.Lookup(ctx, host)
}

// dialPart gives one address its share of the time that is left.
func (o *Outbound) dialPart(ctx context.Context, to netip.AddrPort, parts int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok {
		sub, cancel := context.WithTimeout(ctx, time.Until(end)/time.Duration(parts))
		defer cancel()
		ctx = sub
	}
	return o.cfg.Env.Net.Dial(ctx, netip.Addr{}, to)
}

// passable leaves out what a proxy must not lead to on behalf of others: this host's own services
// and those of its link, where clouds hand out credentials. IsGlobalUnicast is false for them.
func passable(a netip.Addr) bool { return a.Unmap().IsGlobalUnicast() && !micronet.IsIdentityAddr(a) }
