package identity

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
)

// A frame is a length of 4 bytes, big-endian, and that many bytes: signatures of fixed length,
// then JSON, which the signatures cover as it was received. Unknown fields are skipped.

// Bounds of frames in bytes, without the length.
const (
	maxJoinRequest = 4 << 10
	maxJoinAnswer  = 64 << 10
)

const joinVersion = 1

type requestBody struct {
	Version  int             `json:"version"`
	Cluster  ClusterID       `json:"cluster"`
	Token    TokenID         `json:"token"`
	Node     micronet.NodeID `json:"node"`
	Name     string          `json:"name"`
	Explicit bool            `json:"explicit"`
}

type answerBody struct {
	Version     int         `json:"version"`
	Error       *wireError  `json:"error,omitempty"`
	Membership  *Membership `json:"membership,omitempty"`
	Credentials [][]byte    `json:"credentials,omitempty"`
	Wall        time.Time   `json:"wall"`

	// With Error alone: by what right the signer speaks. In an admission the membership says it.
	Roots   [][]byte `json:"roots,omitempty"`   // DER
	Issuers [][]byte `json:"issuers,omitempty"` // the grant of a promoted authority, empty when the root signs
}

func writeFrame(w io.Writer, b []byte) error {
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b)))
	_, err := w.Write(append(frame, b...))
	return err
}

func readFrame(r io.Reader, most uint32) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > most {
		return nil, fmt.Errorf("a frame of %d bytes, at most %d are accepted", n, most)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func encodeRequest(b requestBody) ([]byte, error) {
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, internal("join", "write the request: %w", err)
	}
	return raw, nil
}

// decodeRequest splits a request. The names in it are not checked: whoever decides does.
func decodeRequest(frame []byte) (proof, possession []byte, b requestBody, err error) {
	const signatures = 2 * ed25519.SignatureSize
	if len(frame) < signatures {
		return nil, nil, b, invalid("join", "the request is cut short")
	}
	if err := json.Unmarshal(frame[signatures:], &b); err != nil {
		return nil, nil, b, invalid("join", "the request cannot be read: %w", err)
	}
	if b.Version != joinVersion {
		return nil, nil, b, invalid("join", "the request has version %d, this node speaks %d", b.Version, joinVersion).WithFix("run the same version of micro-net on both hosts")
	}
	return frame[:ed25519.SignatureSize], frame[ed25519.SignatureSize:signatures], b, nil
}

// decodeAnswer splits an answer. What it holds is bounded, not verified.
func decodeAnswer(frame []byte) (sig []byte, b answerBody, err error) {
	if len(frame) < ed25519.SignatureSize {
		return nil, b, unauthorized("join", "the answer is cut short")
	}
	if err := json.Unmarshal(frame[ed25519.SignatureSize:], &b); err != nil {
		return nil, b, unauthorized("join", "the answer cannot be read: %w", err)
	}
	if b.Version != joinVersion || (b.Error == nil) == (b.Membership == nil) {
		return nil, b, unauthorized("join", "the answer has version %d or says nothing", b.Version)
	}
	if len(b.Credentials) > MaxJoinCredentials {
		return nil, b, unauthorized("join", "the answer has %d credentials, at most %d are accepted", len(b.Credentials), MaxJoinCredentials)
	}
	for _, c := range b.Credentials {
		if len(c) > MaxCredential {
			return nil, b, unauthorized("join", "the answer has a credential of %d bytes", len(c))
		}
	}
	return frame[:ed25519.SignatureSize], b, nil
}
