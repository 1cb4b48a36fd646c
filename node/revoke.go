package node

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// Revoke ends a node's part in the cluster for good.
func (b backend) Revoke(ctx context.Context, r api.Revocation) (api.Revoked, error) {
	const op = "node revoke"
	l, a := b.l, b.l.gate.authority.Load()
	if a == nil {
		return api.Revoked{}, b.noAuthority(op)
	}
	id, name, err := l.whom(a, r.Node)
	if err == nil {
		err = l.mayRevoke(op, id, name, &r)
	}
	if err != nil {
		return api.Revoked{}, err
	}
	o := l.ousterOf(a, id, name, r.Disavow)
	if err := o.mayKeep(op, r.Force); err != nil {
		return api.Revoked{}, err
	}
	if err := l.revoke(ctx, a, o, r.Reason); err != nil {
		return api.Revoked{}, err
	}
	return api.Revoked{ID: id.String(), Name: name, Warning: o.warning()}, nil
}

// revoke says as this authority that a key counts for nothing any more.
func (l *life) revoke(ctx context.Context, a *authority, o ouster, reason string) error {
	word := identity.Revocation{Name: o.name, Reason: reason, When: l.env.Wall()}
	body, err := word.Body()
	if err != nil {
		return err
	}
	if err := a.noteRevocation(o.id, o.name); err != nil {
		return err
	}
	kind := identity.StatementRevocation
	if o.disavow {
		kind = identity.StatementDisavowal
	}
	return l.castOff(ctx, a, o.id, o.disavow, func(clock identity.Clock) ([]byte, error) {
		return a.issuer.Load().State(l.env.Wall(), identity.Statement{Kind: kind, Subject: o.id[:], Clock: clock, Body: body})
	})
}

// Revoke ends another node's part in the cluster for good, as `micro-net node revoke` does: node is its name or
// the beginning of its id. It waits until this node is ready. The error is Refused when this node is no
// authority of its cluster, and where it has the root key and the node has said something as an authority: whether that
// is to count on is for people to say.
func (n *Node) Revoke(ctx context.Context, node, reason string) error {
	l, err := n.ready(ctx)
	if err != nil {
		return err
	}
	_, err = backend{l}.Revoke(ctx, api.Revocation{Node: node, Reason: reason})
	return err
}

// mayRevoke refuses what nobody can want. The root's word goes further than that of another authority.
func (l *life) mayRevoke(op string, id micronet.NodeID, name string, r *api.Revocation) error {
	old, done := l.outcasts.Load().revoked[id]
	if done && (old.Disavowed || !r.Disavow) && (old.byRoot || l.pass.root.Load() == nil) {
		return micronet.E(op, micronet.Refused, "%s (%s) was revoked already, on %s", name, id.Short(), old.Since.Time().Format(time.RFC3339))
	}
	if id != l.self {
		return nil
	}
	if l.pass.root.Load() == nil {
		return micronet.E(op, micronet.Refused, "this node cannot revoke its own key").WithFix("run it on another authority, or run `micro-net leave` here")
	}
	if r.Force {
		return nil
	}
	e := micronet.E(op, micronet.Refused, "this is the node itself: all others would refuse it")
	if l.isLastAuthority() {
		e = micronet.E(op, micronet.Refused, "this is the node itself, and the only authority: all others would refuse it, and nobody could sign for the cluster any more")
	}
	return e.WithFix("run `micro-net leave` to take it out of the cluster, or use --force")
}

// Forget frees the name of a dead node.
func (b backend) Forget(ctx context.Context, r api.Forgetting) (api.Revoked, error) {
	const op = "node forget"
	l, a := b.l, b.l.gate.authority.Load()
	if a == nil {
		return api.Revoked{}, b.noAuthority(op)
	}
	id, name, err := l.whom(a, r.Node)
	if err != nil {
		return api.Revoked{}, err
	}
	if r, revoked := l.outcasts.Load().revoked[id]; revoked {
		return api.Revoked{}, micronet.E(op, micronet.Refused, "%s", r.text(l, name)).
			WithFix("nothing is left to do: its name is free, and its key is never welcome again")
	}
	epoch := l.records.version(id).Epoch
	if n := l.view.Load().byID[id]; n != nil {
		if n.Status.Serving() {
			return api.Revoked{}, micronet.E(op, micronet.Refused, "%s (%s) is %s", name, id.Short(), n.Status).
				WithFix("run `micro-net leave` there, or `micro-net node revoke %s` to shut it out for good", name)
		}
		epoch = max(epoch, n.Epoch)
	}
	if err := l.declare(ctx, op, identity.StatementForgotten, id[:], binary.BigEndian.AppendUint64(nil, epoch)); err != nil {
		return api.Revoked{}, err
	}
	return api.Revoked{ID: id.String(), Name: name}, nil
}

// whom resolves whom a verb is about: as all verbs do, and also by a name that this authority gave to a node
// that nobody remembers any more, or by the whole id of one.
func (l *life) whom(a *authority, word string) (id micronet.NodeID, name string, err error) {
	n, err := l.view.Load().find(word)
	if err == nil {
		return n.ID, n.Name, nil
	}
	if micronet.KindOf(err) != micronet.NotFound {
		return id, "", err
	}
	if id, given := a.given(word); given {
		return id, word, nil
	}
	if id, parseErr := micronet.ParseNodeID(word); parseErr == nil {
		return id, l.contacts.name(id), nil
	}
	return id, "", err
}

// given is to whom this authority has given a name.
func (a *authority) given(name string) (micronet.NodeID, bool) {
	a.lock()
	defer a.unlock()
	id, given := a.names.Names[name]
	return id, given
}

// noteRevocation writes a revocation that is about to leave into the log.
func (a *authority) noteRevocation(id micronet.NodeID, name string) error {
	a.lock()
	defer a.unlock()
	return a.log.note(identity.Issuance{Time: a.env.Wall(), What: identity.IssuedRevocation, Node: id, Name: name})
}

// text tells of a revocation: who was revoked, by whom, when and why.
func (r *revocation) text(l *life, name string) string {
	return fmt.Sprintf("%s was revoked by %s on %s", name, l.signerName(r.by), r.when())
}

// when tells when a revocation was made, and why.
func (r *revocation) when() string {
	at := r.Since.Time().Format(time.RFC3339)
	if r.Reason == "" {
		return at
	}
	return fmt.Sprintf("%s: %q", at, r.Reason)
}

// signerName names who has signed a statement; zero is the root key, wherever that was then.
func (l *life) signerName(id micronet.NodeID) string {
	if !id.IsZero() {
		return l.node.nameOf(id)
	}
	if l.pass.root.Load() != nil {
		return "the root key, which this node has,"
	}
	if l.view.Load() != nil {
		if holders := l.keepers(); len(holders) > 0 {
			return "the root key, which " + l.node.nameOf(holders[0]) + " has,"
		}
	}
	return "the root key of the cluster"
}

const (
	revokedFix     = "run `micro-net leave`, which gives the revoked key up and ends the daemon; then join as a new node, `micro-net up --join @token`"
	revokedRootFix = "the root key of the cluster is here and still counts, and leaving would destroy it: bring it to another node, " +
		"`micro-net node root export FILE` here and `micro-net node root import FILE` there"
)

// revokedWarning says that this node's own key was revoked.
func (l *life) revokedWarning() (api.Warning, bool) {
	r, revoked := l.outcasts.Load().revoked[l.self]
	if !revoked {
		return api.Warning{}, false
	}
	return api.Warning{Code: "revoked", Text: r.text(l, "this node") + "; all others refuse its key for good", Fix: l.fixOf(&r)}, true
}

// fixOf says what to do after the revocation of this node's own key. Who has the root key can take the word of
// the signer back; without this key nobody can.
func (l *life) fixOf(r *revocation) string {
	switch {
	case l.pass.root.Load() == nil:
		return revokedFix
	case r.byRoot:
		return revokedRootFix + "; then " + revokedFix
	}
	return fmt.Sprintf("%s; if %s was not to do this, run `micro-net node revoke %s --disavow` there, which takes it back; otherwise %s",
		revokedRootFix, l.signerName(r.by), r.by, revokedFix)
}

// revoked is the error of what a node cannot do whose key was revoked, nil for all others.
func (l *life) revoked(op string) error {
	w, revoked := l.revokedWarning()
	if !revoked {
		return nil
	}
	return micronet.E(op, micronet.Refused, "%s", w.Text).WithFix("%s", w.Fix)
}
