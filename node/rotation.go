package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// The root key is replaced in steps, at the node that has it. What a step changes is on disk before the
// next begins; after a crash the daemon goes on where it was.
//
//	on disk                              what counts
//	root.next beside root.key            nothing yet
//	statement: the next root is a root   everybody trusts both
//	  a minute later                     the next one signs; certificates and promotions are renewed under it
//	statement: the former root ends      what it issued before, until that ends
//	root.key is the next one             the same
//	root.next is gone                    the same
//
// Two nodes that have the key may replace it at once while they cannot hear each other. The root that goes on is the one
// that the first end of the former root names, or before there is one the last that was announced. Whoever has another
// one gives it up, and the former root as well once that has ended.

// nextRoot is the form of root.next.
type nextRoot struct {
	Key         []byte `json:"key"` // as identity.Root.MarshalKey writes it
	Certificate []byte `json:"certificate"`
}

// loadNextRoot reads the root key that takes the place of the present one, unless it has done so.
func (p *passport) loadNextRoot(d disk) error {
	var next identity.Root
	found, err := d.read(fileNextRoot, func(raw []byte) (err error) {
		var file nextRoot
		if err := openEnvelope(raw, &file); err != nil {
			return err
		}
		next, err = identity.ParseRoot(file.Key, file.Certificate)
		return err
	})
	if !found || err != nil {
		return err
	}
	if root := p.root.Load(); root != nil && root.Hash() == next.Hash() {
		return d.remove(fileNextRoot)
	}
	p.next.Store(&next)
	return nil
}

// inRotation does something while nothing else replaces the root key.
func (l *life) inRotation(ctx context.Context, do func() error) error {
	select {
	case l.rotating <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-l.rotating }()
	return do()
}

// RotateRoot replaces the cluster's root key by another one. It returns once that is announced, the rest is
// done by itself.
func (b backend) RotateRoot(ctx context.Context, r api.RotateRequest) (out api.Rotation, err error) {
	if r.Status {
		return b.l.rotationStatus(), nil
	}
	err = b.l.inRotation(ctx, func() error {
		if _, err := b.root("node root rotate"); err != nil {
			return err
		}
		if r.Retire {
			out, err = b.l.retireNow(ctx)
			return err
		}
		if err := b.l.mayRotate(r.Force); err != nil {
			return err
		}
		if err := b.l.beginRotation(ctx); err != nil {
			return err
		}
		out = b.l.rotationStatus()
		return nil
	})
	return out, err
}

// rotateAgain is how soon after a replacement of the root key the next one is more likely a mistake: who asks how
// far it is must not begin another one.
const rotateAgain = 24 * time.Hour

func (l *life) mayRotate(force bool) error {
	if force || l.pass.next.Load() != nil {
		return nil
	}
	if root, h := l.pass.root.Load(), l.heir.Load(); root != nil && h != nil && h.key != identity.KeyIDOf(root.Certificate) {
		return micronet.E("node root rotate", micronet.Refused, "another host replaces the root key already").
			WithFix("see `micro-net node root rotate --status`; if that host is lost, replace it here with --yes")
	}
	ended, some := lastEnd(l.stated(identity.StatementRoot))
	if !some || l.env.Wall().Sub(ended) >= rotateAgain {
		return nil
	}
	return micronet.E("node root rotate", micronet.Refused, "the root key was replaced already: that ended on %s", ended.UTC().Format(time.RFC3339)).
		WithFix("see `micro-net node root rotate --status`; with --yes it is replaced once more")
}

// lastEnd is when a root ended last.
func lastEnd(list []identity.Statement) (at time.Time, some bool) {
	for i := range list {
		if end := list[i].Clock.Time(); !list[i].Ends().IsZero() && end.After(at) {
			at, some = end, true
		}
	}
	return at, some
}

// rotationStatus says how far the last replacement of the root key is, wherever it was begun.
func (l *life) rotationStatus() api.Rotation {
	if next := l.pass.next.Load(); next != nil {
		return l.rotationOf(next.Certificate)
	}
	newest := newestWord(l.ofRoots())
	if newest == nil {
		return api.Rotation{Step: api.RotationNone, Nodes: 1 + len(l.alive()), Waiting: []string{}}
	}
	out, at := l.rotationOf(newest.Body), newest.Clock.Time()
	switch {
	case !newest.Ends().IsZero():
		out.Step, out.Ended = api.RotationRetired, &at
	case !l.env.Wall().Before(at.Add(rootSettle)):
		out.Step = api.RotationRenewing
	}
	return out
}

// beginRotation makes the next root key and announces it, as far as that has not been done.
func (l *life) beginRotation(ctx context.Context) error {
	if l.pass.next.Load() == nil {
		if err := l.pass.inTurn(ctx, l.drawRoot); err != nil {
			return err
		}
	}
	return l.announceRoot(ctx)
}

// drawRoot makes the next root key. The caller has the passport's turn.
func (l *life) drawRoot() error {
	if err := l.pass.stays("node.root"); err != nil {
		return err
	}
	root, err := l.formerRoot()
	if err != nil {
		return err
	}
	if len(l.pass.trust.Roots()) >= identity.MaxRoots {
		return micronet.E("node.root", micronet.Refused, "the cluster has had %d root keys, which is as many as there can be", identity.MaxRoots).WithFix("found a new cluster")
	}
	next, err := root.Succeed(l.env.Entropy, l.env.Wall())
	if err != nil {
		return err
	}
	if err := l.node.disk.save(fileNextRoot, nextRoot{next.MarshalKey(), next.Certificate}); err != nil {
		return err
	}
	l.pass.next.Store(&next)
	return nil
}

// formerRoot is the root key that is replaced. It goes at once when another node has replaced it.
func (l *life) formerRoot() (*identity.Root, error) {
	if root := l.pass.root.Load(); root != nil {
		return root, nil
	}
	return nil, micronet.E("node.root", micronet.Refused, "the root key is not on this host any more")
}

// announceRoot makes everybody trust the next root, too.
func (l *life) announceRoot(ctx context.Context) error {
	next := l.pass.next.Load()
	if next == nil {
		return overtaken()
	}
	if l.pass.knows(*next) {
		return nil
	}
	if err := l.sayAsRoot(ctx, func(a *identity.Authority, clock identity.Clock) ([]byte, error) {
		return a.Announce(l.env.Wall(), clock, *next)
	}); err != nil {
		return err
	}
	l.env.Log.Info("announced a new root key; certificates are renewed under it in a minute")
	return nil
}

// sayAsRoot declares something that the former root signs. What is held does not change while it does.
func (l *life) sayAsRoot(ctx context.Context, sign func(*identity.Authority, identity.Clock) ([]byte, error)) error {
	root, err := l.formerRoot()
	if err != nil {
		return err
	}
	a, err := l.pass.trust.RootAuthority(*root, l.env.Entropy)
	if err != nil {
		return err
	}
	return l.statements.declare(ctx, func(clock identity.Clock) ([]byte, error) { return sign(a, clock) })
}

// keepRotation goes on with the replacement of the root key, if that is under way here.
func (l *life) keepRotation(ctx context.Context) {
	l.putAwayAgain(ctx)
	if l.pass.next.Load() == nil || l.pass.root.Load() == nil {
		return
	}
	if err := l.inRotation(ctx, func() error { return l.goOn(ctx) }); err != nil && ctx.Err() == nil {
		l.report("node.root", err)
	}
}

// goOn does the step that is due.
func (l *life) goOn(ctx context.Context) error {
	next, root := l.pass.next.Load(), l.pass.root.Load()
	if next == nil || root == nil {
		return nil
	}
	key := identity.KeyIDOf(next.Certificate)
	switch h := l.heir.Load(); {
	case l.pass.trust.Ended(root.ID(), time.Time{}):
		return l.finishRotation(ctx)
	case h == nil || h.key != key:
		return l.announceRoot(ctx)
	case !l.pass.turned.Load():
		if l.env.Wall().Before(h.since.Add(rootSettle)) {
			return nil
		}
		l.pass.turned.Store(true)
		return l.pass.inTurn(ctx, l.resign)
	}
	if m := l.pass.member(); m.Origin() == key && len(l.unmoved(key)) == 0 {
		return l.retire(ctx, next)
	}
	return nil
}

// retire ends the former root, unless another one is known to go on by then: this host has given the next one up, or is
// about to.
func (l *life) retire(ctx context.Context, next *identity.Root) error {
	if err := l.sayAsRoot(ctx, func(a *identity.Authority, clock identity.Clock) ([]byte, error) {
		if heirOf(l.ofRoots()).excludes(next.Certificate) {
			return nil, overtaken()
		}
		return a.Retire(l.env.Wall(), clock, *next)
	}); err != nil {
		return err
	}
	return l.finishRotation(ctx)
}

// retireNow ends the former root although some have no certificate under the new one yet.
func (l *life) retireNow(ctx context.Context) (api.Rotation, error) {
	next := l.pass.next.Load()
	if next == nil {
		return api.Rotation{}, micronet.E("node root rotate", micronet.Refused, "no replacement of the root key is under way").
			WithFix("begin one: `micro-net node root rotate`")
	}
	if m := l.pass.member(); m.Origin() != identity.KeyIDOf(next.Certificate) {
		return api.Rotation{}, micronet.E("node root rotate", micronet.Refused, "the new root key does not sign yet").
			WithFix("wait for a minute or two, so that everybody knows it")
	}
	out := l.rotationOf(next.Certificate)
	out.Step = api.RotationRetired
	return out, l.retire(ctx, next)
}

// finishRotation makes the next root key the one of this host. The former one has ended. What is known of that does not
// change meanwhile: another root may be about to turn out as the one that goes on.
func (l *life) finishRotation(ctx context.Context) error {
	err := l.whileStated(func() error { return l.pass.inTurn(ctx, l.takeNext) })
	if err != nil {
		return err
	}
	l.env.Log.Info("the root key of the cluster was replaced", "fix", "export the new one, `micro-net node root export FILE`, and destroy what was exported before: whoever has that can still date statements back")
	if a := l.gate.authority.Load(); a != nil {
		return a.noteExported(false)
	}
	return nil // its key was revoked
}

// takeNext is finishRotation with the passport's turn.
func (l *life) takeNext() error {
	if err := l.pass.stays("node.root"); err != nil {
		return err
	}
	next := l.pass.next.Load()
	if next == nil {
		return overtaken()
	}
	if err := l.node.disk.saveRaw(fileRootKey, next.MarshalKey()); err != nil {
		return err
	}
	if err := l.node.disk.remove(fileNextRoot); err != nil {
		return err
	}
	l.pass.root.Store(next)
	l.pass.next.Store(nil)
	l.pass.turned.Store(false)
	return l.resign()
}

// unmoved lists the other live nodes that have no certificate under a root yet.
func (l *life) unmoved(key identity.KeyID) (names []string) {
	for _, id := range l.alive() {
		if l.contacts.origin(id) != key {
			names = append(names, l.contacts.name(id))
		}
	}
	slices.Sort(names)
	return names
}

// rotationOf says how far the replacement by a root is.
func (l *life) rotationOf(next []byte) api.Rotation {
	hash, key, m := identity.RootHashOf(next), identity.KeyIDOf(next), l.pass.member()
	out := api.Rotation{Root: hex.EncodeToString(hash[:]), Step: api.RotationAnnounced, Nodes: 1 + len(l.alive()), Waiting: append([]string{}, l.unmoved(key)...)}
	if m.Origin() != key {
		out.Waiting = append(out.Waiting, l.name)
	}
	if l.pass.turned.Load() {
		out.Step = api.RotationRenewing
	}
	out.Renewed = out.Nodes - len(out.Waiting)
	return out
}

// underWay refuses what would come between.
func underWay(op string) error {
	return micronet.E(op, micronet.Refused, "the root key is being replaced").
		WithFix("wait until `micro-net status` does not say so any more")
}

// rotationWarning says how far the replacement of the root key is, where it is under way.
func (l *life) rotationWarning() (api.Warning, bool) {
	next := l.pass.next.Load()
	if next == nil {
		return api.Warning{}, false
	}
	r := l.rotationOf(next.Certificate)
	return rotationTold(&r), true
}

func rotationTold(r *api.Rotation) api.Warning {
	w := api.Warning{
		Code: "root-rotation", Text: fmt.Sprintf("the root key is being replaced: %d of %d nodes have a certificate under the new one", r.Renewed, r.Nodes),
		Fix: "wait, it goes on by itself",
	}
	switch {
	case r.Step == api.RotationAnnounced:
		w.Text = fmt.Sprintf("the root key is being replaced: the new one is announced to %s, and signs in a minute", plural(r.Nodes, "node", "nodes"))
	case len(r.Waiting) > 0:
		w.Text += ", and these do not yet: " + shortNames(r.Waiting)
		w.Fix = "wait for them to renew, which takes minutes and ends the replacement; where one does not, look at its log and start it again, " +
			"revoke it if it is lost (`micro-net node revoke NODE`), or end the replacement without it: `micro-net node root rotate --retire`"
	}
	return w
}
