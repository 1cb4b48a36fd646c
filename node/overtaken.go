package node

import (
	"context"
	"errors"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

// overtaken says that another root goes on than the one that was about to.
func overtaken() error {
	return micronet.E("node.root", micronet.Refused, "another host has replaced the root key, and that counts").
		WithFix("see `micro-net status`")
}

// giveWay gives up the root keys of this host that another one has overtaken: another host has replaced the same root
// key, and that replacement counts. The caller has the passport's turn.
func (l *life) giveWay() error {
	next, root, h := l.pass.next.Load(), l.pass.root.Load(), l.heir.Load()
	gone := false
	if next != nil && h.excludes(next.Certificate) && !l.toBeAnnounced(*next) {
		l.pass.next.Store(nil)
		l.pass.turned.Store(false)
		gone = true
	}
	if root != nil && h.excludes(root.Certificate) {
		l.pass.root.Store(nil)
		gone = true
	}
	if !gone {
		return nil
	}
	l.pass.overtaken.Store(true)
	w, _ := l.overtakenWarning()
	l.env.Log.Error(w.Text, "code", w.Code, "fix", w.Fix)
	l.report("node.root", l.putAway())
	if l.gate.authority.Load() == nil {
		return nil
	}
	return l.resign()
}

// putAway takes what this host has given up out of the data folder, and notes there that it did. What fails is tried
// again. The caller has the passport's turn.
func (l *life) putAway() (err error) {
	defer func() { l.leftover.Store(err != nil) }()
	d := l.node.disk
	if l.pass.gone {
		return nil
	}
	if err := d.saveRaw(fileOvertaken, nil); err != nil {
		return err
	}
	if l.pass.next.Load() == nil {
		_, err = d.retire(fileNextRoot)
	}
	if l.pass.root.Load() == nil {
		_, failed := d.retire(fileRootKey)
		err = errors.Join(err, failed)
	}
	return err
}

// retire takes a root key out of use. It is kept: whoever has stolen a root key that was replaced long ago could say that
// it ended in favour of another one.
func (d disk) retire(name string) (former string, err error) {
	if former, err = d.putAside(name, formerSuffix); err != nil {
		return name, err
	}
	return former, d.remove(name)
}

// putAwayAgain does what putAway could not.
func (l *life) putAwayAgain(ctx context.Context) {
	if l.leftover.Load() {
		l.report("node.root", l.pass.inTurn(ctx, l.putAway))
	}
}

// toBeAnnounced reports whether the next root can still go on, as the last that was announced.
func (l *life) toBeAnnounced(next identity.Root) bool {
	root := l.pass.root.Load()
	return root != nil && !l.pass.trust.Ended(root.ID(), time.Time{}) && !l.pass.knows(next)
}

// overtakenWarning says that this host had a root key that another one has overtaken.
func (l *life) overtakenWarning() (api.Warning, bool) {
	if !l.pass.overtaken.Load() {
		return api.Warning{}, false
	}
	return api.Warning{
		Code: "root-overtaken",
		Text: "the root key was replaced on this host and on another one at once, and the other replacement counts: the new root key of this host is not used, and kept as root.key.former or root.next.former",
		Fix: "bring the root key that counts here: `micro-net node root export FILE` on the host that has it, and `micro-net node root import FILE` here; " +
			"destroy what was exported here after the replacement",
	}, true
}
