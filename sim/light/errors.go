package light

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
)

// explain turns an error of a connection into one of ours. io.EOF and os.ErrDeadlineExceeded stay,
// as readers and net.Error ask for exactly them.
func explain(op string, peer micronet.NodeID, err error) error {
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, syscall.ECONNRESET):
		return tunnel.ResetError(op, peer, "")
	case errors.Is(err, syscall.EPIPE):
		return readsNoMore(op, peer)
	case errors.Is(err, syscall.ETIMEDOUT):
		return fellSilent(op, peer)
	case errors.Is(err, context.DeadlineExceeded):
		return micronet.E(op, micronet.Timeout, "%w", err).WithPeer(peer)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed):
		return micronet.E(op, micronet.Closed, "%w", err).WithPeer(peer)
	}
	return micronet.E(op, micronet.Internal, "%w", err).WithPeer(peer)
}

// explainHandshake is explain for TLS with a guest. Who takes no guest now resets the connection.
func explainHandshake(err error) error {
	const op = "tunnel.join"
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e
	}
	_, alert := errors.AsType[tls.AlertError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case alert || cert:
		return micronet.E(op, micronet.Unauthorized, "the TLS handshake failed: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return micronet.E(op, micronet.Overloaded, "the peer takes no connection now")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return micronet.E(op, micronet.Timeout, "no answer to the handshake")
	}
	return explain(op, micronet.NodeID{}, err)
}

func readsNoMore(op string, peer micronet.NodeID) error {
	return micronet.E(op, micronet.Closed, "the peer reads no more").WithPeer(peer)
}

func fellSilent(op string, peer micronet.NodeID) error {
	return micronet.E(op, micronet.Unreachable, "the peer fell silent").WithPeer(peer)
}

func closedHere(op string, peer micronet.NodeID) error {
	return micronet.E(op, micronet.Closed, "the stream was closed here").WithPeer(peer)
}
