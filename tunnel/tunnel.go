package tunnel

import (
	"context"
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

// Tunnel opens streams to nodes, by identity and never by address. One connection per pair of
// nodes is opened on demand, closed when idle and opened again when needed.
//
// All methods may be called from several goroutines. Implementations: NewPipe (in memory) and
// quic.New. Conform is the suite that both pass.
type Tunnel interface {
	// Open starts a stream. It returns once the opening frame is on its way (dialling first if
	// there is no connection); what is written next follows in the same flight. ctx bounds
	// Open alone, not the stream.
	Open(ctx context.Context, to micronet.NodeID, o Opening) (Outbound, error)
	// Accept returns the next stream that a peer opened.
	Accept(ctx context.Context) (Inbound, error)
	// Connections lists the open connections, sorted by peer.
	Connections() []ConnectionInfo
	// Disconnect closes the connection to a peer and resets its streams.
	Disconnect(peer micronet.NodeID, reason string)
	// Run carries everything until ctx ends, then closes all connections and returns. Streams
	// that are open then end with an error that is net.ErrClosed.
	Run(ctx context.Context) error
}

// Stream is a reliable byte stream to another node. Close ends both directions politely: what
// was written is still delivered. Abort resets both directions at once; the other side's reads
// and writes then fail with an error that IsReset reports.
type Stream interface {
	net.Conn
	CloseWrite() error
	Abort()
}

// Outbound is a stream that this node opened.
type Outbound interface {
	Stream
	// Answered waits for the peer's answer to the opening frame: nil when it was accepted, an
	// *micronet.Error with the peer's kind and words when it was refused, a Timeout, Unreachable
	// or Closed when no answer came. It may be called many times, and while others read or write.
	// Read returns no byte before the answer arrived.
	Answered(ctx context.Context) error
}

// Inbound is a stream that a peer opened. Exactly one of Accept and Refuse is called, before
// the first write.
type Inbound interface {
	Stream
	From() micronet.NodeID
	Opening() Opening
	Accept() error
	// Refuse answers with a kind and one sentence, and closes the stream. Payload that came
	// with the opening frame is discarded.
	Refuse(kind micronet.Kind, reason string) error
}

// Purpose tells what a stream is for.
type Purpose uint8

// The purposes of a stream. Numbers are wire values and are never reused.
const (
	PurposeService    Purpose = 1 // one TCP connection of a program
	PurposeMembership Purpose = 2 // memberlist's streams
	PurposeCatalog    Purpose = 3 // fetching records
	PurposeControl    Purpose = 4 // requests between daemons: renewals, drains, invitations
	PurposeLedger     Purpose = 5 // comparing what the authorities have said
	PurposeCarrier    Purpose = 6 // a stream that has lost its lane, see package lane
)

// Opening is the first frame of a stream. Unknown fields of newer peers are skipped.
type Opening struct {
	Purpose  Purpose
	Service  string // PurposeService: the name asked for
	Instance string // PurposeService: the instance that the caller's router chose
	Caller   string // the calling service, as the caller's node attests it
	Trace    string // W3C traceparent
}

// ConnectionInfo is one open connection.
type ConnectionInfo struct {
	Peer          micronet.NodeID
	Path          micronet.PathKind
	Transport     micronet.TransportKind
	Remote        netip.AddrPort  // the real address packets go to now
	Relay         micronet.NodeID // of a relayed path: whose address that is
	RTT           time.Duration
	Loss          float64 // 0 to 1, of packets sent
	MTU           int     // largest packet, bytes
	Streams       int
	Lanes         int // of how many lanes this is the sum, 0 for a connection of another kind
	SentBytes     uint64
	ReceivedBytes uint64
	Since         time.Time
}
