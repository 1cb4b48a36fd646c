package swim

import (
	"bytes"
	"errors"
	"time"

	"github.com/hashicorp/memberlist"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// delegate is how memberlist asks and tells a Swim. memberlist calls some of its methods with
// its own lock held: they must not call memberlist.
type delegate struct {
	*Swim
}

var (
	_ memberlist.Delegate      = delegate{}
	_ memberlist.EventDelegate = delegate{}
	_ memberlist.AliveDelegate = delegate{}
)

var (
	// errFormerLife refuses an epoch that a newer one has replaced. It is normal after restarts.
	errFormerLife  = errors.New("a former life of a restarted node")
	errIncarnation = errors.New("incarnation out of reach")
	errVersion     = errors.New("incompatible protocol version")
	errAddress     = errors.New("the address is not the identity address of the name")
	errSpoken      = errors.New("membership has ended")
)

// NotifyAlive decides about every alive message before memberlist takes it in.
func (d delegate) NotifyAlive(n *memberlist.Node) error {
	if d.phase.Load() != running {
		return errSpoken
	}
	if n.Name == string(d.name) {
		return checkNode(d.self, n)
	}
	l, err := parseLife(n.Name)
	if err == nil {
		err = d.admit(l, n)
	}
	if err != nil && !errors.Is(err, errFormerLife) {
		d.reporter.report("swim.admit", micronet.E("swim.admit", micronet.Refused, "%w", err).WithPeer(l.id))
	}
	return err
}

// admit lets a life in, first by what costs nothing, then by its credential.
func (d delegate) admit(l life, n *memberlist.Node) error {
	if err := checkNode(l, n); err != nil {
		return err
	}
	var err error
	if d.locked(func() { err = d.table.admits(time.Now(), l) }); err != nil {
		return err
	}
	return d.config.Delegate.Admit(l.id, l.epoch, n.Meta)
}

// checkNode checks what a member says of itself besides its name. Versions are checked because
// one member with an odd range makes memberlist refuse every synchronisation that lists it.
func checkNode(l life, n *memberlist.Node) error {
	switch {
	case !isAddrOf(l.id, n.Addr, n.Port):
		return errAddress
	case len(n.Meta) > maxCredential:
		return errors.New("the credential is too long")
	case n.PMin > protocol || n.PMax < protocol || n.PCur != protocol || n.DMin != 0 || n.DCur != 0:
		return errVersion
	}
	return nil
}

// NotifyJoin notes a member that is alive now.
func (d delegate) NotifyJoin(n *memberlist.Node) {
	d.tell(n, func(now time.Time, l life) bool { return d.table.join(now, l, n.Meta) })
}

// NotifyUpdate notes a member's new credential.
func (d delegate) NotifyUpdate(n *memberlist.Node) {
	d.tell(n, func(_ time.Time, l life) bool { return d.table.update(l, n.Meta) })
}

// NotifyLeave notes a member that is dead or has left.
func (d delegate) NotifyLeave(n *memberlist.Node) {
	d.tell(n, func(now time.Time, l life) bool { return d.table.gone(now, l) })
}

func (d delegate) tell(n *memberlist.Node, note func(time.Time, life) bool) {
	if d.phase.Load() != running {
		return
	}
	l, err := parseLife(n.Name)
	if err != nil {
		return
	}
	changed := false
	d.locked(func() {
		if l.id == d.self.id {
			d.announced = bytes.Clone(n.Meta)
		} else {
			changed = note(time.Now(), l)
		}
	})
	d.changed(changed)
}

// NodeMeta returns the credential.
func (d delegate) NodeMeta(int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.credential
}

// NotifyMsg passes a broadcast message on.
func (d delegate) NotifyMsg(msg []byte) {
	if d.phase.Load() == running && len(msg) <= gossip.MaxBroadcast {
		d.config.Delegate.Received(msg)
	}
}

// GetBroadcasts returns what waits to be spread and fits into a packet.
func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.takeBroadcasts(overhead, limit)
}

// LocalState returns the user's part of a synchronisation.
func (d delegate) LocalState(bool) []byte {
	if d.phase.Load() != running {
		return nil
	}
	state := d.config.Delegate.State()
	if len(state) > gossip.MaxState {
		d.reporter.report("swim.state", micronet.E("swim.state", micronet.Internal,
			"the state has %d bytes, %d are allowed", len(state), gossip.MaxState))
		return nil
	}
	return state
}

// MergeRemoteState passes the peer's part of a synchronisation on.
func (d delegate) MergeRemoteState(state []byte, _ bool) {
	if d.phase.Load() == running && len(state) <= gossip.MaxState {
		d.config.Delegate.Merge(state)
	}
}
