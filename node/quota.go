package node

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
	"github.com/micro/micro-net/internal/config"
)

// instanceRoom is how many bytes all instances of a node may take in its record: what others accept, but
// for what the node says of itself.
const instanceRoom = gossip.DefaultMaxDocument - gossip.MaxItemValue - 1024

// sizeOf is how many bytes an instance takes in the record of its node at most. The longest state of
// health counts, so that none makes it too large later.
func sizeOf(s *config.Service) (int, error) {
	inst, err := s.Instance(micronet.Maintenance)
	if err != nil {
		return 0, micronet.E("register", micronet.Invalid, "%w", err)
	}
	item, err := wire.New().Item(&inst)
	if err != nil {
		return 0, micronet.E("register", micronet.Invalid, "instance %q: %w", s.ID, err)
	}
	if len(item.Value) > gossip.MaxItemValue {
		return 0, micronet.E("register", micronet.Invalid, "instance %q takes %d bytes, at most %d are taken", s.ID, len(item.Value), gossip.MaxItemValue).
			WithFix("give it fewer or shorter tags and meta")
	}
	return item.Size(), nil
}

// roomLocked refuses what would make this node's record larger than others accept: one instance too many
// must not keep all others from being announced.
func (r *registry) roomLocked(id string, size int) error {
	count, bytes := 1, size
	for other, e := range r.entries {
		if other != id {
			count, bytes = count+1, bytes+e.size
		}
	}
	switch {
	case count > gossip.MaxInstances:
		return micronet.E("register", micronet.Overloaded, "this node has %d instances already", gossip.MaxInstances).
			WithFix("run them on several nodes")
	case bytes > instanceRoom:
		return micronet.E("register", micronet.Overloaded, "the instances of this node would take %d bytes, at most %d are taken", bytes, instanceRoom).
			WithFix("give them fewer or shorter tags and meta, or run them on several nodes")
	}
	return nil
}
