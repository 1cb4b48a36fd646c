package identity

import (
	"crypto/ed25519"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// Two statements end somebody's right to issue and revoke nobody. Only a root can make them. A certificate that
// was issued before counts on until it ends; what is issued after that, by a right given before, counts for
// nothing. What an authority has stated by that right counts no more, see gossip.Ledger.
//
//	kind      subject                                          body
//	demotion  authority's key 32 │ statement's own clock 8      empty, fields of newer versions
//	root      hash of a root's key 32                          that root's certificate: it is trusted, too
//	root      hash of a root's key 32 │ statement's own clock 8 that root's certificate: it alone goes on, the
//	                                                           root that signed ends
//
// The clock in the subject makes each of them one of its own: none supersedes another. So nobody can take
// an end back, not even who ended.

const (
	clockLen   = 8
	demotedLen = ed25519.PublicKeySize + clockLen
	endedLen   = len(RootHash{}) + clockLen
)

// maxDemotionRest is the room for fields of newer versions.
const maxDemotionRest = 64

// Demote signs that a key is no authority from clock on, which is one above all that are known.
func (a *Authority) Demote(now time.Time, clock Clock, id micronet.NodeID) ([]byte, error) {
	return a.State(now, Statement{Kind: StatementDemotion, Subject: withClock8(id[:], clock), Clock: clock})
}

// Announce signs that another root, which has taken over from this one, is to be trusted, too.
func (a *Authority) Announce(now time.Time, clock Clock, next Root) ([]byte, error) {
	hash := next.Hash()
	return a.State(now, Statement{Kind: StatementRoot, Subject: hash[:], Clock: clock, Body: next.Certificate})
}

// Retire signs that this root ends, and the next one goes on alone.
func (a *Authority) Retire(now time.Time, clock Clock, next Root) ([]byte, error) {
	hash := next.Hash()
	return a.State(now, Statement{Kind: StatementRoot, Subject: withClock8(hash[:], clock), Clock: clock, Body: next.Certificate})
}

func withClock8(b []byte, c Clock) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(b)+clockLen), b...), uint64(c))
}

// Ends returns whose right to issue ends with this statement, zero when nobody's does. What VerifyStatement
// returned is asked, or what it has read.
func (s Statement) Ends() micronet.NodeID {
	switch {
	case s.Kind == StatementDemotion && len(s.Subject) == demotedLen:
		return micronet.NodeID(s.Subject[:ed25519.PublicKeySize])
	case s.Kind == StatementRoot && len(s.Subject) == endedLen:
		return s.Issuer
	}
	return micronet.NodeID{}
}

// checkEnding reports why a statement that only a root can make is none.
func (s Statement) checkEnding(cluster ClusterID) error {
	if !s.Root {
		return refused("statement", "only the root key can say this").WithFix("import the root key, or ask the node that has it")
	}
	if n := len(s.Subject); (n == demotedLen || n == endedLen) && Clock(binary.BigEndian.Uint64(s.Subject[n-clockLen:])) != s.Clock {
		return invalid("statement", "its subject has another clock than the statement")
	}
	if s.Kind == StatementDemotion {
		return s.checkDemotion()
	}
	return s.checkRoot(cluster)
}

func (s Statement) checkDemotion() error {
	if len(s.Subject) != demotedLen || len(s.Body) > maxDemotionRest {
		return invalid("demote", "the demotion does not name a public key and its own clock")
	}
	if id := s.Ends(); id.IsZero() || id == s.Issuer {
		return refused("demote", "the root key cannot be demoted").WithFix("replace it: `micro-net node root rotate`")
	}
	return nil
}

func (s Statement) checkRoot(cluster ClusterID) error {
	c, err := parseCertificate("root", s.Body)
	if err != nil {
		return err
	}
	if n := len(s.Subject); (n != len(RootHash{}) && n != endedLen) || hashRoot(publicKey(c)) != hashOfSubject(s.Subject) {
		return invalid("root", "the statement does not name the root that it holds")
	}
	signer := func(key ed25519.PublicKey) bool { return issuerOf(key) == s.Issuer }
	if !isHeir(c, cluster, signer) {
		return unauthorized("root", "the new root has not taken over from the one that signed")
	}
	return nil
}

// issuerOf is a key as the name of who issues.
func issuerOf(key ed25519.PublicKey) micronet.NodeID {
	if len(key) != ed25519.PublicKeySize {
		return micronet.NodeID{}
	}
	return micronet.NodeID(key)
}

// endings are when the right of authorities and roots to issue has ended. It is never changed.
type endings map[micronet.NodeID][]Clock

// SetEnded replaces whose right to issue has ended and when, which the Trust keeps as its own. It stays when
// roots change, and goes with the cluster.
func (t *Trust) SetEnded(issuers map[micronet.NodeID][]Clock) {
	if !maps.EqualFunc(t.snapshot().ended, issuers, slices.Equal) {
		t.change(func(s *rootSet) { s.ended = issuers })
	}
}

// Ended reports whether the right to issue that was given to a key at a moment has ended since.
func (t *Trust) Ended(id micronet.NodeID, given time.Time) bool {
	return t.snapshot().ended.over(id, given)
}

// EndedAt returns when the right of a key to issue ended last, zero for never.
func (t *Trust) EndedAt(id micronet.NodeID) (last time.Time) {
	for _, at := range t.snapshot().ended[id] {
		if end := at.Time(); end.After(last) {
			last = end
		}
	}
	return last
}

// over reports whether a right that was given then has ended since.
func (e endings) over(id micronet.NodeID, given time.Time) bool {
	for _, at := range e[id] {
		if !given.After(at.Time()) {
			return true
		}
	}
	return false
}

// issued refuses what was made for w after the maker's right had ended. given is when it got that right, zero
// at a root; most is how long what it makes may hold. As dates are the maker's own, what holds longer than
// anything from before the end can was made after it.
func (e endings) issued(op string, id micronet.NodeID, given time.Time, w window, most time.Duration) error {
	for _, at := range e[id] {
		end := at.Time()
		if !given.After(end) && (w.issued().After(end) || w.to.After(end.Add(most))) {
			return unauthorized(op, "%s, which issued it, was %w", id.Short(), ErrVoid)
		}
	}
	return nil
}
