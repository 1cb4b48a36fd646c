package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

// passport is who this node is: its keys, and what its cluster's authority says of them.
type passport struct {
	keys       identity.Keys
	membership atomic.Pointer[identity.Membership] // replaced by a renewal
	former     atomic.Pointer[identity.Membership] // which that renewed; nil: none that counts
	void       atomic.Pointer[string]              // why others refuse the membership; nil: they do not
	trust      *identity.Trust
	grace      atomic.Int64                       // how long after its end a certificate of others counts, nanoseconds
	root       atomic.Pointer[identity.Root]      // nil unless the cluster's root key is here
	promotion  atomic.Pointer[identity.Promotion] // nil unless the root made this node an authority
	next       atomic.Pointer[identity.Root]      // takes the place of root; nil unless that is under way here
	turned     atomic.Bool                        // next signs already
	overtaken  atomic.Bool                        // a root key of this host was given up for another one, which is not here
	stated     *statements                        // read with it; nil where the membership is new

	// turn is a lock that may be held while files are written: a mutex must not be.
	turn chan struct{}
	gone bool // the data folder holds another membership, or none
}

func (p *passport) id() micronet.NodeID { return p.keys.ID() }

func (p *passport) member() identity.Membership { return *p.membership.Load() }

// tls returns the configurations of connections between members, for one of the protocols that they speak.
func (p *passport) tls(env micronet.Env, protocol string) identity.TLS {
	return identity.TLS{Protocol: protocol, Keys: p.keys, Membership: p.member, Trust: p.trust, Wall: env.Wall, Grace: p.lateness, Entropy: env.Entropy}
}

// lateness is how long after its end a certificate of others counts.
func (p *passport) lateness() time.Duration { return time.Duration(p.grace.Load()) }

// verify turns a credential from the network into a peer that packets can be sent to.
func (p *passport) verify(env micronet.Env, raw []byte) (identity.Credential, tunnel.Peer, error) {
	c, err := p.trust.VerifyCredential(raw, env.Wall(), p.lateness())
	if err != nil {
		return identity.Credential{}, tunnel.Peer{}, err
	}
	return c, tunnel.Peer{
		ID: c.ID, BoxKey: c.Box, Credential: raw, Endpoints: c.Endpoints,
		Machine: machineOf(c.Machine, machineTag(p.trust.Cluster(), c.ID, env.Host.Machine)), Expires: c.Expires,
		TCP: c.TCP, Relay: c.Flags&identity.FlagRelay != 0, Relays: relayTags(c.Relays),
	}, nil
}

func relayTags(tags []uint64) []tunnel.RelayTag {
	out := make([]tunnel.RelayTag, 0, len(tags))
	for _, t := range tags {
		out = append(out, tunnel.RelayTag(t))
	}
	return out
}

// sameMachine is what the path layer takes for the machine of this node, and of peers on it.
const sameMachine = "this one"

// machineOf is the machine that a node is on, as far as it is ours: its tag is the one that a node on our
// machine has. "": another one, or not known.
func machineOf(tag, ours [16]byte) string {
	if tag != ours || tag == [16]byte{} {
		return ""
	}
	return sameMachine
}

// machineTag says in sixteen bytes that a node is on a machine, to those who are on it as well, and
// nothing to anybody else. It is another one for each node: who copied a tag could make its owner send
// packets to the programs of its own host.
func machineTag(cluster identity.ClusterID, id micronet.NodeID, machine string) (tag [16]byte) {
	if machine == "" {
		return tag
	}
	h := sha256.New()
	_, _ = io.WriteString(h, "micro-net/machine/2\x00")
	_, _ = h.Write(cluster[:])
	_, _ = h.Write(id[:])
	_, _ = io.WriteString(h, machine)
	copy(tag[:], h.Sum(nil))
	return tag
}

// loadKeys reads this node's keys, or draws them. Fresh ones are not on disk yet: keepKeys writes
// them, once and never again.
func loadKeys(env micronet.Env, d disk) (keys identity.Keys, fresh bool, err error) {
	found, err := d.read(fileKeys, keys.UnmarshalBinary)
	if found || err != nil {
		return keys, false, err
	}
	if err := d.missesKeys(); err != nil {
		return identity.Keys{}, false, err
	}
	if keys, err = identity.NewKeys(env.Entropy); err != nil {
		return identity.Keys{}, false, micronet.E("identity", micronet.Internal, "draw keys: %w", err)
	}
	return keys, true, nil
}

// missesKeys refuses to draw new keys in a folder whose membership is for others: they may come back.
func (d disk) missesKeys() error {
	for _, name := range []string{fileMembership, fileMembership + spareSuffix} {
		_, found, err := d.loadRaw(name)
		if err != nil {
			return err
		}
		if found {
			return micronet.E("data-dir", micronet.Invalid, "%s and its spare are missing, and %s is for their keys", d.path(fileKeys), d.path(name)).
				WithFix("restore %s from a backup; or move %s and %s away, and join with a new token",
					d.path(fileKeys), d.path(fileMembership), d.path(fileMembership+spareSuffix))
		}
	}
	return nil
}

// missesMembership refuses to found a cluster in a folder whose keys have a membership that is lost: it may come back.
func (d disk) missesMembership() error {
	if _, left, err := d.loadRaw(fileLeft); left || err != nil {
		return err
	}
	for _, name := range []string{fileEpoch, fileAuthority, filePeers, fileStatements} {
		_, lived, err := d.loadRaw(name)
		if err != nil {
			return err
		}
		if lived {
			return micronet.E("data-dir", micronet.Invalid, "%s and its spare are missing: %s is of a node that is in a cluster, as %s says", d.path(fileMembership), d.dir, name).
				WithFix("restore %s from a backup; or join again with a token, `micro-net up --join TOKEN`; or move the folder away to begin anew", d.path(fileMembership))
		}
	}
	return nil
}

func keepKeys(d disk, keys identity.Keys) error {
	raw, err := keys.MarshalBinary()
	if err != nil {
		return micronet.E("identity", micronet.Internal, "encode keys: %w", err)
	}
	return d.saveRaw(fileKeys, raw)
}

// loadPassport reads the passport; nil when this node has not joined a cluster yet.
func loadPassport(env micronet.Env, d disk, keys identity.Keys) (*passport, error) {
	if err := finishInstall(env, d, keys); err != nil {
		return nil, err
	}
	p, err := readPassport(env, d, fileMembership, keys)
	if p == nil || err != nil {
		return nil, err
	}
	if err := p.member().Validate(keys, env.Wall()); err != nil {
		env.Log.Error("the certificate is not valid at this host's time", "err", err, "time", env.Wall().Format(time.RFC3339),
			"fix", "check the clock; an authority renews a certificate that has not ended long ago, else a new token is needed")
	}
	// The membership may be an older one than the root key: the roots that came since are in the statements.
	if p.stated, err = readStatements(env, d, p.trust); err != nil {
		return nil, err
	}
	p.loadFormer(d)
	return p, errors.Join(p.loadRoot(d), p.loadNextRoot(d), p.loadOvertaken(d), p.loadPromotion(d))
}

// adopt makes a membership that renews the present one the one in use, once it is on disk.
func (p *passport) adopt(ctx context.Context, d disk, m identity.Membership) error {
	return p.inTurn(ctx, func() error { return p.put(d, m) })
}

// put is adopt for who has the turn.
func (p *passport) put(d disk, m identity.Membership) error {
	if err := p.stays("node.certificate"); err != nil {
		return err
	}
	raw, err := m.Marshal()
	if err != nil {
		return err
	}
	if err := d.saveRaw(fileMembership, raw); err != nil {
		return err
	}
	if p.void.Swap(nil) == nil {
		p.former.Store(p.membership.Load())
	}
	p.membership.Store(&m)
	return nil
}

// stays refuses to put back what belongs to a cluster that this node has left. The caller has the turn.
func (p *passport) stays(op string) error {
	if p.gone {
		return micronet.E(op, micronet.Closed, "this node has left its cluster")
	}
	return nil
}

// giveUp does what takes the membership out of the data folder: no renewal may put it back.
func (p *passport) giveUp(ctx context.Context, remove func() error) error {
	return p.inTurn(ctx, func() error {
		err := remove()
		p.gone = p.gone || err == nil
		return err
	})
}

func (p *passport) inTurn(ctx context.Context, do func() error) error {
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.turn }()
	return do()
}

// readPassport reads a membership of these keys; nil when there is none. Its dates are not checked.
func readPassport(env micronet.Env, d disk, name string, keys identity.Keys) (p *passport, err error) {
	_, err = d.read(name, func(raw []byte) error {
		m, err := identity.UnmarshalMembership(raw)
		if err != nil {
			return err
		}
		if err := m.Validate(keys, env.Wall()); err != nil && !errors.Is(err, identity.ErrExpired) && !errors.Is(err, identity.ErrNotYetValid) {
			return err
		}
		p, err = newPassport(keys, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func newPassport(keys identity.Keys, m identity.Membership) (*passport, error) {
	trust, err := m.Trust()
	if err != nil {
		return nil, err
	}
	p := &passport{keys: keys, trust: trust, turn: make(chan struct{}, 1)}
	p.membership.Store(&m)
	return p, nil
}

// loadFormer reads the membership from before the last renewal. Whoever goes back to it looks whether it counts.
func (p *passport) loadFormer(d disk) {
	raw, found, err := d.loadSpare(fileMembership)
	if err != nil || !found {
		return
	}
	if m, err := identity.UnmarshalMembership(raw); err == nil && m.Cluster == p.trust.Cluster() {
		p.former.Store(&m)
	}
}

// loadRoot reads the root key. One of a root that was forgotten, as another one was preferred to it, is put aside.
func (p *passport) loadRoot(d disk) error {
	stray := false
	_, err := d.read(fileRootKey, func(raw []byte) (err error) {
		for _, certificate := range p.trust.Roots() {
			var root identity.Root
			if root, err = identity.ParseRoot(raw, certificate); err == nil {
				p.root.Store(&root)
				return nil
			}
		}
		if stray = errors.Is(err, identity.ErrUntrusted); stray {
			return nil
		}
		return err
	})
	if stray && err == nil {
		former, failed := d.retire(fileRootKey)
		d.diary.note(failed)
		d.diary.mended(fmt.Sprintf("%s is of no root that this node trusts: it is not used, and kept in %s", d.path(fileRootKey), d.path(former)))
	}
	return err
}

func (p *passport) loadOvertaken(d disk) error {
	_, found, err := d.loadRaw(fileOvertaken)
	p.overtaken.Store(found)
	return err
}

func (p *passport) loadPromotion(d disk) error {
	_, err := d.read(filePromotion, func(raw []byte) error {
		promotion, err := identity.UnmarshalPromotion(raw)
		if err == nil {
			p.promotion.Store(&promotion)
		}
		return err
	})
	return err
}

// signs reports whether this node has a key to sign with for the cluster.
func (p *passport) signs() bool { return p.root.Load() != nil || p.promotion.Load() != nil }

// issuer returns what this node signs with for the cluster: the root key where it is, else its own if the
// root made it an authority; nil when it has none.
func (p *passport) issuer(env micronet.Env) (*identity.Authority, error) {
	if root := p.signingRoot(); root != nil {
		return p.trust.RootAuthority(*root, env.Entropy)
	}
	if promotion := p.promotion.Load(); promotion != nil {
		return p.trust.Authority(*promotion, p.keys, env.Entropy, env.Wall())
	}
	return nil, nil
}

// signingRoot is the root key that this node signs with, nil when it has none that counts.
func (p *passport) signingRoot() *identity.Root {
	root, next := p.root.Load(), p.next.Load()
	ended := root != nil && p.trust.Ended(root.ID(), time.Time{})
	switch {
	case next != nil && (ended || p.turned.Load()) && !p.trust.Ended(next.ID(), time.Time{}):
		return next
	case ended:
		return nil
	}
	return root
}

// found makes a new cluster with this node as its first member and authority. What a cluster
// before it may have left goes first, all that missesMembership looks at with it: the mark that says
// that it was left goes, too. The root key is on disk before the membership is: a crash between them
// founds again.
func found(env micronet.Env, d disk, keys identity.Keys, cluster, name string) (*passport, error) {
	now := env.Wall()
	root, err := identity.NewRoot(env.Entropy, cluster, now)
	if err != nil {
		return nil, err
	}
	issuer, err := root.Authority(env.Entropy)
	if err != nil {
		return nil, err
	}
	m, err := issuer.Issue(now, identity.Request{ID: keys.ID(), Name: name})
	if err != nil {
		return nil, err
	}
	if err := keepFormerRoot(d); err != nil {
		return nil, err
	}
	if err := clean(d, fileNextRoot, fileOvertaken, filePromotion, fileAuthority, fileTokens, filePeers, fileStatements, fileEpoch); err != nil {
		return nil, err
	}
	if err := d.saveRaw(fileRootKey, root.MarshalKey()); err != nil {
		return nil, err
	}
	if err := noteFounding(d, m, now); err != nil {
		return nil, err
	}
	p, err := newPassport(keys, m)
	if err != nil {
		return nil, err
	}
	p.root.Store(&root)
	return p, p.save(d, fileMembership)
}

// quit takes the membership out of the data folder for good. One step decides: before it everything is there, after it
// the root key is of a cluster that was left, and not kept.
func quit(d disk) error {
	if !d.keeps() {
		return nil
	}
	if err := d.discard(besides([]string{fileMembership})...); err != nil {
		return err
	}
	if err := d.rename(fileMembership, fileLeft); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// forgetCluster removes what is left of a cluster once the membership is gone, and this node's identity in it.
func forgetCluster(d disk) error {
	return clean(d, fileRootKey, fileNextRoot, fileOvertaken, filePromotion, fileAuthority, fileTokens, filePeers, fileStatements, fileKeys, fileEpoch)
}

// clean removes files of a cluster. That it was left is forgotten once all of it is gone.
func clean(d disk, names ...string) error {
	if err := errors.Join(d.remove(names...), removeIssuances(d)); err != nil {
		return err
	}
	return d.remove(fileLeft)
}

// formerSuffix marks a root key that is kept though it counts here no more: of a cluster that was founded here before
// another one was founded or joined, without having been left, as its membership is lost; or one that another host's was
// preferred to.
const formerSuffix = ".former"

// keepFormerRoot puts the root keys of a cluster that has lived aside.
func keepFormerRoot(d disk) error {
	_, lived, err := d.loadRaw(fileAuthority)
	if err != nil || !lived {
		return err
	}
	if _, left, err := d.loadRaw(fileLeft); left || err != nil {
		return err
	}
	for _, name := range []string{fileRootKey, fileNextRoot} {
		switch former, err := d.putAside(name, formerSuffix); {
		case err != nil:
			return err
		case former != "":
			d.diary.mended(fmt.Sprintf("%s was missing: this node is in another cluster now, and the root key of the former one is kept in %s", d.path(fileMembership), d.path(former)))
		}
	}
	return nil
}

// noteFounding begins the issuance log of a cluster.
func noteFounding(d disk, m identity.Membership, now time.Time) error {
	log, err := openIssuances(d, m.Cluster, 0, ignore)
	if err != nil {
		return err
	}
	e, err := m.Issued(identity.IssuedFound, now)
	if err != nil {
		return err
	}
	return log.note(e)
}

func (p *passport) save(d disk, name string) error {
	raw, err := p.member().Marshal()
	if err != nil {
		return micronet.E("identity", micronet.Internal, "encode the membership: %w", err)
	}
	return d.saveRaw(name, raw)
}

// install makes this the membership of the data folder, in place of one in another cluster. It is
// on disk beside the former before anything of the former goes: after a crash the node is in the
// cluster before, or finishInstall ends the change at the next start.
func (p *passport) install(env micronet.Env, d disk) error {
	if err := p.save(d, fileNext); err != nil {
		return err
	}
	return finishInstall(env, d, p.keys)
}

// finishInstall ends the change of cluster that install began.
func finishInstall(env micronet.Env, d disk, keys identity.Keys) error {
	next, err := readPassport(env, d, fileNext, keys)
	if next == nil || err != nil {
		return err
	}
	if _, moves, err := d.loadRaw(fileMembership); err != nil {
		return err
	} else if !moves {
		if err := keepFormerRoot(d); err != nil {
			return err
		}
	}
	if err := clean(d, fileRootKey, fileNextRoot, fileOvertaken, filePromotion, fileAuthority, fileTokens, filePeers, fileStatements); err != nil {
		return err
	}
	return d.rename(fileNext, fileMembership)
}

// starts holds the latest epoch of this node.
type starts struct {
	Epoch uint64 `json:"epoch"`
}

// nextEpoch counts this start, on disk before anything is sent in its name.
func nextEpoch(d disk) (uint64, error) {
	var kept starts
	if _, err := d.load(fileEpoch, &kept); err != nil {
		return 0, err
	}
	kept.Epoch = gossip.NextStart(kept.Epoch)
	return kept.Epoch, d.save(fileEpoch, kept)
}

// raiseEpoch makes the next start one after the given one.
func raiseEpoch(d disk, epoch uint64) error { return d.save(fileEpoch, starts{epoch}) }
