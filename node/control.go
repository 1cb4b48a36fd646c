package node

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

const (
	// maxControl bounds a request between daemons.
	maxControl = 64 << 10
	// controlTime bounds one exchange.
	controlTime = 5 * time.Second
)

// controlRequest is one question of a daemon to another, a JSON object on a stream of its own.
// Who asks is known from the tunnel. Unknown fields are ignored, unknown verbs refused.
type controlRequest struct {
	Verb      string   `json:"verb"`
	Promotion []byte   `json:"promotion,omitempty"` // as identity.Promotion.Marshal writes it
	Nodes     []string `json:"nodes,omitempty"`     // their ids
}

const (
	// verbRelease gives the certificate back: the sender left for good and its name is free.
	verbRelease = "release"
	// verbClock asks for the time; the answer is a clockReading.
	verbClock = "clock"
	// verbPoke asks for packets from a port that the sender has heard nothing from, see tunnel.Underlay.Poke.
	verbPoke = "poke"
	// verbVouch asks for the certificates of nodes; the answer are vouchers.
	verbVouch = "vouch"
	// verbRenew asks for a new certificate for the sender's key and present name; the answer is a
	// renewal.
	verbRenew = "renew"
	// verbPromote gives the receiver a promotion, by which it becomes an authority.
	verbPromote = "promote"
	// verbExtend asks for a promotion that takes the place of the one that is sent; the answer is an
	// extension.
	verbExtend = "extend"
)

// serveControl answers a request of a peer.
func (l *life) serveControl(ctx context.Context, in tunnel.Inbound) {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	stop := context.AfterFunc(ctx, in.Abort)
	defer stop()
	var req controlRequest
	if err := json.NewDecoder(io.LimitReader(in, maxControl)).Decode(&req); err != nil {
		l.deny(in, "malformed", micronet.Invalid, "the request is no JSON object")
		return
	}
	switch req.Verb {
	case verbRelease:
		l.serveRelease(in)
	case verbRenew:
		l.serveRenew(in)
	case verbPromote:
		l.servePromote(ctx, in, req)
	case verbExtend:
		l.serveExtend(in, req)
	case verbVouch:
		l.serveVouch(in, req)
	case verbPoke:
		l.servePoke(ctx, in)
	case verbClock:
		l.reply(in, clockReading{UnixMs: l.env.Wall().UnixMilli()})
	default:
		l.deny(in, "unknown-verb", micronet.Invalid, "this version does not know the request "+req.Verb)
	}
}

// deny counts a request that a peer may not make, and refuses it. A peer that does not hear the answer has
// gone, and needs none.
func (l *life) deny(in tunnel.Inbound, why string, kind micronet.Kind, reason string) {
	l.env.Events.PacketDropped(micronet.PacketDrop{Where: "control", Why: why, Peer: in.From()})
	_ = in.Refuse(kind, reason)
}

func (l *life) serveRelease(in tunnel.Inbound) {
	a := l.gate.authority.Load()
	if a == nil {
		l.deny(in, "no-authority", micronet.Refused, "this node is no authority")
		return
	}
	if err := a.release(in.From()); err != nil {
		l.report("node.release", err)
		_ = in.Refuse(micronet.Internal, "the name could not be released")
		return
	}
	l.reply(in, struct{}{})
}

// serveRenew issues a new certificate to who asks. Key and name are those that this node knows from the
// tunnel and from the peer's verified credential: the request itself says nothing.
func (l *life) serveRenew(in tunnel.Inbound) {
	a := l.gate.authority.Load()
	if a == nil {
		l.deny(in, "no-authority", micronet.Refused, "this node is no authority")
		return
	}
	m, err := l.renewFor(a, in.From())
	if err != nil {
		l.report("node.certificate", err)
		_ = in.Refuse(micronet.KindOf(err), cause(err))
		return
	}
	l.reply(in, m)
}

func (l *life) renewFor(a *authority, id micronet.NodeID) (renewal, error) {
	name := l.contacts.name(id)
	if name == "" {
		return renewal{}, micronet.E("node.certificate", micronet.Unreachable, "this node does not know the asker's name yet").WithPeer(id)
	}
	// Tunnels stay when a certificate is disavowed: it must not buy one that counts.
	if err := l.contacts.check(id, l.pass.trust); errors.Is(err, identity.ErrRevoked) {
		return renewal{}, micronet.E("node.certificate", micronet.Refused, "%w", err).WithPeer(id).WithFix("join anew with a token: `micro-net up --join TOKEN`")
	}
	if l.leadsBack(a, l.contacts.origin(id), l.contacts.renewAfter(id)) {
		return renewal{}, newRootAway("node.certificate").WithPeer(id)
	}
	m, err := l.issueFor(a, id, name)
	if err != nil {
		return renewal{}, err
	}
	raw, err := m.Marshal()
	return renewal{Membership: raw}, err
}

// issueFor renews for a member. Of nodes that have one name the newest keeps it, whatever this authority
// has in its book: another one may have given it out while neither knew of the other.
func (l *life) issueFor(a *authority, id micronet.NodeID, name string) (identity.Membership, error) {
	s := l.view.Load().namesakesOf(name, "")
	if s == nil || !s.has(id) || s.newest() == nil {
		return a.renew(id, name, false)
	}
	if s.newest().ID != id {
		return identity.Membership{}, nameGone(name)
	}
	return a.renew(id, name, true)
}

// nameGone refuses to renew for a node whose name was given to another one.
func nameGone(name string) error {
	return micronet.E("node.certificate", micronet.Refused, "the name %q belongs to another node now", name).
		WithFix("run `micro-net leave` there and join again under another name")
}

// reply accepts a request and answers it.
func (l *life) reply(in tunnel.Inbound, answer any) {
	if in.Accept() != nil {
		return
	}
	if err := json.NewEncoder(in).Encode(answer); err != nil {
		in.Abort()
		return
	}
	l.report("node.control", in.Close())
}

// ask sends a request, waits for its acceptance and reads the answer, if one is wanted.
func (l *life) ask(ctx context.Context, to micronet.NodeID, req controlRequest, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	s, err := l.tun.Open(ctx, to, tunnel.Opening{Purpose: tunnel.PurposeControl})
	if err != nil {
		return err
	}
	defer s.Abort()
	// A peer that reads no more may have answered before it saw the end of the request, which ends with its JSON.
	if err := send(s, req); err != nil && micronet.KindOf(err) != micronet.Closed {
		return err
	}
	if err := s.Answered(ctx); err != nil {
		return err
	}
	if answer == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, s.Abort)
	defer stop()
	return json.NewDecoder(io.LimitReader(s, maxControl)).Decode(answer)
}

// send writes a request, and ends it.
func send(s tunnel.Outbound, req controlRequest) error {
	if err := json.NewEncoder(s).Encode(req); err != nil {
		return err
	}
	return s.CloseWrite()
}

// authorities lists the live nodes that can sign, as they say.
func (l *life) authorities() []micronet.NodeID {
	var out []micronet.NodeID
	for _, id := range l.alive() {
		if l.contacts.isAuthority(id) {
			out = append(out, id)
		}
	}
	return out
}

// signers are the authorities, those first that have shown that they are: who only says so must not come before them.
func (l *life) signers() []micronet.NodeID {
	var shown, said []micronet.NodeID
	rights := l.rights()
	for _, id := range l.authorities() {
		if rights[id] != 0 {
			shown = append(shown, id)
		} else {
			said = append(said, id)
		}
	}
	return append(shown, said...)
}

// leave ends this node's membership for good: the certificate is deleted and given back to an
// authority, everybody is told, and the life ends with errLeft. The warning says who could not be
// told, and what follows from it.
func (l *life) leave(ctx context.Context, force bool) (warning string, err error) {
	if others := len(l.alive()); others > 0 && !force && l.isLastAuthority() {
		return "", micronet.E("leave", micronet.Refused, "this node is the only authority of %q: without it nobody could join %s any more",
			l.pass.member().ClusterName, plural(others, "other node", "other nodes")).
			WithFix("promote another node first: `micro-net node promote NAME`; or let the others leave first, or use --force")
	}
	if err := l.mayLoseRoot(); err != nil && !force {
		return "", err
	}
	lost, revoked := l.rootWarning(), l.outcasts.Load().isRevoked(l.self)
	// Without its membership the node has left, whatever happens to the rest.
	if err := l.giveUp(ctx, func() error { return quit(l.node.disk) }); err != nil {
		return "", err
	}
	l.contacts.drop()
	l.report("node.leave", forgetCluster(l.node.disk))
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if revoked { // nobody listens to it any more, and its name is free
		l.stop(errLeft)
		return lost, nil
	}
	freed := l.giveBack(bye)
	heard := l.sayGoodbye(bye)
	l.stop(errLeft)
	return cmp.Or(l.unheard(freed, heard), lost), nil
}

// rootWarning says that the cluster's root key goes with this node, "" where it does not.
func (l *life) rootWarning() string {
	if l.pass.root.Load() == nil || l.isRootKept() || len(l.alive()) == 0 || len(l.keepers()) > 0 {
		return ""
	}
	return "the root key of the cluster went with this node and was never exported: no other node can be promoted any more"
}

// mayLoseRoot refuses to destroy the only root key. Where somebody has revoked this node, which any authority can, what
// others say of copies is not believed: they may be who has done it.
func (l *life) mayLoseRoot() error {
	r, revoked := l.outcasts.Load().revoked[l.self]
	switch {
	case !revoked && l.rootWarning() != "":
		return micronet.E("leave", micronet.Refused, "the root key of %q is on this host alone and was never exported: no other node could be promoted any more",
			l.pass.member().ClusterName).WithFix("export it first, `micro-net node root export FILE`, or use --force")
	case !revoked || l.pass.root.Load() == nil || l.isRootKept():
		return nil
	}
	return micronet.E("leave", micronet.Refused, "the root key of the cluster is here and was never exported: it would be gone, and nobody could revoke who has revoked this node").
		WithFix("%s; or use --force", l.fixOf(&r))
}

// giveUp does what takes the cluster out of the data folder. Nothing puts back what belongs to it.
func (l *life) giveUp(ctx context.Context, remove func() error) error {
	return l.pass.giveUp(ctx, func() error { return l.statements.giveUp(remove) })
}

// unheard is the warning of a goodbye that no authority has heard. An authority itself needs none:
// its cluster ends with it.
func (l *life) unheard(freed bool, heard int) string {
	if freed || l.gate.authority.Load() != nil {
		return ""
	}
	who := "nobody was told"
	if heard > 0 {
		who = "no authority of the cluster was told"
	}
	return fmt.Sprintf("%s; the name stays taken until `micro-net invite --name %s` gives it to another", who, l.name)
}

// maxGiveBack bounds the authorities that are told at once.
const maxGiveBack = 16

// giveBack returns the certificate to the authorities, each of which has a book of its own: that frees the name. It
// reports whether one has taken it. Where none answers, the name stays taken.
func (l *life) giveBack(ctx context.Context) bool {
	var told sync.WaitGroup
	var freed atomic.Bool
	ids := l.signers()
	for _, id := range ids[:min(len(ids), maxGiveBack)] {
		told.Go(func() {
			if err := l.ask(ctx, id, controlRequest{Verb: verbRelease}, nil); err != nil {
				l.report("node.leave", err)
				return
			}
			freed.Store(true)
		})
	}
	told.Wait()
	return freed.Load()
}

// move joins another cluster. Only a node that is alone may: others would lose it unasked.
func (l *life) move(ctx context.Context, text string) error {
	token, err := identity.ParseToken(text, identity.JoinToken)
	if err != nil {
		return err
	}
	if err := l.revoked("join"); err != nil {
		return err
	}
	if token.Cluster == l.pass.trust.Cluster() {
		return micronet.E("join", micronet.Refused, "this node is a member of %q already", token.ClusterName)
	}
	if n := len(l.contacts.remembered()); n > 0 {
		return micronet.E("join", micronet.Refused, "this node's cluster %q has other nodes (%d)", l.pass.member().ClusterName, n).
			WithFix("`micro-net leave` first, then `micro-net up --join @token`")
	}
	if !l.node.disk.keeps() {
		return micronet.E("join", micronet.Refused, "this daemon keeps nothing on disk and cannot move").
			WithFix("start it with `micro-net up --join @token`")
	}
	err = l.giveUp(ctx, func() error {
		_, _, err := l.join(ctx, token)
		return err
	})
	if err != nil {
		return err
	}
	l.env.Log.Info("moving to another cluster", "cluster", token.ClusterName)
	l.contacts.drop()
	l.stop(errMoved)
	return nil
}
