package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

const (
	// joinTime is how long all addresses of a token together have to answer.
	joinTime = 15 * time.Second
	// meshPort is where a daemon listens unless told otherwise.
	meshPort = 8085
)

// joiner asks the addresses of a token for a membership.
type joiner struct {
	env     micronet.Env
	dial    guestDial // over UDP
	dialTCP guestDial // nil: this node does without TCP
	keys    identity.Keys
	wish    identity.Wish
}

// guestDial shakes hands with who is at an address, if it is of the token's cluster.
type guestDial func(ctx context.Context, addr netip.AddrPort, token identity.Token) (tunnel.GuestConn, error)

// target is one address to join through. said is what the token says, when that is a name.
type target struct {
	addr netip.AddrPort
	said string
}

func (t target) String() string {
	if t.said == "" {
		return t.addr.String()
	}
	return fmt.Sprintf("%s (%s)", t.said, t.addr)
}

// attempt is what became of one target.
type attempt struct {
	target int
	result identity.JoinResult
	err    error
	final  bool // an authority has answered: its word holds at every address
}

// join tries all addresses, again and again, and takes the first membership. A refusal by an
// authority ends the search: the token is what it is. The error is errEnded when ctx has ended.
func (j *joiner) join(ctx context.Context, token identity.Token) (identity.JoinResult, error) {
	limited, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	targets, outcome := j.resolve(limited, token.Addresses)
	j.env.Log.Info("joining", "cluster", token.ClusterName, "addr", token.Addresses)
	attempts := make(chan attempt)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	// Addresses get a head start on the next one each. One node that asks twice, because it is
	// reachable in two ways, uses the token once: the authority knows it by its key.
	for i := range targets {
		wg.Go(func() { j.insist(limited, targets[i].addr, token, i, attempts) })
	}
	for len(targets) > 0 {
		select {
		case a := <-attempts:
			if a.final {
				return a.result, a.err
			}
			outcome[targets[a.target].String()] = a.err
		case <-limited.Done():
			if ctx.Err() != nil {
				return identity.JoinResult{}, errEnded
			}
			return identity.JoinResult{}, unreachable(targets, outcome, j.doors(token))
		}
	}
	return identity.JoinResult{}, unreachable(targets, outcome, j.doors(token))
}

const (
	// headStart is what an address gets before the next one is tried.
	headStart = 300 * time.Millisecond
	// joinPause is the time between two attempts at one address.
	joinPause = time.Second
)

// insist tries one address until ctx ends.
func (j *joiner) insist(ctx context.Context, addr netip.AddrPort, token identity.Token, i int, attempts chan<- attempt) {
	for wait := time.Duration(i) * headStart; micronet.Pause(ctx, wait); wait = joinPause {
		a := j.at(ctx, addr, token)
		if ctx.Err() != nil && !a.final {
			return // cut short: what the attempt before it met says more
		}
		a.target = i
		select {
		case attempts <- a:
		case <-ctx.Done():
			return
		}
	}
}

// resolve turns what a token carries into targets; names are looked up as the host does. failed
// holds what led to none.
func (j *joiner) resolve(ctx context.Context, list []string) (targets []target, failed map[string]error) {
	failed = map[string]error{}
	for _, s := range list {
		host, port, err := splitAddress(s, meshPort)
		if err != nil {
			failed[s] = err
			continue
		}
		addrs, err := lookup(ctx, j.env.Net, host)
		if err != nil {
			failed[s] = err
			continue
		}
		for _, a := range addrs {
			t := target{addr: netip.AddrPortFrom(a, port)}
			if a.String() != host {
				t.said = s
			}
			if !slices.ContainsFunc(targets, func(o target) bool { return o.addr == t.addr }) {
				targets = append(targets, t)
			}
		}
	}
	return targets, failed
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

// splitAddress reads HOST[:PORT]; without a port it is the given one.
func splitAddress(s string, without uint16) (host string, port uint16, err error) {
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil {
		return a.String(), without, nil
	}
	if s != "" && !strings.Contains(s, ":") {
		return s, without, nil
	}
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no HOST[:PORT]", s)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("%q is no HOST[:PORT]", s)
	}
	return host, uint16(n), nil
}

// at joins through one address.
func (j *joiner) at(ctx context.Context, addr netip.AddrPort, token identity.Token) attempt {
	conn, err := j.connect(ctx, addr, token)
	if err != nil {
		return attempt{err: err} // whoever is there, it is no authority of this cluster
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r, err := identity.Join(conn, conn.Exporter, token, j.keys, j.wish, j.env.Wall())
	kind := micronet.KindOf(err)
	// A fault of the authority's own, or of the way to it, may be gone at the next attempt.
	passing := err != nil && (kind.Retryable() || kind == micronet.Internal || kind == micronet.Closed)
	return attempt{result: r, err: err, final: !passing}
}

// unreachable lists what became of each address, in the order of the token. doors says what to open, by the ports of the
// addresses.
func unreachable(targets []target, outcome map[string]error, doors func(ports string) string) error {
	var parts, ports []string
	fix := ""
	for _, t := range targets {
		said := t.String()
		if err := outcome[said]; err != nil {
			fix = cmp.Or(fix, remedy(err))
			parts = append(parts, said+": "+cause(err))
		} else {
			parts = append(parts, said+": no answer")
		}
		delete(outcome, said)
		if p := portText(t.addr.Port()); !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	for _, said := range slices.Sorted(maps.Keys(outcome)) {
		parts = append(parts, said+": "+cause(outcome[said]))
	}
	if len(ports) == 0 {
		return micronet.E("join", micronet.Unreachable, "no address of the token can be used (%s)", strings.Join(parts, ", ")).
			WithFix("make a token with `micro-net invite --address HOST[:PORT]`")
	}
	e := micronet.E("join", micronet.Unreachable, "no address of the token answered (%s)", strings.Join(parts, ", "))
	if fix != "" {
		return e.WithFix("%s", fix)
	}
	return e.WithFix("open %s towards that host, or make a token with `micro-net invite --address HOST[:PORT]`", doors(strings.Join(ports, " and ")))
}

// remedy is what whoever answered would have done about it, "" when nobody did answer: then ports may be shut.
func remedy(err error) string {
	if e, ok := errors.AsType[*micronet.Error](err); ok && e.Kind == micronet.Unauthorized {
		return e.Fix
	}
	return ""
}

// cause is the innermost words of an error, for lists.
func cause(err error) string {
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}
