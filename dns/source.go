package dns

import (
	"context"
	"net/netip"

	micronet "github.com/micro/micro-net"
)

// Source is what there is in the mesh. All names are in lower case; names of services and
// clusters are DNS labels. The methods may be called from several goroutines, must be quick,
// and only VIP may do more than read memory. The zone does not change what it is given.
type Source interface {
	// Synced reports whether the catalog is known well enough to deny a name. Before that,
	// questions about the mesh fail.
	Synced() bool
	// Known reports whether any instance matches d, healthy or not.
	Known(d micronet.Destination) bool
	// Endpoints returns the instances matching d that may get traffic, in any order. After VIP
	// those are missing whose service port does not lead to the mesh at that address.
	Endpoints(d micronet.Destination) []Endpoint
	// VIP returns the IPv4 address that stands for d on this host. It returns only after
	// connections to the address have come to lead to the mesh; an error, whose text the
	// asker sees, when they cannot.
	VIP(ctx context.Context, d micronet.Destination) (netip.Addr, error)
	// Node returns the overlay addresses of a node if it has any, else those it advertises. A
	// loopback address may be among them for nodes on this host only. cluster is "" for "here,
	// else anywhere". false: there is no such node.
	Node(name, cluster string) ([]netip.Addr, bool)
	// Instance returns the instance with this id, compared without case; the nearest of several.
	Instance(id string) (micronet.Instance, bool)
	// Cluster reports whether a cluster is known: this one, or a linked one.
	Cluster(name string) bool
	// Reverse returns the absolute name of a VIP, an overlay address, or an address that stands
	// for a calling node.
	Reverse(addr netip.Addr) (string, bool)
}

// Endpoint is an instance as an SRV answer sees it.
type Endpoint struct {
	Instance *micronet.Instance
	Tier     int // 0 is the nearest; becomes the priority
}
