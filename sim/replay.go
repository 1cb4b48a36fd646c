package sim

import (
	"net"
	"net/netip"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

// replayed is how many old messages of each kind an insider repeats in one round.
const replayed = 2

// replay says once more what others said: who is alive, suspect, dead and gone, what they offered, and that
// they have just shown a sign of life. And it sends sealed packets that passed between others to those whom
// they were for.
func (i *insider) replay() {
	claims, records, beats := i.machine.inside.loot.taken(i.rounds, replayed)
	for _, m := range claims {
		i.tell(m, micronet.NodeID{})
	}
	for _, m := range records {
		i.spread(m)
	}
	for _, b := range beats {
		i.beat(b)
	}
	i.resend()
}

// resend sends sealed packets of others once more, from a socket of the insider's own.
func (i *insider) resend() {
	if i.socket == nil {
		conn, err := i.machine.host.ListenPacket(i.machine.life.ctx, netip.AddrPortFrom(i.machine.host.Addr(), 0))
		if err != nil {
			return
		}
		i.socket = conn
	}
	for k := range replayed {
		if p, ok := i.mesh.observer.traffic.kept(i.rounds*replayed + k); ok {
			_, _ = i.socket.WriteTo(p.data, net.UDPAddrFromAddrPort(p.to))
		}
	}
}

// beat sends signs of life to everybody.
func (i *insider) beat(payload []byte) {
	i.each(func(p parts, o gossip.Member) {
		if p.under != nil {
			_ = p.under.Send(o.ID, tunnel.ChannelHeartbeat, payload)
		}
	})
}

// offerOld offers everybody the oldest records that there are, as if they were the newest.
func (i *insider) offerOld() {
	s := &fakeStore{digest: []byte{1}, documents: map[micronet.NodeID][]byte{}}
	versions := map[micronet.NodeID]gossip.Version{}
	_, records, _ := i.machine.inside.loot.taken(0, maxLoot)
	for _, m := range records {
		h, ok := headerOf(m)
		owner := micronet.NodeID(h[18:50])
		if !ok || m[0] != catalogFull || s.documents[owner] != nil {
			continue
		}
		v := versionOf(h)
		v.Seq += farAhead
		s.documents[owner], versions[owner] = m, v
	}
	s.digest = appendDigest(s.digest, versions)
	i.offer(s)
}
