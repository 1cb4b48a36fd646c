package tunnel

import (
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

// Peer is what the path layer must know of a node before it can send to it. It is made from a
// verified credential, never from an unsigned word.
type Peer struct {
	ID         micronet.NodeID
	BoxKey     [32]byte         // X25519 public key for sealed packets
	Credential []byte           // as received; what BoxKey and Endpoints were read from
	Endpoints  []netip.AddrPort // candidates, best first
	Machine    string           // equal to ours when the peer is in our network namespace; only then are its loopback endpoints tried
	Expires    time.Time        // end of the credential
	Relay      bool             // it forwards the packets of others
	TCP        uint16           // the port at which it takes trunks, TCPSamePort, or 0: it takes none
	Relays     []RelayTag       // relays that it keeps in touch with: those who cannot reach it may over them
}

// TCPSamePort, as the port at which a peer takes trunks, is that of each of its endpoints: so it is right behind port
// forwardings too.
const TCPSamePort = 1

// RelayTag names a relay in a credential: the first 8 bytes of SHA-256 of its id.
type RelayTag uint64

// Local is this node's own side of sealed packets. It changes when a credential is renewed or
// endpoints change, and is empty before the node has joined.
type Local struct {
	ID         micronet.NodeID
	BoxPrivate [32]byte
	Credential []byte // at most MaxCredential bytes, sent to those who have not answered yet
	Machine    string
	Relay      bool // forward the packets of others
}

// Verify reads and checks a credential that came over the network. It is called from the read
// loop: it must not block.
type Verify func(credential []byte) (Peer, error)

// MaxCredential bounds a credential: it travels in memberlist's metadata, whose limit is 512.
const MaxCredential = 512

// Channel tells apart the users of sealed packets. Numbers are wire values.
type Channel uint8

// The channels. Numbers are wire values and are never reused.
const (
	ChannelMembership Channel = 1 // memberlist's packets
	ChannelHeartbeat  Channel = 2 // signs of life
	channelPieces     Channel = 3 // QUIC packets that are too large for the path, in two; tests of its size
	ChannelStatement  Channel = 4 // what an authority has said, to whom it is about
)

// MaxPacket is the largest payload of one sealed packet: with the frame's own bytes it stays
// within QUIC's 1200-byte minimum, which every path is asked to carry.
const MaxPacket = 1100

// Receive takes one sealed packet's payload. It is called from the read loop: it must copy what
// it keeps, and must not block.
type Receive func(from micronet.NodeID, payload []byte, at time.Time)

// PathInfo is how a peer is reached now.
type PathInfo struct {
	Peer      micronet.NodeID
	Remote    netip.AddrPort  // zero when no way is known; with a relay, where that is
	Relay     micronet.NodeID // over whom, zero: directly
	TCP       bool            // over a trunk
	Confirmed bool            // an authenticated answer came back over it
	InVain    bool            // a way was looked for, and none answers
	RTT       time.Duration   // smoothed, 0 when not measured
	Heard     time.Time       // last authenticated packet from the peer, zero for never
	Lane      netip.AddrPort  // where the peer takes connections over TCP at the address in use, zero for nowhere
}
