package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
)

// Issuance is one line of an authority's log of what it issued.
type Issuance struct {
	Number uint64          `json:"number"` // 1, 2, 3… without a gap
	Time   time.Time       `json:"time"`   // by the authority's clock
	What   string          `json:"what"`   // one of the words below
	Serial string          `json:"serial"` // of certificate and grant, hexadecimal
	Node   micronet.NodeID `json:"node"`   // whose key it is for
	Name   string          `json:"name"`
	Ends   time.Time       `json:"ends"`            // when what was issued ends
	Token  *TokenID        `json:"token,omitempty"` // that was used for it
	Prev   string          `json:"prev"`            // hash of the line before, hexadecimal
}

// What an authority issues.
const (
	IssuedFound   = "found"   // the founder's own membership
	IssuedJoin    = "join"    // a membership for a token
	IssuedRenewal = "renewal" // a membership for a member
	IssuedPromote = "promote" // the right to issue
	// IssuedRevocation ends what was issued to a node. It has no serial and no end of its own.
	IssuedRevocation = "revoke"
	// IssuedDamaged says that lines after the one before were lost. It has no serial and no end either.
	IssuedDamaged = "damaged"
)

// MaxIssuance bounds a line in bytes, its end included.
const MaxIssuance = 1024

// IssuanceLog is where the chain of a log stands: how many lines it has and the hash of the last one.
// It is a value. A log is a file that only grows: one JSON object per line, each with the hash of the
// line before, the first with the hash of the cluster's id, and a checksum of its own at its end. Whoever
// changes a line changes all hashes after it.
type IssuanceLog struct {
	Count uint64
	Head  [sha256.Size]byte
}

const issuanceDomain = "micro-net issuance v1\x00"

// NewIssuanceLog begins the log of a cluster's authority.
func NewIssuanceLog(cluster ClusterID) IssuanceLog {
	return IssuanceLog{Head: sha256.Sum256(append([]byte(issuanceDomain), cluster[:]...))}
}

// Issued says what a membership is for the log.
func (m Membership) Issued(what string, now time.Time) (Issuance, error) {
	g, err := ParseGrant(m.Grant)
	if err != nil {
		return Issuance{}, err
	}
	return Issuance{Time: now, What: what, Serial: hex.EncodeToString(g.Serial[:]), Node: g.ID, Name: m.Name, Ends: m.NotAfter}, nil
}

// Issued says what a promotion is for the log.
func (p Promotion) Issued(name string, now time.Time) (Issuance, error) {
	g, err := ParseGrant(p.Grant)
	if err != nil {
		return Issuance{}, err
	}
	return Issuance{Time: now, What: IssuedPromote, Serial: hex.EncodeToString(g.Serial[:]), Node: g.ID, Name: name, Ends: g.NotAfter}, nil
}

// Append returns the next line and the log after it. Write the line to disk before what it
// speaks of leaves the authority.
func (l IssuanceLog) Append(i Issuance) (line []byte, next IssuanceLog, err error) {
	i.Number, i.Prev = l.Count+1, hex.EncodeToString(l.Head[:])
	i.Time, i.Ends = i.Time.UTC().Truncate(time.Millisecond), i.Ends.UTC()
	line, err = json.Marshal(i)
	line = seal(line)
	if err == nil && len(line)+1 > MaxIssuance {
		err = invalid("log", "the line has %d bytes", len(line))
	}
	if err != nil {
		return nil, l, internal("log", "write a line of the issuance log: %w", err)
	}
	return append(line, '\n'), l.after(line), nil
}

// A line ends in a checksum, as the last one has no other that speaks for it: sealBegin, hexadecimal, sealEnd.
const (
	sealBegin = `,"sum":"`
	sealEnd   = `"}`
	sealLen   = len(sealBegin) + 2*checksumLen + len(sealEnd)
)

// seal puts the checksum of a JSON object into it as its last field.
func seal(object []byte) []byte {
	object = bytes.TrimSuffix(object, []byte("}"))
	return fmt.Appendf(nil, "%s%s%x%s", object, sealBegin, checksum(object), sealEnd)
}

func isSealed(line []byte) bool {
	n := len(line) - sealLen
	return n >= 0 && bytes.Equal(line, seal(line[:n]))
}

func (l IssuanceLog) after(line []byte) IssuanceLog {
	return IssuanceLog{l.Count + 1, sha256.Sum256(append([]byte(issuanceDomain), line...))}
}

// Read verifies lines that follow on l. A last line that was not written whole is left out, as nothing
// was issued for it: whole is how many bytes come before it. Everything else that is wrong is an
// error, which names the line; what comes before that is returned with it.
func (l IssuanceLog) Read(raw []byte) (list []Issuance, next IssuanceLog, whole int, err error) {
	for next = l; whole < len(raw); {
		line, rest, ended := bytes.Cut(raw[whole:], []byte{'\n'})
		if torn := !ended || (len(rest) == 0 && bytes.IndexByte(line, 0) >= 0); torn {
			return list, next, whole, nil
		}
		i, err := next.read(line)
		if err != nil {
			return list, next, whole, err
		}
		list, next, whole = append(list, i), next.after(line), whole+len(line)+1
	}
	return list, next, whole, nil
}

// read checks the line that follows on l.
func (l IssuanceLog) read(line []byte) (Issuance, error) {
	var i Issuance
	if len(line)+1 > MaxIssuance || !isSealed(line) || json.Unmarshal(line, &i) != nil {
		return Issuance{}, invalid("log", "line %d of the issuance log is damaged", l.Count+1)
	}
	if i.Number != l.Count+1 || i.Prev != hex.EncodeToString(l.Head[:]) {
		return Issuance{}, invalid("log", "line %d of the issuance log does not follow on the line before: one of the two was changed, or lines are missing", l.Count+1)
	}
	return i, nil
}
