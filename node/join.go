package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel/quic"
)

const (
	// joinTime is how long all addresses of a token together have to answer.
	joinTime = 15 * time.Second
	// meshPort is where a daemon listens unless told otherwise.
	meshPort = 8085
)

// joiner asks the addresses of a token for a membership.
type joiner struct {
	env   micronet.Env
	allow func(addr netip.AddrPort, cluster [16]byte) // lets QUIC talk to a stranger's address
	dial  func(ctx context.Context, addr netip.AddrPort, token identity.Token) (quic.GuestConn, error)
	keys  identity.Keys
	wish  identity.Wish
}

// attempt is what became of one address.
type attempt struct {
	addr   string
	result identity.JoinResult
	err    error
}

// join tries all addresses at once and takes the first membership. A refusal by an authority
// ends the search: the token is what it is.
func (j *joiner) join(ctx context.Context, token identity.Token) (identity.JoinResult, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	targets, failed := j.resolve(ctx, token.Addresses)
	results := make(chan attempt)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	// Addresses are tried one after another with a head start each, so that a token is not used
	// twice by one node that is reachable in two ways.
	for i, t := range targets {
		wg.Go(func() {
			if sleep(ctx, time.Duration(i)*headStart) != nil {
				return
			}
			r, err := j.at(ctx, t, token)
			select {
			case results <- attempt{t.String(), r, err}:
			case <-ctx.Done():
			}
		})
	}
	for range targets {
		select {
		case a := <-results:
			if a.err == nil || !micronet.KindOf(a.err).Retryable() {
				return a.result, a.err
			}
			failed = append(failed, a)
		case <-ctx.Done():
			return identity.JoinResult{}, unreachable(token, failed)
		}
	}
	return identity.JoinResult{}, unreachable(token, failed)
}

// headStart is what an address gets before the next one is tried.
const headStart = 300 * time.Millisecond

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// resolve turns what a token carries into addresses; names are looked up as the host does.
func (j *joiner) resolve(ctx context.Context, list []string) (targets []netip.AddrPort, failed []attempt) {
	for _, s := range list {
		host, port, err := splitAddress(s)
		if err != nil {
			failed = append(failed, attempt{addr: s, err: err})
			continue
		}
		addrs, err := lookup(ctx, j.env.Net, host)
		if err != nil {
			failed = append(failed, attempt{addr: s, err: err})
			continue
		}
		for _, a := range addrs {
			targets = append(targets, netip.AddrPortFrom(a, port))
		}
	}
	return unique(targets), failed
}

func lookup(ctx context.Context, n micronet.Network, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	r, ok := n.(micronet.HostResolver)
	if !ok {
		return nil, fmt.Errorf("%q is no address, and names cannot be looked up here", host)
	}
	return r.LookupHost(ctx, host)
}

// splitAddress reads HOST[:PORT] with the mesh's port as the default.
func splitAddress(s string) (host string, port uint16, err error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.String(), meshPort, nil
	}
	if !strings.Contains(s, ":") {
		return s, meshPort, nil
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no HOST[:PORT]", s)
	}
	if _, err := fmt.Sscanf(text, "%d", &port); err != nil || port == 0 || host == "" {
		return "", 0, fmt.Errorf("%q is no HOST[:PORT]", s)
	}
	return host, port, nil
}

// at joins through one address.
func (j *joiner) at(ctx context.Context, addr netip.AddrPort, token identity.Token) (identity.JoinResult, error) {
	j.allow(addr, token.Cluster)
	conn, err := j.dial(ctx, addr, token)
	if err != nil {
		return identity.JoinResult{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r, err := identity.Join(conn, conn.Exporter, token, j.keys, j.wish, j.env.Wall())
	if err != nil && micronet.KindOf(err) == micronet.Internal {
		err = micronet.E("join", micronet.Unreachable, "%w", err)
	}
	return r, err
}

func unreachable(token identity.Token, failed []attempt) error {
	var parts []string
	tried := slices.Clone(token.Addresses)
	for _, a := range failed {
		parts = append(parts, fmt.Sprintf("%s: %s", a.addr, cause(a.err)))
		tried = slices.DeleteFunc(tried, func(s string) bool { return s == a.addr })
	}
	for _, s := range tried {
		parts = append(parts, s+": no answer")
	}
	return micronet.E("join", micronet.Unreachable, "no address of the token answered (%s)", strings.Join(parts, ", ")).
		WithFix("open UDP port %d towards that host, or make a token with `micro-net invite --address HOST[:PORT]`", meshPort)
}

// cause is the innermost words of an error, for lists.
func cause(err error) string {
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
