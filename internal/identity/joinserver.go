package identity

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
)

// JoinRequest is a guest's request whose proof of the node key has been verified. The token's
// proof has not: Redeem does that with Claim.
type JoinRequest struct {
	Node  micronet.NodeID
	Wish  Wish
	Claim Claim
}

// JoinAnswer is what an admitted guest gets.
type JoinAnswer struct {
	Membership  Membership
	Credentials [][]byte  // of members to begin with, at most MaxJoinCredentials
	Wall        time.Time // this host's clock
}

// Admit decides about a guest. In this order it redeems the claim, chooses the name, writes the
// token book to disk, and issues; an error is told to the guest with its kind and words, but for
// Internal ones.
type Admit func(JoinRequest) (JoinAnswer, error)

// ServeJoin answers one guest over a connection made with JoinServer. It returns why the guest
// was not admitted, also when the guest has been told. The caller bounds the time.
func ServeJoin(rw io.ReadWriter, exporter Exporter, a *Authority, admit Admit) error {
	binding, err := exportBinding(exporter)
	if err != nil {
		return err
	}
	frame, err := readFrame(rw, maxJoinRequest)
	if err != nil {
		return micronet.E("identity.join", micronet.Unreachable, "read the request: %w", err)
	}
	answer, err := a.answer(binding, frame, admit)
	body, encodeErr := a.encodeAnswer(answer, err)
	if encodeErr != nil {
		return errors.Join(err, encodeErr)
	}
	sig := ed25519.Sign(a.key, message(domainAnswer, a.cluster, binding, body))
	if sendErr := writeFrame(rw, append(sig, body...)); sendErr != nil {
		return errors.Join(err, micronet.E("identity.join", micronet.Unreachable, "send the answer: %w", sendErr))
	}
	return err
}

func (a *Authority) answer(binding, frame []byte, admit Admit) (JoinAnswer, error) {
	r, err := a.openRequest(binding, frame)
	if err != nil {
		return JoinAnswer{}, err
	}
	answer, err := admit(r)
	if err != nil {
		return JoinAnswer{}, err
	}
	answer.Credentials = answer.Credentials[:min(len(answer.Credentials), MaxJoinCredentials)]
	return answer, nil
}

func (a *Authority) openRequest(binding, frame []byte) (JoinRequest, error) {
	proof, possession, b, err := decodeRequest(frame)
	if err != nil {
		return JoinRequest{}, err
	}
	if b.Cluster != a.cluster {
		return JoinRequest{}, refused("join", "the token is for another cluster than %q", a.clusterName)
	}
	body := frame[len(proof)+len(possession):]
	if !verify(b.Node[:], message(domainPossession, a.cluster, binding, body), possession) {
		return JoinRequest{}, unauthorized("join", "the guest does not hold the key that it names").WithPeer(b.Node)
	}
	return JoinRequest{
		Node: b.Node,
		Wish: Wish{Name: b.Name, Explicit: b.Explicit},
		Claim: Claim{
			Kind: JoinToken, Token: b.Token, Node: b.Node, Name: b.Name, Explicit: b.Explicit,
			Message: message(domainProof, a.cluster, binding, body), Proof: proof,
		},
	}, nil
}

func (a *Authority) encodeAnswer(answer JoinAnswer, refusal error) ([]byte, error) {
	b := answerBody{Version: joinVersion, Wall: answer.Wall.UTC()}
	if refusal != nil {
		b.Error, b.Roots, b.Issuers = toWire(refusal), a.roots, a.grants
	} else {
		b.Membership, b.Credentials = &answer.Membership, answer.Credentials
	}
	raw, err := json.Marshal(b)
	if err == nil && len(raw)+ed25519.SignatureSize > maxJoinAnswer {
		err = fmt.Errorf("it has %d bytes", len(raw))
	}
	if err != nil {
		return nil, internal("join", "write the answer: %w", err)
	}
	return raw, nil
}

// toWire leaves out our operation names, and of our own faults everything.
func toWire(err error) *wireError {
	e, ok := errors.AsType[*micronet.Error](err)
	if !ok || e.Kind == micronet.Internal {
		return &wireError{Kind: micronet.Internal.String(), Text: "it could not admit this node because of a fault of its own", Fix: "see the log of the authority"}
	}
	return &wireError{Kind: e.Kind.String(), Text: e.Err.Error(), Fix: e.Fix}
}
