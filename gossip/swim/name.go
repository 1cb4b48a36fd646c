package swim

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	micronet "github.com/micro/micro-net"
)

// life is one start of one node: what memberlist takes for a member. A node that restarts is
// another life, so that its old one can be dead without doubt.
type life struct {
	id    micronet.NodeID
	epoch uint64
}

// maxEpoch leaves room below the end, so that a node can always start once more.
const maxEpoch = 1 << 62

// String returns the member name, "<NodeID>.<epoch>".
func (l life) String() string { return l.id.String() + "." + strconv.FormatUint(l.epoch, 10) }

// parseLife reads a member name. Only what String writes is accepted: two spellings of one
// life would be two members.
func parseLife(name string) (life, error) {
	id, epoch, ok := strings.Cut(name, ".")
	if !ok {
		return life{}, fmt.Errorf("member name %.80q has no epoch", name)
	}
	parsed, err := micronet.ParseNodeID(id)
	if err != nil {
		return life{}, err
	}
	n, err := strconv.ParseUint(epoch, 10, 64)
	if err != nil || n == 0 || n > maxEpoch {
		return life{}, fmt.Errorf("member name %.80q has an impossible epoch", name)
	}
	l := life{id: parsed, epoch: n}
	if l.String() != name {
		return life{}, fmt.Errorf("member name %.80q is not in its canonical form", name)
	}
	return l, nil
}

// parseTarget reads whom memberlist wants to reach: a member name, or the bare id that Join
// uses for a node whose epoch is not known. The address must be the one of that id.
func parseTarget(name, addr string) (micronet.NodeID, error) {
	text, _, _ := strings.Cut(name, ".")
	id, err := micronet.ParseNodeID(text)
	if err != nil {
		return micronet.NodeID{}, err
	}
	if addr != id.Addr().String() {
		return micronet.NodeID{}, fmt.Errorf("%s is not the address of %s", addr, id.Short())
	}
	return id, nil
}

// isAddrOf reports whether ip and port are the identity address of id.
func isAddrOf(id micronet.NodeID, ip net.IP, port uint16) bool {
	want := id.Addr()
	raw := want.Addr().As16()
	return string(ip) == string(raw[:]) && port == want.Port()
}
