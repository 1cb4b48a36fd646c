package quic

import (
	"errors"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// Connections lists the open connections, sorted by peer.
func (t *Tunnel) Connections() []tunnel.ConnectionInfo {
	t.mu.Lock()
	links := t.linksLocked()
	t.mu.Unlock()
	infos := make([]tunnel.ConnectionInfo, len(links))
	for i, l := range links {
		infos[i] = l.info()
	}
	return infos
}

// Linked lists the peers that a stream can be opened to without a handshake, sorted.
func (t *Tunnel) Linked() []micronet.NodeID {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	var ids []micronet.NodeID
	for id, p := range t.peers {
		if p.best(t.self, id, now, t.idle) != nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, micronet.NodeID.Compare)
	return ids
}

func (l *link) info() tunnel.ConnectionInfo {
	stats := l.conn.ConnectionStats()
	f := l.facts()
	info := tunnel.ConnectionInfo{
		Peer: l.peer, Path: micronet.PathDirect, Transport: micronet.TransportQUIC,
		RTT: stats.SmoothedRTT, MTU: l.mtu(), Streams: f.streams,
		SentBytes: stats.BytesSent, ReceivedBytes: stats.BytesReceived, Since: f.since,
	}
	if stats.PacketsSent > 0 {
		// What was declared lost may have arrived late, after which both counts have moved.
		info.Loss = min(1, float64(stats.PacketsLost)/float64(stats.PacketsSent))
	}
	if path, ok := l.tunnel.socket.Path(l.peer); ok {
		info.Remote = path.Remote
		if !path.Relay.IsZero() {
			info.Path, info.Relay = micronet.PathRelay, path.Relay
		}
		if path.TCP {
			info.Transport = micronet.TransportTCP
		}
	}
	return info
}

// mtu asks quic-go for the size of its packets in the one way it offers: by a datagram that is
// too large, which is refused before anything is sent.
func (l *link) mtu() int {
	err := l.conn.SendDatagram(make([]byte, 1<<14))
	if e, ok := errors.AsType[*quicgo.DatagramTooLargeError](err); ok {
		return int(e.MaxDatagramPayloadSize) + packetOverhead
	}
	return 0
}
