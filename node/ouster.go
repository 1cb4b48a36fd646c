package node

import (
	"strings"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
)

// ouster is what is known of a node that is about to be revoked.
type ouster struct {
	id      micronet.NodeID
	name    string
	said    []gossip.Statement // what it has said as an authority and counts
	signs   bool               // it is one, or was
	disavow bool               // what it has said and issued is to count no more
	root    bool               // the root says so
	kept    bool               // what it had said was repeated before
}

// ousterOf is what is known of a node. Contacts forget who was revoked, its words stay.
func (l *life) ousterOf(a *authority, id micronet.NodeID, name string, disavow bool) ouster {
	said := repeatable(l.statements.held.Load(), id)
	return ouster{
		id: id, name: name, said: said, signs: len(said) > 0 || l.contacts.isAuthority(id) || (disavow && l.outcasts.Load().isRevoked(id)), disavow: disavow,
		root: a.issuer.Load().IsRoot(), kept: l.outcasts.Load().revoked[id].byRoot,
	}
}

// mayKeep refuses to make the words of who may be a thief the root's own without a word about it.
func (o *ouster) mayKeep(op string, force bool) error {
	if !o.root || o.disavow || force || len(o.said) == 0 {
		return nil
	}
	return micronet.E(op, micronet.Refused, "%s has made statements for the cluster, and all of these would count on in the name of the root, for good: %s",
		o.name, tellKinds(o.said)).WithPeer(o.id).
		WithFix("use --disavow if its key may be in other hands: nothing that it has said or issued counts then; or --force to keep what it said")
}

// warning says what follows from the revocation of a node that could sign.
func (o *ouster) warning() string {
	if !o.signs {
		return ""
	}
	return o.name + " could sign for the cluster; " + o.consequence()
}

func (o *ouster) consequence() string {
	const rejoin = "whoever has a certificate from it must join again"
	const elsewhere = "; its key can still say what it dates back: revoke it again where the root key is"
	signed := "what it signed before now still counts; if its key may be in other hands, end that: `micro-net node revoke " + o.id.Short() + " --disavow`"
	switch {
	case o.disavow && o.kept:
		return rejoin + "; what it had said before counts on in the name of the root, which has repeated it: look at `micro-net policy list` and `micro-net node grants`"
	case o.disavow && o.root:
		return rejoin + ", and nothing that it has said counts: its policies, grants and revocations are to be made again"
	case o.disavow:
		return rejoin + elsewhere
	case len(o.said) > 0 && o.root:
		return "what it has said counts on in the name of the root: " + tellKinds(o.said) + "; and so do the certificates that it has issued, unless you revoke it again with --disavow"
	case o.root:
		return signed
	}
	return signed + elsewhere
}

// tellKinds says how many statements of which kinds there are.
func tellKinds(list []gossip.Statement) string {
	count := map[identity.StatementKind]int{}
	for i := range list {
		count[identity.StatementKind(list[i].Kind)]++
	}
	var parts []string
	tell := func(one, many string, kinds ...identity.StatementKind) {
		n := 0
		for _, k := range kinds {
			n += count[k]
		}
		if n > 0 {
			parts = append(parts, plural(n, one, many))
		}
	}
	tell("revocation", "revocations", identity.StatementRevocation, identity.StatementDisavowal)
	tell("policy", "policies", identity.StatementPolicy)
	tell("grant", "grants", identity.StatementGrant)
	tell("setting", "settings", identity.StatementSetting)
	tell("forgotten node", "forgotten nodes", identity.StatementForgotten)
	return strings.Join(parts, ", ")
}
