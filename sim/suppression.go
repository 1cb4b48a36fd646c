package sim

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

// suppression passes no word of an authority on to the victims: none by broadcasts, and by comparisons of ledgers that it
// holds just what the other one holds. It compares its own with nobody. All else is passed on as usual, so that
// nobody has a reason to avoid it.
func suppression(i *insider) *grip {
	victims := i.targets()
	return &grip{
		packet: func(to micronet.NodeID, payload []byte) [][]byte {
			if !victims[to] {
				return [][]byte{payload}
			}
			return unstated(payload)
		},
		ledger: func(in tunnel.Inbound) bool {
			if !victims[in.From()] {
				return false
			}
			i.mesh.ending.Go(func() { serveNoStatement(in) })
			return true
		},
		secretive: true,
	}
}

// unstated leaves the statements out of a packet.
func unstated(packet []byte) (out [][]byte) {
	said := false
	for _, m := range messagesOf(packet) {
		if _, statement := gossip.StatementIn(m[1:]); m[0] == kindUser && statement {
			said = true
			continue
		}
		out = append(out, m)
	}
	if !said {
		return [][]byte{packet}
	}
	return out
}

// serveNoStatement answers a comparison: nothing is missing on either side.
func serveNoStatement(in tunnel.Inbound) {
	ctx, cancel := timeout(streamTime)
	defer cancel()
	defer closeAtEnd(ctx, in)()
	if in.Accept() == nil {
		_ = gossip.LedgerServer(in, emptyLedger{})
	}
}

// emptyLedger lacks nothing and has nothing.
type emptyLedger struct{}

var _ gossip.LedgerStore = emptyLedger{}

// Digest implements gossip.LedgerStore.
func (emptyLedger) Digest() []byte { return nil }

// Compare implements gossip.LedgerStore.
func (emptyLedger) Compare([]byte) (want []gossip.StatementHash, offer [][]byte, err error) {
	return nil, nil, nil
}

// Among implements gossip.LedgerStore.
func (emptyLedger) Among([]gossip.StatementHash) [][]byte { return nil }

// Import implements gossip.LedgerStore.
func (emptyLedger) Import([][]byte) (refused int, err error) { return 0, nil }
