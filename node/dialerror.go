package node

import (
	"errors"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
)

const tryAgain = "try again; `micro-net nodes` shows who answers"

// dialError names what a caller can do something about: a name that can be none, and the nodes that
// do not answer.
func (b backend) dialError(service string, d micronet.Destination, err error) error {
	if own := b.l.revoked("dial"); own != nil {
		return own
	}
	kind := micronet.KindOf(err)
	if kind == micronet.NotFound && !isNameLike(service) {
		return micronet.E("dial", micronet.Invalid, "%q is no name of a service", service).WithFix("see `micro-net services`")
	}
	nodes := b.l.nodesOf(d)
	if len(nodes) == 0 || slices.Contains(nodes, b.l.name) {
		return err // an instance of this host may be the one
	}
	why, peer := peerError(err)
	switch {
	case kind == micronet.Timeout && len(nodes) == 1:
		return micronet.E("dial", kind, "%s: %s fell silent", service, nodes[0]).WithFix(tryAgain)
	case kind == micronet.Timeout:
		return micronet.E("dial", kind, "%s: no answer from %s", service, strings.Join(nodes, ", ")).WithFix(tryAgain)
	case kind == micronet.Unreachable && len(nodes) == 1 && peer:
		return micronet.E("dial", kind, "%s: %s: %w", service, nodes[0], why).WithFix(tryAgain)
	}
	return err
}

// peerError finds the cause of an error about one peer.
func peerError(err error) (cause error, found bool) {
	for err != nil {
		e, ok := errors.AsType[*micronet.Error](err)
		if !ok {
			return nil, false
		}
		if !e.Peer.IsZero() {
			return e.Err, true
		}
		err = e.Err
	}
	return nil, false
}

// isNameLike reports whether text is made of labels, as the names that DNS knows are.
func isNameLike(text string) bool {
	for label := range strings.SplitSeq(strings.ToLower(text), ".") {
		if micronet.CheckLabel(label) != nil {
			return false
		}
	}
	return true
}

// nodesOf names the nodes that have healthy instances of a destination.
func (l *life) nodesOf(d micronet.Destination) (names []string) {
	for _, p := range l.view.Load().of(d) {
		if name := p.node.Name; p.instance.Health.Serving() && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
