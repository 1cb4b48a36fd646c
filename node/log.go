package node

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

// placeOf is where packets go, or went: an address, "relay" for that of one, "none" for nowhere.
func placeOf(a netip.AddrPort) string {
	switch {
	case !a.IsValid():
		return "none"
	case micronet.IsIdentityAddr(a.Addr()):
		return "relay"
	}
	return a.String()
}

// relayOf is over whom packets go now, "" for nobody.
func relayOf(c micronet.PathChange) string {
	if c.Relay.IsZero() {
		return ""
	}
	return c.Relay.Short()
}

// logEvents writes what an operator wants to read. Packets and flows are counted, not logged.
func logEvents(log *slog.Logger) *micronet.Events {
	quiet := newLimiter()
	return &micronet.Events{
		NodeChanged: func(c micronet.NodeChange) {
			// A member can come and go as often as it likes; what it is now, status tells.
			if quiet.allow("node " + c.Node.String()) {
				log.Info("node "+string(c.To), "node", c.Name, "peer", c.Node.Short(), "was", string(c.From))
			}
		},
		PathChanged: func(c micronet.PathChange) {
			if !c.To.IsValid() && c.Reason == tunnel.PathLost && quiet.allow("path "+c.Peer.String()) {
				log.Info("path lost: nothing that was tried leads there", "peer", c.Peer.Short(), "was", placeOf(c.From), "fix", "micro-net trace "+c.Peer.Short())
			}
			log.Debug("path changed", "peer", c.Peer.Short(), "from", placeOf(c.From), "to", placeOf(c.To), "relay", relayOf(c), "tcp", c.TCP, "reason", c.Reason)
		},
		TunnelChanged: func(c micronet.TunnelChange) {
			log.Debug("tunnel changed", "peer", c.Peer.Short(), "up", c.Up, "reason", c.Reason)
		},
		RecordRefused: func(r micronet.RecordRefusal) {
			// A document may come before its owner's certificate, and is asked for again then; see records.expire.
			if r.Reason == string(gossip.ReasonUnadmitted) || !quiet.allow("record "+r.Reason) {
				return
			}
			args := []any{"reason", r.Reason}
			if !r.Owner.IsZero() { // nobody is to blame otherwise
				args = append(args, "peer", r.Owner.Short())
			}
			log.Warn("a record was refused", args...)
		},
		InstanceEjected: func(e micronet.Ejection) {
			log.Info("instance ejected", "svc", e.Service, "instance", e.Key.ID, "peer", e.Key.Node.Short(), "dur", e.For, "reason", e.Reason)
		},
		HealthChanged: func(h micronet.HealthChange) {
			log.Info("health changed", "svc", h.Service, "instance", h.ID, "from", string(h.From), "to", string(h.To), "output", firstLine(h.Output))
		},
		PolicyApplied: func(j micronet.Judgement) {
			if !quiet.allow("policy " + string(j.Caller.Node[:])) {
				return
			}
			what := "a policy refused a connection"
			if j.Audited {
				what = "an audit policy would have refused a connection"
			}
			log.Info(what, "policy", j.Rule, "svc", j.Service, "node", j.Caller.Name, "peer", j.Caller.Node.Short(), "caller", j.Caller.Service)
		},
		BackgroundError: func(op string, err error) {
			if quiet.allow(op) {
				log.Warn("background work failed", "op", op, "err", err)
			}
		},
	}
}

// limiter lets one line per key pass in a second, so that no peer can flood the log.
type limiter struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// maxLimited bounds the keys, which are constants of ours and peers. Beyond it all are forgotten, so that
// each may tell something once more.
const maxLimited = 8192

func newLimiter() *limiter { return &limiter{last: map[string]time.Time{}} }

func (l *limiter) allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Sub(l.last[key]) < time.Second {
		return false
	}
	if len(l.last) >= maxLimited {
		clear(l.last)
	}
	l.last[key] = now
	return true
}

// plural writes a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
