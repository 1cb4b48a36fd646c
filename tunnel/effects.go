package tunnel

import (
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

// effects is what the core asks the shell to do once its lock is released, each list in order:
// datagrams leave first, so that an answer is not held up by the receiver of a packet. It is
// reused; slices into arena are valid until release.
type effects struct {
	datagrams  []outgoing
	deliveries []delivery
	whole      []rejoined // QUIC that came over a relay
	moves      []micronet.PathChange
	learned    []Peer
	dropped    []drop
	calls      []call
	hangups    []hangup
	arena      []byte
	chosen     []*candidate // scratch of the core
}

// outgoing is a datagram that leaves for a real address.
type outgoing struct {
	peer   *peer
	addr   netip.AddrPort
	udp    *net.UDPAddr
	source []byte
	data   []byte
}

// delivery is a packet for the user of a channel.
type delivery struct {
	from    micronet.NodeID
	channel Channel
	payload []byte
	at      time.Time
}

type drop struct {
	why  dropReason
	peer micronet.NodeID
}

func (e *effects) reset() {
	clear(e.datagrams)
	clear(e.learned)
	clear(e.chosen)
	clear(e.deliveries)
	clear(e.whole)
	clear(e.calls)
	e.whole, e.calls, e.hangups = e.whole[:0], e.calls[:0], e.hangups[:0]
	e.datagrams, e.deliveries, e.moves = e.datagrams[:0], e.deliveries[:0], e.moves[:0]
	e.learned, e.dropped = e.learned[:0], e.dropped[:0]
	e.arena, e.chosen = e.arena[:0], e.chosen[:0]
}

func (e *effects) drop(why dropReason, p micronet.NodeID) {
	e.dropped = append(e.dropped, drop{why, p})
}

func (e *effects) move(p *peer, m pathMove) {
	change := micronet.PathChange{Peer: p.ID, From: m.from, To: m.to, RTT: m.rtt, Reason: m.reason}
	if b := p.paths.best; b != nil && m.to.IsValid() {
		change.Relay, change.TCP = b.relay(), b.overTCP()
		if b.trunk() {
			change.To = b.real
		}
	}
	if isTrunkAddr(m.from.Addr()) {
		change.From = netip.AddrPort{} // where it led is forgotten
	}
	e.moves = append(e.moves, change)
}
