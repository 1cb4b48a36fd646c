package node

import (
	"bytes"
	"context"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// ExportRoot encrypts the cluster's root key for a file elsewhere.
func (b backend) ExportRoot(passphrase string) (api.SealedRoot, error) {
	root, err := b.settledRoot("root export")
	if own := b.l.pass.root.Load(); own != nil && b.l.pass.trust.Revoked(b.l.self) {
		root, err = own, nil // the key is not the node's: it can still be brought to another host
	}
	if err != nil {
		return api.SealedRoot{}, err
	}
	sealed, err := root.Seal(b.l.env.Entropy, []byte(passphrase))
	if err != nil {
		return api.SealedRoot{}, err
	}
	return api.SealedRoot{Root: sealed}, b.noteExport()
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
	if ids := b.l.rootHolders(); len(ids) > 0 {
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

// noteExport remembers that the root key is somewhere else, too.
func (b backend) noteExport() error {
	if a := b.l.gate.authority.Load(); a != nil {
		return a.noteExported(true)
	}
	return nil
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
	return b.l.pass.inTurn(context.Background(), func() error { return b.removeRoot(r) })
}

func (b backend) removeRoot(r api.RootRemoval) error {
	l := b.l
	own, err := b.settledRoot("root export")
	if err != nil {
		return err
	}
	kept, err := identity.OpenRoot(r.Root, []byte(r.Passphrase))
	if err != nil {
		return err
	}
	if !bytes.Equal(kept.MarshalKey(), own.MarshalKey()) {
		return micronet.E("root export", micronet.Refused, "the file holds the root key of another cluster, %q", kept.ClusterName)
	}
	if l.pass.promotion.Load() == nil && l.isLastAuthority() && !r.Force {
		return micronet.E("root export", micronet.Refused, "without the root key nobody could invite nodes, renew certificates or revoke: this node is the only authority").
			WithFix("promote a node first: `micro-net node promote NAME`, also %s itself; or use --force", l.name)
	}
	if err := l.node.disk.remove(fileRootKey); err != nil {
		return err
	}
	l.pass.root.Store(nil)
	l.env.Log.Warn("the root key was taken off this host", "fix", "keep the exported file safe: new authorities need it")
	return l.resign()
}

// ImportRoot makes this node the one that has the cluster's root key.
func (b backend) ImportRoot(s api.SealedRoot) error {
	root, err := identity.OpenRoot(s.Root, []byte(s.Passphrase))
	if err != nil {
		return err
	}
	l := b.l
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
	return l.pass.inTurn(context.Background(), func() error {
		if err := l.node.disk.saveRaw(fileRootKey, root.MarshalKey()); err != nil {
			return err
		}
		l.pass.root.Store(&root)
		l.env.Log.Info("the root key of the cluster is on this host now")
		return l.resign()
	})
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
