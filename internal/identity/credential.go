package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/cryptobyte"
)

// MaxCredential is the longest credential in bytes: it travels in memberlist's metadata.
const MaxCredential = 512

// MaxEndpoints is how many addresses a credential carries at most.
const MaxEndpoints = 6

// MaxRelays is how many relays a credential names at most.
const MaxRelays = 2

// Flags are what a node says of itself. Bits are wire values; unknown ones are kept.
type Flags uint8

// The flags of a node.
const (
	FlagGateway Flags = 1 << 0 // carries traffic between linked clusters
	FlagRelay   Flags = 1 << 1 // forwards other nodes' packets
	// FlagAuthority says that the node can sign, so that others know whom to ask. It proves nothing.
	FlagAuthority Flags = 1 << 2
	// FlagRoot says that the cluster's root key is there, which makes authorities. It proves nothing.
	FlagRoot Flags = 1 << 3
)

// Self is what a node states about itself.
type Self struct {
	Epoch     uint64           // counts the node's starts
	Seq       uint64           // counts credentials within an epoch
	Machine   [16]byte         // equal for two nodes in one network namespace; zero: not said
	Flags     Flags            //
	Endpoints []netip.AddrPort // where it may be reached, best first
	TCP       uint16           // the port at which it takes datagrams over TCP at the same addresses, 1: at their own ports, 0: nowhere
	Relays    []uint64         // tags of the relays over which it may be reached where it is not directly: the first 8 bytes of SHA-256 of their ids
}

// Credential is what peers must know of a node before they can send to it:
//
//	version 1 │ issuers 1 │ grant 2+n │ issuers' grants 2+n each │
//	box key 32 │ epoch 8 │ sequence 8 │ fields (type 1, length 1, value) │ signature 64
//
// Fields come in ascending order of type, each at most once; unknown types are skipped. The
// signature is the node's over the domain, the cluster id and all bytes before it.
type Credential struct {
	ID      micronet.NodeID
	Name    string
	Roles   Roles
	Box     [32]byte // X25519 public key
	Self             // Endpoints and Relays must not be changed: the slices are shared
	Begins  time.Time
	Expires time.Time // when the grant ends, or its issuer's
	Origin  KeyID     // the root that the grant leads to
}

const credentialVersion = 1

// Types of fields. Numbers are wire values and are never used again for something else.
const (
	fieldMachine   = 1
	fieldFlags     = 2
	fieldEndpoints = 3
	fieldRelays    = 4
	fieldTCP       = 5
)

// RenewAfter returns when the node should ask for a new membership, as far as its credential tells.
func (c Credential) RenewAfter() time.Time { return c.window().renewAfter() }

func (c Credential) window() window { return window{c.Begins, c.Expires} }

// NewCredential states what self says, signed by the node. The last endpoints are left out when
// there are more than MaxEndpoints, or when they would make it longer than MaxCredential; invalid
// ones always.
func NewCredential(keys Keys, m Membership, self Self) ([]byte, error) {
	if len(keys.Sign) != ed25519.PrivateKeySize || m.IsZero() {
		return nil, invalid("credential", "a node without keys and membership has no credential")
	}
	head, err := credentialHead(m)
	if err != nil {
		return nil, err
	}
	endpoints := slices.DeleteFunc(slices.Clone(self.Endpoints), func(e netip.AddrPort) bool { return !e.IsValid() })
	endpoints = endpoints[:min(len(endpoints), MaxEndpoints)]
	for {
		body, err := credentialBody(head, keys.BoxPublic(), self, endpoints)
		if err != nil {
			return nil, err
		}
		if len(body)+ed25519.SignatureSize <= MaxCredential {
			return append(body, ed25519.Sign(keys.Sign, message(domainCredential, m.Cluster, body))...), nil
		}
		if len(endpoints) == 0 {
			return nil, invalid("credential", "the grants leave no room in %d bytes", MaxCredential)
		}
		endpoints = endpoints[:len(endpoints)-1]
	}
}

func credentialHead(m Membership) ([]byte, error) {
	b := cryptobyte.NewBuilder(nil)
	b.AddUint8(credentialVersion)
	b.AddUint8(uint8(len(m.Issuers)))
	for _, g := range append([][]byte{m.Grant}, m.Issuers...) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(g) })
	}
	head, err := b.Bytes()
	if err != nil {
		return nil, internal("credential", "write the grants: %w", err)
	}
	return head, nil
}

func credentialBody(head []byte, box [32]byte, self Self, endpoints []netip.AddrPort) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, MaxCredential))
	b.AddBytes(head)
	b.AddBytes(box[:])
	b.AddUint64(self.Epoch)
	b.AddUint64(self.Seq)
	if self.Machine != [16]byte{} {
		b.AddUint8(fieldMachine)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(self.Machine[:]) })
	}
	if self.Flags != 0 {
		b.AddUint8(fieldFlags)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(uint8(self.Flags)) })
	}
	if len(endpoints) > 0 {
		b.AddUint8(fieldEndpoints)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { addEndpoints(b, endpoints) })
	}
	if relays := self.Relays[:min(len(self.Relays), MaxRelays)]; len(relays) > 0 {
		b.AddUint8(fieldRelays)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, tag := range relays {
				b.AddUint64(tag)
			}
		})
	}
	if self.TCP != 0 {
		b.AddUint8(fieldTCP)
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(self.TCP) })
	}
	body, err := b.Bytes()
	if err != nil {
		return nil, internal("credential", "write the credential: %w", err)
	}
	return body, nil
}

// addEndpoints writes each address as its length in bytes (4 or 16), the address and the port.
// A zone means nothing elsewhere and is left out.
func addEndpoints(b *cryptobyte.Builder, endpoints []netip.AddrPort) {
	for _, e := range endpoints {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.Addr().Unmap().WithZone("").AsSlice()) })
		b.AddUint16(e.Port())
	}
}

// VerifyCredential reads a credential and checks the grants, the node's signature and the dates.
// One that ended at most grace ago is as good as it was at its end.
// What was verified once is remembered by its hash, so that a credential seen again costs about
// a microsecond. It never blocks.
func (t *Trust) VerifyCredential(raw []byte, now time.Time, grace time.Duration) (Credential, error) {
	if len(raw) > MaxCredential {
		return Credential{}, unauthorized("credential", "the credential has %d bytes, at most %d are accepted", len(raw), MaxCredential)
	}
	s := t.snapshot()
	key := cacheKeyOf(raw)
	c := s.cache.get(key)
	known := c != nil
	if !known {
		fresh, err := s.credential(raw)
		if err != nil {
			return Credential{}, err
		}
		c = &fresh
	}
	if err := c.window().check("credential", "the credential", c.window().at(now, grace)); err != nil {
		return Credential{}, err
	}
	if !known {
		s.cache.put(key, c)
	}
	return *c, nil
}

// credential verifies everything but the dates.
func (s *rootSet) credential(raw []byte) (Credential, error) {
	p, err := parseCredential(raw)
	if err != nil {
		return Credential{}, err
	}
	g, _, err := s.grant(p.grant, p.issuers)
	if err != nil {
		return Credential{}, err
	}
	if !g.Roles.Has(RoleMember) {
		return Credential{}, unauthorized("credential", "the grant is not one of a member")
	}
	body := raw[:len(raw)-ed25519.SignatureSize]
	if !verify(g.ID[:], message(domainCredential, s.cluster, body), raw[len(body):]) {
		return Credential{}, unauthorized("credential", "the credential is not signed by the node that it names")
	}
	if !usableBox(p.box) {
		return Credential{}, unauthorized("credential", "nothing can be sealed with the box key")
	}
	return Credential{
		ID: g.ID, Name: g.Name, Roles: g.Roles, Box: p.box, Self: p.self, Begins: g.NotBefore, Expires: g.NotAfter,
		Origin: originOf(p.grant, p.issuers),
	}, nil
}

// parsedCredential is a credential whose signatures nobody has checked. Its slices point into
// the bytes it was read from, but for the endpoints.
type parsedCredential struct {
	grant   []byte
	issuers [][]byte
	box     [32]byte
	self    Self
}

func parseCredential(raw []byte) (parsedCredential, error) {
	if len(raw) < ed25519.SignatureSize {
		return parsedCredential{}, malformedCredential()
	}
	var p parsedCredential
	var version, issuers uint8
	s := cryptobyte.String(raw[:len(raw)-ed25519.SignatureSize])
	if !s.ReadUint8(&version) || !s.ReadUint8(&issuers) || !s.ReadUint16LengthPrefixed((*cryptobyte.String)(&p.grant)) {
		return parsedCredential{}, malformedCredential()
	}
	if version != credentialVersion || issuers > maxIssuers {
		return parsedCredential{}, unauthorized("credential", "the credential has version %d and %d issuers, want version %d and at most %d", version, issuers, credentialVersion, maxIssuers)
	}
	for range issuers {
		var g cryptobyte.String
		if !s.ReadUint16LengthPrefixed(&g) {
			return parsedCredential{}, malformedCredential()
		}
		p.issuers = append(p.issuers, g)
	}
	if !s.CopyBytes(p.box[:]) || !s.ReadUint64(&p.self.Epoch) || !s.ReadUint64(&p.self.Seq) || !p.self.readFields(s) {
		return parsedCredential{}, malformedCredential()
	}
	return p, nil
}

// usableBox reports whether a secret can be agreed on with a box key. There is none with a point
// of small order (RFC 7748 section 6.1), and whoever tried anew with each packet would be busy.
func usableBox(key [32]byte) bool {
	public, err := ecdh.X25519().NewPublicKey(key[:])
	if err != nil {
		return false
	}
	// One private key finds out as well as another.
	private, err := ecdh.X25519().NewPrivateKey(make([]byte, len(key)))
	if err != nil {
		return false
	}
	_, err = private.ECDH(public)
	return err == nil
}

func malformedCredential() error {
	return unauthorized("credential", "the credential is cut short or malformed")
}

func (own *Self) readFields(s cryptobyte.String) bool {
	last := -1
	for !s.Empty() {
		var kind uint8
		var value cryptobyte.String
		if !s.ReadUint8(&kind) || !s.ReadUint8LengthPrefixed(&value) || int(kind) <= last {
			return false
		}
		last = int(kind)
		if !own.readField(kind, value) {
			return false
		}
	}
	return true
}

// readField reads one field. Values of known types may have grown at their end.
func (own *Self) readField(kind uint8, value cryptobyte.String) bool {
	switch kind {
	case fieldMachine:
		return value.CopyBytes(own.Machine[:])
	case fieldFlags:
		return value.ReadUint8((*uint8)(&own.Flags))
	case fieldEndpoints:
		return own.readEndpoints(value)
	case fieldRelays:
		return own.readRelays(value)
	case fieldTCP:
		return value.ReadUint16(&own.TCP)
	}
	return true
}

func (own *Self) readRelays(s cryptobyte.String) bool {
	for !s.Empty() {
		var tag uint64
		if len(own.Relays) == MaxRelays || !s.ReadUint64(&tag) {
			return false
		}
		own.Relays = append(own.Relays, tag)
	}
	return true
}

func (own *Self) readEndpoints(s cryptobyte.String) bool {
	for !s.Empty() {
		var raw cryptobyte.String
		var port uint16
		if len(own.Endpoints) == MaxEndpoints || !s.ReadUint8LengthPrefixed(&raw) || !s.ReadUint16(&port) {
			return false
		}
		addr, ok := netip.AddrFromSlice(raw)
		if !ok || addr.Is4In6() {
			return false
		}
		own.Endpoints = append(own.Endpoints, netip.AddrPortFrom(addr, port))
	}
	return true
}
