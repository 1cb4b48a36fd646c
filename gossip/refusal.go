package gossip

import (
	"errors"
	"fmt"

	micronet "github.com/micro/micro-net"
)

// Reason says by which rule a message of the catalog was refused. It is short and constant: a
// metric label.
type Reason string

// The reasons.
const (
	ReasonMalformed    Reason = "malformed"       // not the format
	ReasonFormat       Reason = "other-format"    // of a version that is not known here
	ReasonForeign      Reason = "foreign-cluster" // signed for another cluster
	ReasonVersion      Reason = "bad-version"     // epoch or sequence out of range
	ReasonUnadmitted   Reason = "not-a-member"    // nobody vouches for the owner
	ReasonSignature    Reason = "bad-signature"   //
	ReasonHash         Reason = "bad-hash"        // the items are not those that were signed
	ReasonContent      Reason = "bad-content"     // signed, but against the rules for values
	ReasonEquivocation Reason = "equivocation"    // two documents of one version
	ReasonTooLarge     Reason = "too-large"       // beyond the bound of one document
	ReasonFull         Reason = "catalog-full"    // beyond the bound of all documents
	ReasonRate         Reason = "too-many-updates"
	ReasonQuarantine   Reason = "quarantined"
	ReasonPoison       Reason = "poison" // reading it brings out a fault of ours
)

var reasonKinds = map[Reason]micronet.Kind{
	ReasonMalformed: micronet.Invalid, ReasonFormat: micronet.Invalid, ReasonForeign: micronet.Unauthorized, ReasonVersion: micronet.Invalid,
	ReasonUnadmitted: micronet.Unauthorized, ReasonSignature: micronet.Unauthorized, ReasonHash: micronet.Invalid,
	ReasonContent: micronet.Invalid, ReasonEquivocation: micronet.Refused, ReasonTooLarge: micronet.Invalid,
	ReasonFull: micronet.Overloaded, ReasonRate: micronet.Overloaded, ReasonQuarantine: micronet.Overloaded,
	ReasonPoison: micronet.Internal,
}

// refusal is the cause inside the error of a refused message.
type refusal struct {
	reason Reason
	err    error
}

func (r *refusal) Error() string { return string(r.reason) + ": " + r.err.Error() }
func (r *refusal) Unwrap() error { return r.err }

// refuse builds the error of a refused message.
func refuse(owner micronet.NodeID, reason Reason, format string, args ...any) error {
	return &micronet.Error{
		Op: "catalog.receive", Kind: reasonKinds[reason], Peer: owner,
		Err: &refusal{reason: reason, err: fmt.Errorf(format, args...)},
	}
}

// ReasonOf returns the reason in the error of Receive or Import, "" when there is none.
func ReasonOf(err error) Reason {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.reason
	}
	return ""
}

// BlamedFor returns whose fault a refusal is: the owner's when it signed what is against the rules, or sends
// more than they allow; zero when somebody else may have made the message up or damaged it.
func BlamedFor(err error) micronet.NodeID {
	e, ok := errors.AsType[*micronet.Error](err)
	if !ok {
		return micronet.NodeID{}
	}
	switch ReasonOf(err) {
	case ReasonRate, ReasonQuarantine, ReasonTooLarge, ReasonContent, ReasonEquivocation:
		return e.Peer
	}
	return micronet.NodeID{}
}
