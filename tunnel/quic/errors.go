package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"os"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	quicgo "github.com/quic-go/quic-go"
)

// Codes with which a stream is cut short. They are wire values and are never reused.
const (
	streamDone     quicgo.StreamErrorCode = 0 // nothing more is read, politely
	streamAborted  quicgo.StreamErrorCode = 1
	streamRefused  quicgo.StreamErrorCode = 2 // the answer frame says why
	streamOverload quicgo.StreamErrorCode = 3 // too many streams wait
	streamOpening  quicgo.StreamErrorCode = 4 // the opening frame is late or wrong
)

// Codes with which a connection is closed. They are wire values and are never reused.
const (
	linkIdle         quicgo.ApplicationErrorCode = 0 // no streams for a while, or another connection took over
	linkStopped      quicgo.ApplicationErrorCode = 1 // the node stops
	linkDisconnected quicgo.ApplicationErrorCode = 2 // by Disconnect
	linkUnauthorized quicgo.ApplicationErrorCode = 3 // not who the address stands for
	linkOverloaded   quicgo.ApplicationErrorCode = 4
)

// firstAlert and lastAlert bound the transport errors that are TLS alerts (RFC 9001 section 4.8).
const (
	firstAlert quicgo.TransportErrorCode = 0x100
	lastAlert  quicgo.TransportErrorCode = 0x1ff
)

// explain turns an error of quic-go into one of ours. io.EOF and os.ErrDeadlineExceeded stay, as
// readers and net.Error ask for exactly them.
func explain(op string, peer micronet.NodeID, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return io.EOF
	}
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*quicgo.StreamError](err); ok {
		return explainStream(op, peer, e)
	}
	if e, ok := errors.AsType[*quicgo.ApplicationError](err); ok {
		return explainClose(op, peer, e)
	}
	if e, ok := errors.AsType[*quicgo.TransportError](err); ok {
		return explainTransport(op, peer, e)
	}
	return explainSilence(op, peer, err)
}

// endedConn reports whether an error of opening a stream, other than that of the caller's context,
// means the end of the connection. quic-go tells the streams of an end before the connection's
// context, so that the context is no witness.
func endedConn(err error) bool {
	_, stream := errors.AsType[*quicgo.StreamError](err)
	return err != nil && !stream
}

func explainStream(op string, peer micronet.NodeID, e *quicgo.StreamError) error {
	switch {
	case !e.Remote:
		return micronet.E(op, micronet.Closed, "the stream was closed here").WithPeer(peer)
	case e.ErrorCode == streamDone:
		return micronet.E(op, micronet.Closed, "the peer reads no more").WithPeer(peer)
	case e.ErrorCode == streamRefused:
		return micronet.E(op, micronet.Closed, "the peer refused the stream").WithPeer(peer)
	case e.ErrorCode == streamOverload:
		return micronet.E(op, micronet.Overloaded, "too many streams wait at the peer").WithPeer(peer)
	}
	return tunnel.ResetError(op, peer, "")
}

func explainClose(op string, peer micronet.NodeID, e *quicgo.ApplicationError) error {
	switch e.ErrorCode {
	case linkUnauthorized:
		return micronet.E(op, micronet.Unauthorized, "%s", e.ErrorMessage).WithPeer(peer)
	case linkOverloaded:
		return micronet.E(op, micronet.Overloaded, "%s", e.ErrorMessage).WithPeer(peer)
	}
	if e.Remote {
		return tunnel.ResetError(op, peer, "the peer closed the connection: "+e.ErrorMessage)
	}
	return micronet.E(op, micronet.Closed, "the connection was closed here: %s", e.ErrorMessage).WithPeer(peer)
}

func explainTransport(op string, peer micronet.NodeID, e *quicgo.TransportError) error {
	switch {
	case e.ErrorCode >= firstAlert && e.ErrorCode <= lastAlert:
		return micronet.E(op, micronet.Unauthorized, "the TLS handshake failed: %w", e).WithPeer(peer)
	case e.ErrorCode == quicgo.ConnectionRefused:
		return micronet.E(op, micronet.Overloaded, "the peer takes no connection now").WithPeer(peer)
	}
	return micronet.E(op, micronet.Internal, "QUIC failed: %w", e).WithPeer(peer)
}

func explainSilence(op string, peer micronet.NodeID, err error) error {
	if _, ok := errors.AsType[*quicgo.IdleTimeoutError](err); ok {
		return micronet.E(op, micronet.Unreachable, "the peer fell silent").WithPeer(peer)
	}
	if _, ok := errors.AsType[*quicgo.HandshakeTimeoutError](err); ok {
		return noAnswer(op, peer)
	}
	if _, ok := errors.AsType[*quicgo.StatelessResetError](err); ok {
		return tunnel.ResetError(op, peer, "the peer has restarted")
	}
	if _, ok := errors.AsType[*quicgo.VersionNegotiationError](err); ok {
		return micronet.E(op, micronet.Refused, "%w", err).WithPeer(peer)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case errors.Is(err, context.DeadlineExceeded):
		return micronet.E(op, micronet.Timeout, "%w", err).WithPeer(peer)
	case errors.Is(err, context.Canceled), errors.Is(err, net.ErrClosed):
		return micronet.E(op, micronet.Closed, "%w", err).WithPeer(peer)
	}
	return micronet.E(op, micronet.Internal, "%w", err).WithPeer(peer)
}

func noAnswer(op string, peer micronet.NodeID) error {
	return micronet.E(op, micronet.Timeout, "no answer to the handshake").WithPeer(peer).
		WithFix("is the peer running, and is UDP or TCP 8085 open between the two hosts?")
}
