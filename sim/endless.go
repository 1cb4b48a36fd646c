package sim

import (
	"context"
	"encoding/binary"
	"net"
)

// The frames of a synchronisation of catalogs; see gossip's frame.go.
const (
	frameDigest   = 1
	frameDocument = 2
	frameWant     = 3
	frameUnknown  = 99
)

// endless is where a stream without end is given up at last.
const endless = 16 << 20

func frame(kind byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))
	return append(append(b, kind), payload...)
}

// closeAtEnd closes a connection when ctx ends, or when what it returns is called.
func closeAtEnd(ctx context.Context, conn net.Conn) (end func()) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return func() {
		if stop() {
			_ = conn.Close()
		}
	}
}
