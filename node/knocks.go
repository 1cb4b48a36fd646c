package node

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

const (
	// maxKnocks is how many guests from one source may come within knockTime with a token that is not good;
	// after that nobody from there is listened to. A secret of 160 bits needs no such limit, the
	// authority's time does.
	maxKnocks = 5
	knockTime = time.Minute
	// maxSources bounds the sources that are counted; beyond it all are forgotten.
	maxSources = 4096
)

// knocks counts guests with bad tokens by where they come from. It is safe for concurrent use.
type knocks struct {
	mu   sync.Mutex // a leaf
	from map[netip.Prefix]asking
}

// sourceOf is the part of an address that belongs to one host: of IPv6 the network, in which a host may choose.
func sourceOf(addr net.Addr) netip.Prefix {
	return micronet.PrefixOf(addr, 32, 64)
}

// open reports whether a guest from there is listened to.
func (k *knocks) open(from netip.Prefix, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.from[from]
	return n.count < maxKnocks || now.Sub(n.since) >= knockTime
}

// bad counts a guest that had no good token.
func (k *knocks) bad(from netip.Prefix, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.from[from]
	if now.Sub(n.since) >= knockTime {
		n = asking{since: now}
	}
	if k.from == nil || len(k.from) >= maxSources {
		k.from = map[netip.Prefix]asking{}
	}
	n.count++
	k.from[from] = n
}

// isBadKnock tells a guest that had nothing to show from one that was refused for its name, or that we or the
// way to it failed.
func isBadKnock(err error) bool {
	return identity.IsBadToken(err) || slices.Contains([]micronet.Kind{micronet.Unauthorized, micronet.Invalid}, micronet.KindOf(err))
}

// Serve talks to one guest.
func (g *gate) Serve(_ context.Context, guest tunnel.GuestConn) {
	a := g.authority.Load()
	if a == nil {
		return
	}
	from, admit := sourceOf(guest.RemoteAddr()), a.admit
	heard := g.knocks.open(from, time.Now())
	if !heard {
		g.dropped("too-many-bad-tokens")
		admit = func(identity.JoinRequest) (identity.JoinAnswer, error) {
			return identity.JoinAnswer{}, micronet.E("admit", micronet.Overloaded, "too many tokens that came from this address were not good").
				WithFix("wait a minute, then use a token that is")
		}
	}
	err := g.poison.guard(micronet.NodeID{}, "join", func() error {
		return identity.ServeJoin(guest, guest.Exporter, a.issuer.Load(), admit)
	})
	switch {
	case isBadKnock(err):
		g.knocks.bad(from, time.Now())
		g.dropped("bad-token")
	case err != nil && heard:
		g.dropped("not-admitted")
	}
	if err != nil && g.quiet.allow("guest") {
		g.env.Log.Info("a guest was not admitted", "addr", guest.RemoteAddr().String(), "err", err)
	}
}

func (g *gate) dropped(why string) {
	g.env.Events.PacketDropped(micronet.PacketDrop{Where: "join", Why: why})
}
