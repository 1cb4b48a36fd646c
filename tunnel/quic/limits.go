package quic

import (
	"time"

	quicgo "github.com/quic-go/quic-go"
)

// Bounds of what waits. Whoever meets one is refused and counted in Events.PacketDropped.
const (
	// InboundQueue bounds the streams that wait for Accept; a further one is refused with
	// Overloaded.
	InboundQueue = 1024
	// maxWaiting bounds the inbound streams whose opening frame is not there yet, over all peers;
	// maxWaitingPerLink those of one connection, so that one peer cannot take all. A further one
	// is reset.
	maxWaiting        = 4096
	maxWaitingPerLink = 1024
	// maxStreams bounds the streams that a peer may have open on one connection; its further
	// Opens wait.
	maxStreams = 65536
	// maxLinks bounds the connections kept with one peer; the one used longest ago is closed.
	maxLinks = 4
	// maxHandshakes bounds the connections that peers have begun and not finished,
	// maxHandshakesPerPeer those of one peer; further ones are refused. Above retryAbove and
	// retryAbovePerPeer an address first has to prove itself.
	maxHandshakes        = 1024
	maxHandshakesPerPeer = 16
	retryAbove           = 64
	retryAbovePerPeer    = 4
)

// Times. Detection of a silent peer takes keepAlive plus silence: quic-go counts silence from
// the first unanswered packet.
const (
	keepAlive     = time.Second
	silence       = 2 * time.Second
	handshakeIdle = 5 * time.Second
	dialTime      = 10 * time.Second
	openingTime   = 5 * time.Second // for the opening frame of an inbound stream
	simultaneous  = dialTime        // connections that came up closer together were dialled at once
	linger        = 5 * time.Second // a connection that lost against another is kept so long without streams
	minIdle       = 10 * time.Second
	gossipIdle    = 10 * time.Second // Config.Idle of a connection that carried nothing but gossip
	guestSilence  = 5 * time.Second
	guestLinger   = time.Second // a guest waits so long for the member to end the connection
	minTick       = time.Second
	ticksPerIdle  = 12 // how often in Config.Idle idle connections are looked for
	sparesPerIdle = 10 // see usable
)

// maxWords bounds the reason that goes out with the end of a connection, bytes.
const maxWords = 256

// packetOverhead is what quic-go keeps free of a packet: type byte, connection id, tag.
const packetOverhead = 1 + 20 + 16

// Windows, bytes. A stream that nobody reads holds up to streamWindow, one whose reader kept up
// and then stopped up to streamWindowMax; all streams of a connection together hold up to
// linkWindow, which quic-go raises to linkWindowMax for readers that keep up. The connection's
// window is many times a stream's, so that a few readers that stopped do not stall the others.
// Larger windows were measured to gain nothing.
const (
	streamWindow    = 512 << 10
	streamWindowMax = 6 << 20
	linkWindow      = 8 << 20
	linkWindowMax   = 24 << 20
)

// quicConfig is what connections between members use. mtu says whether packets can be kept from
// being fragmented, without which a path's size cannot be measured.
func quicConfig(mtu bool) *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           handshakeIdle,
		MaxIdleTimeout:                 silence,
		KeepAlivePeriod:                keepAlive,
		InitialStreamReceiveWindow:     streamWindow,
		MaxStreamReceiveWindow:         streamWindowMax,
		InitialConnectionReceiveWindow: linkWindow,
		MaxConnectionReceiveWindow:     linkWindowMax,
		MaxIncomingStreams:             maxStreams,
		MaxIncomingUniStreams:          -1,
		InitialPacketSize:              1200,
		DisablePathMTUDiscovery:        !mtu,
		EnableDatagrams:                true,
	}
}

// guestConfig is what a connection to or from a guest uses: one stream, small windows.
func guestConfig() *quicgo.Config {
	return &quicgo.Config{
		HandshakeIdleTimeout:           handshakeIdle,
		MaxIdleTimeout:                 guestSilence,
		InitialStreamReceiveWindow:     64 << 10,
		MaxStreamReceiveWindow:         64 << 10,
		InitialConnectionReceiveWindow: 64 << 10,
		MaxConnectionReceiveWindow:     64 << 10,
		MaxIncomingStreams:             1,
		MaxIncomingUniStreams:          -1,
		InitialPacketSize:              1200,
		DisablePathMTUDiscovery:        true,
	}
}
