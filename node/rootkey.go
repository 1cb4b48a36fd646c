package node

import (
	"bytes"
	"context"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// ExportRoot encrypts the cluster's root key for a file elsewhere. That it is there is noted once the file was read back.
func (b backend) ExportRoot(passphrase string) (api.SealedRoot, error) {
	root, err := b.exportable()
	if err != nil {
		return api.SealedRoot{}, err
	}
	sealed, err := root.Seal(b.l.env.Entropy, []byte(passphrase))
	if err != nil {
		return api.SealedRoot{}, err
	}
	return api.SealedRoot{Root: sealed}, nil
}

// RootKept notes that the root key is in a file elsewhere, too, of which this is what was read back.
func (b backend) RootKept(s api.SealedRoot) error {
	l := b.l
	return l.inRotation(context.Background(), func() error {
		own, err := b.exportable()
		if err != nil {
			return err
		}
		if err := holdsRoot(s, own); err != nil {
			return err
		}
		if a := l.gate.authority.Load(); a != nil {
			return a.noteExported(true)
		}
		return l.noteKept()
	})
}

// exportable is the root key where it may be exported. It is not the node's own: where that was revoked it can still
// be brought to another host.
func (b backend) exportable() (*identity.Root, error) {
	if own := b.l.pass.root.Load(); own != nil && b.l.pass.trust.Revoked(b.l.self) {
		return own, nil
	}
	return b.settledRoot("root export")
}

// noteKept is noteExported where this node is no authority, as its key was revoked.
func (l *life) noteKept() error {
	return l.pass.inTurn(context.Background(), func() error {
		var noted ledger
		if _, err := l.node.disk.load(fileAuthority, &noted); err != nil {
			return err
		}
		noted.Exported = true
		return l.node.disk.save(fileAuthority, noted)
	})
}

// isRootKept reports whether the root key of this host is known to be somewhere else, too.
func (l *life) isRootKept() bool {
	if a := l.gate.authority.Load(); a != nil {
		return a.exported.Load()
	}
	var noted ledger // of before this node's key was revoked
	_, err := l.node.disk.load(fileAuthority, &noted)
	return err == nil && noted.Exported
}

// holdsRoot reports why an exported file is not a copy of a root key.
func holdsRoot(s api.SealedRoot, own *identity.Root) error {
	kept, err := identity.OpenRoot(s.Root, []byte(s.Passphrase))
	switch {
	case err != nil:
		return err
	case bytes.Equal(kept.MarshalKey(), own.MarshalKey()):
		return nil
	case kept.Cluster == own.Cluster:
		return micronet.E("root export", micronet.Refused, "the file holds another root key of this cluster: it was replaced").WithFix("export it again")
	}
	return micronet.E("root export", micronet.Refused, "the file holds the root key of another cluster, %q", kept.ClusterName)
}

// root returns the root key, or says that it is not here.
func (b backend) root(op string) (*identity.Root, error) {
	root := b.l.pass.root.Load()
	switch {
	case b.l.gate.authority.Load() == nil:
		return nil, b.noAuthority(op)
	case root != nil:
		return root, nil
	}
	e := micronet.E(op, micronet.Refused, "the root key of the cluster is not on this host")
	if ids := append(b.l.keepers(), b.l.rootHolders()...); len(ids) > 0 {
		return nil, e.WithFix("run it on %s", b.l.view.Load().byID[ids[0]].Name)
	}
	return nil, e.WithFix("bring it back with `micro-net node root import FILE`, or use the host that has it")
}

// settledRoot is root while it is not being replaced.
func (b backend) settledRoot(op string) (*identity.Root, error) {
	if b.l.pass.next.Load() != nil {
		return nil, underWay(op)
	}
	return b.root(op)
}

// noteExported remembers whether the root key is somewhere else, too.
func (a *authority) noteExported(yes bool) error {
	a.lock()
	defer a.unlock()
	if a.names.Exported == yes {
		return nil
	}
	noted := a.names
	noted.Exported = yes
	return a.saveNames(noted)
}

// RemoveRoot takes the root key off this host, once it was read back from a file and is the same.
func (b backend) RemoveRoot(r api.RootRemoval) error {
	ctx := context.Background()
	return b.l.inRotation(ctx, func() error {
		return b.l.pass.inTurn(ctx, func() error { return b.removeRoot(r) })
	})
}

func (b backend) removeRoot(r api.RootRemoval) error {
	l := b.l
	own, err := b.removable(r.Force)
	if err != nil || r.Check {
		return err
	}
	if err := holdsRoot(r.SealedRoot, own); err != nil {
		return err
	}
	if err := l.node.disk.remove(fileRootKey); err != nil {
		return err
	}
	l.pass.root.Store(nil)
	l.env.Log.Warn("the root key was taken off this host", "fix", "keep the exported file safe: new authorities need it")
	return l.resign()
}

// removable is the root key where it may be taken off this host.
func (b backend) removable(force bool) (*identity.Root, error) {
	own, err := b.settledRoot("root export")
	if p := b.l.pass.promotion.Load(); err == nil && (p == nil || !b.l.holds(p)) && b.l.isLastAuthority() && !force {
		err = micronet.E("root export", micronet.Refused, "without the root key nobody could invite nodes, renew certificates or revoke: this node is the only authority").
			WithFix("promote a node first: `micro-net node promote NAME`, also %s itself; or use --force", b.l.name)
	}
	return own, err
}

// ImportRoot makes this node the one that has the cluster's root key.
func (b backend) ImportRoot(s api.SealedRoot) error {
	root, err := identity.OpenRoot(s.Root, []byte(s.Passphrase))
	if err != nil {
		return err
	}
	ctx := context.Background()
	return b.l.inRotation(ctx, func() error {
		return b.l.pass.inTurn(ctx, func() error { return b.l.importRoot(root) })
	})
}

// importRoot takes a root key. The caller has the passport's turn, and nothing else replaces the key.
func (l *life) importRoot(root identity.Root) error {
	if err := l.pass.stays("root import"); err != nil {
		return err
	}
	if err := l.revoked("root import"); err != nil {
		return err
	}
	if !l.pass.knows(root) {
		return micronet.E("root import", micronet.Refused, "the file holds the root key of the cluster %q (%s), this node is in %q (%s)",
			root.ClusterName, root.Cluster, l.pass.member().ClusterName, l.pass.trust.Cluster())
	}
	if l.pass.trust.Ended(root.ID(), time.Time{}) {
		return micronet.E("root import", micronet.Refused, "the file holds a root key that was replaced by another one").
			WithFix("import what was exported after `micro-net node root rotate`")
	}
	if l.pass.next.Load() != nil {
		return underWay("root import")
	}
	if l.leftover.Load() {
		if err := l.putAway(); err != nil {
			return err
		}
	}
	if err := l.node.disk.saveRaw(fileRootKey, root.MarshalKey()); err != nil {
		return err
	}
	l.pass.root.Store(&root)
	l.pass.overtaken.Store(false)
	l.report("node.root", l.node.disk.remove(fileOvertaken))
	l.env.Log.Info("the root key of the cluster is on this host now")
	return l.resign()
}

// knows reports whether a root is one of those that this node trusts.
func (p *passport) knows(root identity.Root) bool {
	for _, certificate := range p.trust.Roots() {
		if bytes.Equal(certificate, root.Certificate) {
			return true
		}
	}
	return false
}
