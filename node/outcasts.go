package node

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

// outcasts are the nodes of which an authority has said that they are none any more: an immutable value.
type outcasts struct {
	revoked   map[micronet.NodeID]revocation
	forgotten map[micronet.NodeID]uint64 // the epoch in which they were dead
}

// revocation is that of one key.
type revocation struct {
	identity.Revoked
	identity.Revocation                 // the oldest one's
	by                  micronet.NodeID // who signed that; zero: the root key
	raw                 []byte          // of that
	byRoot              bool            // a root has revoked it
}

// isRevoked reports whether a key counts for nothing any more.
func (o *outcasts) isRevoked(id micronet.NodeID) bool {
	_, revoked := o.revoked[id]
	return revoked
}

// isForgotten reports whether a node was forgotten in an epoch, or in a later one. It has come back otherwise.
func (o *outcasts) isForgotten(id micronet.NodeID, epoch uint64) bool {
	last, forgotten := o.forgotten[id]
	return forgotten && epoch <= last
}

// epochSize is the body of identity.StatementForgotten: the epoch of the node when it was dead.
const epochSize = 8

// outcasts works out what the statements held say.
func (s *statements) outcasts() *outcasts {
	held := s.held.Load()
	o := &outcasts{revoked: map[micronet.NodeID]revocation{}, forgotten: map[micronet.NodeID]uint64{}}
	for _, st := range held.Revocations() {
		o.revoke(&st)
	}
	for _, st := range held.Of(uint8(identity.StatementForgotten)) {
		if full, err := identity.ParseStatement(st.Raw); err == nil && len(full.Subject) == len(micronet.NodeID{}) && len(full.Body) >= epochSize {
			o.forgotten[micronet.NodeID(full.Subject)] = binary.BigEndian.Uint64(full.Body)
		}
	}
	return o
}

// revoke takes a revocation, of which the oldest of a key comes first.
func (o *outcasts) revoke(st *gossip.Statement) {
	id := micronet.NodeID([]byte(st.Subject))
	r, known := o.revoked[id]
	if !known {
		r.Since, r.raw = identity.Clock(st.Clock), st.Raw
		if !st.Root {
			r.by = st.Issuer
		}
		if full, err := identity.ParseStatement(st.Raw); err == nil {
			r.Revocation, _ = identity.ParseRevocation(full.Body) // it was read when it was verified
		}
	}
	r.byRoot = r.byRoot || st.Root
	r.Disavowed = r.Disavowed || identity.StatementKind(st.Kind) == identity.StatementDisavowal
	o.revoked[id] = r
}

// keys is what the trust must know.
func (o *outcasts) keys() map[micronet.NodeID]identity.Revoked {
	keys := make(map[micronet.NodeID]identity.Revoked, len(o.revoked))
	for id, r := range o.revoked {
		keys[id] = r.Revoked
	}
	return keys
}

// lately lists the revoked whom people may still look for, sorted.
func (o *outcasts) lately(wall time.Time) (out []micronet.NodeID) {
	for id, r := range o.revoked {
		if wall.Sub(r.Since.Time()).Abs() < gossip.DefaultKeep {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, micronet.NodeID.Compare)
	return out
}

// restateOutcasts refuses those that were revoked, and cuts what they had here; those that were forgotten and
// have not come back are shown no more.
func (l *life) restateOutcasts() {
	before, now := l.outcasts.Load(), l.statements.outcasts()
	keys := now.keys()
	l.pass.trust.SetRevoked(keys)
	l.outcasts.Store(now)
	if before.isRevoked(l.self) && !now.isRevoked(l.self) {
		l.report("node.restored", l.pass.inTurn(context.Background(), l.comeBack))
	}
	for _, id := range slices.SortedFunc(maps.Keys(now.revoked), micronet.NodeID.Compare) {
		if !before.isRevoked(id) {
			l.castOut(id, now.revoked[id])
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(now.forgotten), micronet.NodeID.Compare) {
		if before.forgotten[id] != now.forgotten[id] && !l.knowsAlive(id) && l.contacts.epoch(id) <= now.forgotten[id] {
			l.contacts.forget(id)
		}
	}
	if !maps.Equal(before.keys(), keys) {
		l.withhold()
	}
	l.look()
}

// withhold drops the records of those whose certificates count no more with the word of who issued them. They stay
// members in doubt: one that gets another certificate is heard again.
func (l *life) withhold() {
	entries := l.records.entries()
	for i := range entries {
		if id := entries[i].Document.Owner; l.isVoid(id) {
			l.env.Log.Warn("the services of a node are not used: who issued its certificate was revoked", "node", l.contacts.name(id), "peer", id.Short())
			l.records.drop(id)
		}
	}
}

// isVoid reports whether who issued the newest certificate of a node was revoked, so that it does not count.
func (l *life) isVoid(id micronet.NodeID) bool {
	return len(l.outcasts.Load().revoked) > 0 && errors.Is(l.contacts.check(id, l.pass.trust), identity.ErrRevoked)
}

// castOut ends all that a node whose key was revoked has here, once the key is refused. Who is there to hear
// it is told so first.
func (l *life) castOut(id micronet.NodeID, r revocation) {
	if id == l.self {
		l.castOutSelf()
		return
	}
	l.env.Log.Warn("a node was revoked", "node", r.Name, "peer", id.Short(), "reason", r.Reason)
	if time.Since(l.under.Heard(id)) < freshFor {
		l.report("node.revoked", l.under.Send(id, tunnel.ChannelStatement, r.raw))
	}
	l.sever(id)
	l.records.drop(id)
	l.contacts.forget(id)
}

// sever cuts the tunnel and all flows of a node.
func (l *life) sever(id micronet.NodeID) {
	l.tun.Disconnect(id, "revoked")
	l.flows.CloseNode(id)
	l.under.RemovePeer(id)
}

// castOutSelf learns that this node's own key was revoked. What it signs does not count any more.
func (l *life) castOutSelf() {
	l.gate.authority.Store(nil)
	if w, some := l.revokedWarning(); some {
		l.env.Log.Error(w.Text, "code", w.Code, "fix", w.Fix)
	}
}

// comeBack learns that this node's own key is not revoked any more: the root has taken back what the signer said. The
// caller has the passport's turn.
func (l *life) comeBack() error {
	if l.pass.gone || l.pass.trust.Revoked(l.self) {
		return nil
	}
	l.env.Log.Warn("the key of this node counts again: what revoked it was taken back")
	return l.resign()
}

// sweep cuts tunnels of the revoked that came up in the moment in which their keys were still good, and those of
// nodes whose certificates were disavowed: they may come back with others.
func (l *life) sweep() {
	o := l.outcasts.Load()
	if len(o.revoked) == 0 {
		return
	}
	for _, c := range l.tun.Connections() {
		switch {
		case o.isRevoked(c.Peer):
			l.sever(c.Peer)
		case l.isVoid(c.Peer):
			l.tun.Disconnect(c.Peer, "its certificate was disavowed")
			l.flows.CloseNode(c.Peer)
		}
	}
}

// addPeer tells the path layer of a node, unless it was revoked meanwhile.
func (l *life) addPeer(p tunnel.Peer) {
	l.under.AddPeer(p)
	if l.pass.trust.Revoked(p.ID) {
		l.under.RemovePeer(p.ID)
	}
}

// knowsAlive is isAlive for questions that can come before the first view.
func (l *life) knowsAlive(id micronet.NodeID) bool { return l.view.Load() != nil && l.isAlive(id) }

// isLost reports whether a node has lost its name: it was revoked, or forgotten and has not come back.
func (l *life) isLost(id micronet.NodeID) bool {
	o := l.outcasts.Load()
	return o.isRevoked(id) || (o.isForgotten(id, max(l.records.version(id).Epoch, l.contacts.epoch(id))) && !l.knowsAlive(id))
}

// mayPublish refuses the records of those who were revoked, of those whose certificate was taken back with its issuer,
// and of those whose certificate was not seen: anybody can make keys and sign with them.
func (l *life) mayPublish(owner micronet.NodeID) error {
	if l.pass.trust.Revoked(owner) {
		return micronet.E("node.records", micronet.Unauthorized, "its owner was revoked").WithPeer(owner)
	}
	if !l.contacts.isKnown(owner) {
		return micronet.E("node.records", micronet.Unauthorized, "no certificate of its owner has been seen").WithPeer(owner)
	}
	if l.isVoid(owner) {
		return micronet.E("node.records", micronet.Unauthorized, "who issued the certificate of its owner was revoked").WithPeer(owner)
	}
	return nil
}
