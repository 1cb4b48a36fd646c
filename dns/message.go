package dns

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// Type is the type of a record or a question (RFC 1035 section 3.2.2 and its successors).
type Type uint16

// The types that are answered here. All others exist for nobody: their answer is empty.
const (
	TypeA     Type = 1
	TypeNS    Type = 2
	TypeSOA   Type = 6
	TypePTR   Type = 12
	TypeHINFO Type = 13
	TypeTXT   Type = 16
	TypeAAAA  Type = 28
	TypeSRV   Type = 33
	TypeANY   Type = 255
)

var typeNames = map[Type]string{
	TypeA: "A", TypeNS: "NS", 5: "CNAME", TypeSOA: "SOA", TypePTR: "PTR", TypeHINFO: "HINFO", 15: "MX", TypeTXT: "TXT",
	TypeAAAA: "AAAA", TypeSRV: "SRV", 35: "NAPTR", 43: "DS", 48: "DNSKEY", 64: "SVCB", 65: "HTTPS", TypeANY: "ANY",
}

// String returns the mnemonic, or TYPE123 (RFC 3597 section 5).
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("TYPE%d", uint16(t))
}

// ParseType reads what String wrote, in any case.
func ParseType(s string) (Type, error) {
	s = strings.ToUpper(s)
	for t, name := range typeNames {
		if name == s {
			return t, nil
		}
	}
	var n uint16
	if _, err := fmt.Sscanf(s, "TYPE%d", &n); err == nil && Type(n).String() == s {
		return Type(n), nil
	}
	return 0, fmt.Errorf("%q is no type of DNS record: want A, AAAA, SRV, TXT, PTR, SOA, NS or TYPE123", s)
}

// Rcode is the result of a question (RFC 1035 section 4.1.1, RFC 6891 section 9).
type Rcode uint16

// The results.
const (
	NoError        Rcode = 0
	FormatError    Rcode = 1
	ServerFailure  Rcode = 2
	NameError      Rcode = 3 // NXDOMAIN
	NotImplemented Rcode = 4
	Refused        Rcode = 5
	BadVersion     Rcode = 16
)

var rcodeNames = map[Rcode]string{
	NoError: "NOERROR", FormatError: "FORMERR", ServerFailure: "SERVFAIL", NameError: "NXDOMAIN",
	NotImplemented: "NOTIMP", Refused: "REFUSED", BadVersion: "BADVERS",
}

// String returns the mnemonic, or RCODE12.
func (r Rcode) String() string {
	if s, ok := rcodeNames[r]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", uint16(r))
}

// Question is one question of class IN.
type Question struct {
	Name string // absolute, in presentation form (RFC 1035 section 5.1), in the asker's case
	Type Type
}

// Record is one record of class IN. Which fields count follows from Type.
type Record struct {
	Name     string // absolute, in presentation form
	Type     Type
	TTL      uint32     // seconds
	Addr     netip.Addr // A, AAAA
	Target   string     // SRV, PTR, NS; absolute
	Priority uint16     // SRV
	Weight   uint16     // SRV
	Port     uint16     // SRV
	Text     []string   // TXT: the strings, each at most 255 bytes; HINFO: CPU and OS
	SOA      *SOA       // SOA
}

// SOA is what stands in a start of authority; its timers are those of Record.TTL and Zone.
type SOA struct {
	Server, Mailbox                         string // absolute
	Serial, Refresh, Retry, Expire, Minimum uint32 // seconds, but for Serial
}

// Codes of extended errors (RFC 8914 section 4).
const (
	ReasonOther            uint16 = 0
	ReasonNotReady         uint16 = 14
	ReasonProhibited       uint16 = 18
	ReasonNotAuthoritative uint16 = 20
	ReasonNoneReachable    uint16 = 22
)

// Reason is an extended error: why an answer is not what the asker hoped for.
type Reason struct {
	Code uint16
	Text string // one sentence
}

// Answer is the answer to a Question.
type Answer struct {
	Rcode      Rcode
	Answers    []Record
	Authority  []Record
	Additional []Record // may be left out when there is no room
	Reason     *Reason  // nil: nothing to explain
}

// Handler answers the questions it owns. It may be called from several goroutines.
type Handler interface {
	// Serve returns mine == false for a question that somebody else has to answer.
	Serve(ctx context.Context, q Question) (a Answer, mine bool)
}

// Chain is a Handler that asks several, in order.
type Chain []Handler

// Serve returns the answer of the first that owns the question.
func (c Chain) Serve(ctx context.Context, q Question) (Answer, bool) {
	for _, h := range c {
		if a, mine := h.Serve(ctx, q); mine {
			return a, true
		}
	}
	return Answer{}, false
}
