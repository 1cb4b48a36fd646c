package node

import (
	"context"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

const (
	// vouchAfter is how old a refusal must be until the certificate of the owner is asked for: those of the living come
	// with membership. That tells nobody of who died before, and without their certificates a newcomer would refuse their
	// records for as long as the others keep them.
	vouchAfter = time.Second
	// maxVouched is how many certificates are asked for, and told, at once.
	maxVouched = 48
)

// vouchers are the certificates of nodes, as far as they are known.
type vouchers struct {
	Credentials [][]byte `json:"credentials"`
}

// askVouchers asks a peer, which holds records that were refused here, for the certificates of their owners.
func (l *life) askVouchers(ctx context.Context, peer micronet.NodeID) error {
	var asked []string
	for _, id := range l.records.unvouched(vouchAfter) {
		if len(asked) < maxVouched && !l.contacts.isKnown(id) {
			asked = append(asked, id.String())
		}
	}
	if len(asked) == 0 {
		return nil
	}
	var answer vouchers
	if err := l.ask(ctx, peer, controlRequest{Verb: verbVouch, Nodes: asked}, &answer); err != nil {
		return err
	}
	for _, raw := range answer.Credentials[:min(len(answer.Credentials), maxVouched)] {
		cred, p, err := l.pass.verify(l.env, raw)
		if err != nil {
			return micronet.E("node.vouch", micronet.Unauthorized, "%w", err).WithPeer(peer)
		}
		if l.acquaint(cred, raw) {
			l.addPeer(p)
		}
	}
	return nil
}

// serveVouch tells the certificates of nodes that a peer has never met.
func (l *life) serveVouch(in tunnel.Inbound, req controlRequest) {
	answer := vouchers{Credentials: [][]byte{}}
	for _, text := range req.Nodes[:min(len(req.Nodes), maxVouched)] {
		id, err := micronet.ParseNodeID(text)
		if err != nil {
			l.deny(in, "malformed", micronet.Invalid, "the request names no nodes")
			return
		}
		if p, ok := l.contacts.remembers(id); ok && len(p.Credential) > 0 {
			answer.Credentials = append(answer.Credentials, p.Credential)
		}
	}
	l.reply(in, answer)
}
