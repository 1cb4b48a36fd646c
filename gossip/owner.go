package gossip

import micronet "github.com/micro/micro-net"

// OwnerOf tells whose document a message of the catalog is about. The signature is not checked:
// the result serves as a key under which messages replace each other.
func OwnerOf(msg []byte) (micronet.NodeID, bool) {
	m, err := parseMessage(msg)
	if err != nil {
		return micronet.NodeID{}, false
	}
	return m.owner, true
}
