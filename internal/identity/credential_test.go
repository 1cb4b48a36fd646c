package identity

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"golang.org/x/crypto/cryptobyte"
)

var fullSelf = Self{
	Epoch: 3, Seq: 9, Machine: [16]byte{1, 2, 3}, Flags: FlagGateway | 1<<7,
	Endpoints: addrPorts("192.0.2.1:8085", "[2001:db8::1]:8085", "10.0.0.1:1"),
	Relays:    []uint64{7, 1<<63 + 1},
	TCP:       443,
}

func TestCredentialRoundTrip(t *testing.T) {
	w := newWorld(t, 1)
	for name, a := range map[string]*Authority{"root": w.auth, "deputy": w.promoted(t)} {
		for _, self := range []Self{fullSelf, {}} {
			t.Run(name, func(t *testing.T) {
				k, m := w.member(t, a, "worker-7")
				raw, err := NewCredential(k, m, self)
				if err != nil {
					t.Fatal(err)
				}
				want := Credential{
					ID: k.ID(), Name: "worker-7", Roles: RoleMember, Box: k.BoxPublic(), Self: self, Begins: m.NotBefore, Expires: m.NotAfter, Origin: m.Origin(),
				}
				for range 2 { // cold, then from the cache
					got, err := w.trust.VerifyCredential(raw, epoch, 0)
					if err != nil || !reflect.DeepEqual(got, want) {
						t.Fatalf("got %+v, %v, want %+v", got, err, want)
					}
				}
			})
		}
	}
}

func TestCredentialSize(t *testing.T) {
	w := newWorld(t, 1)
	long := strings.Repeat("n", 63)
	var v4, v6 []netip.AddrPort
	for i := range 8 {
		v4 = append(v4, netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:8085", i)))
		v6 = append(v6, netip.MustParseAddrPort(fmt.Sprintf("[2001:db8::%d]:8085", i)))
	}
	deputy := w.promoted(t)
	for _, c := range []struct {
		name string
		a    *Authority
		node string
		give []netip.AddrPort
		want int
	}{
		{"root, IPv4", w.auth, "worker-7", v4, MaxEndpoints},
		{"root, IPv6", w.auth, "worker-7", v6, MaxEndpoints},
		{"root, long name, IPv6", w.auth, long, v6, MaxEndpoints},
		{"deputy, IPv4", deputy, "worker-7", v4, MaxEndpoints},
		{"deputy, IPv6", deputy, "worker-7", v6, 4},
		{"deputy, long name, IPv6", deputy, long, v6, 1},
		{"deputy, long name, IPv4", deputy, long, v4, 3},
		{"zone, IPv4 in IPv6", w.auth, "a", addrPorts("[fe80::1%eth0]:1", "[::ffff:192.0.2.1]:2"), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			self := fullSelf
			self.Endpoints = c.give
			raw, _ := w.credential(t, c.a, c.node, self)
			got, err := w.trust.VerifyCredential(raw, epoch, 0)
			if err != nil || len(raw) > MaxCredential {
				t.Fatal(len(raw), err)
			}
			if len(got.Endpoints) != c.want {
				t.Fatalf("%d endpoints, want %d (%d bytes)", len(got.Endpoints), c.want, len(raw))
			}
			for i, e := range got.Endpoints {
				if want := netip.AddrPortFrom(c.give[i].Addr().Unmap().WithZone(""), c.give[i].Port()); e != want {
					t.Fatalf("endpoint %d is %s, want %s", i, e, want)
				}
			}
		})
	}
}

func TestCredentialLeavesInvalidEndpointsOut(t *testing.T) {
	w := newWorld(t, 1)
	give := append([]netip.AddrPort{{}}, fullSelf.Endpoints...)
	raw, _ := w.credential(t, w.auth, "a", Self{Endpoints: give})
	got, err := w.trust.VerifyCredential(raw, epoch, 0)
	if err != nil || !slices.Equal(got.Endpoints, fullSelf.Endpoints) || give[0].IsValid() {
		t.Fatal(got.Endpoints, err)
	}
}

func TestCredentialTampered(t *testing.T) {
	w := newWorld(t, 1)
	raw, _ := w.credential(t, w.promoted(t), "worker-7", fullSelf)
	for i := range raw {
		for _, bit := range []byte{1, 0x80} {
			b := bytes.Clone(raw)
			b[i] ^= bit
			if c, err := w.trust.VerifyCredential(b, epoch, 0); err == nil {
				t.Fatalf("bit %#x of byte %d changed: %+v", bit, i, c)
			}
		}
		_, err := w.trust.VerifyCredential(raw[:i], epoch, 0)
		wantError(t, err, micronet.Unauthorized)
	}
	_, err := w.trust.VerifyCredential(append(bytes.Clone(raw), 0), epoch, 0)
	wantError(t, err, micronet.Unauthorized)
	_, err = w.trust.VerifyCredential(make([]byte, MaxCredential+1), epoch, 0)
	wantError(t, err, micronet.Unauthorized, "at most 512")
}

// The order of the group (RFC 8032 section 5.1), little-endian: S and S+L satisfy the same equation.
var groupOrder = []byte{
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
}

func TestCredentialMalleated(t *testing.T) {
	w := newWorld(t, 1)
	raw, _ := w.credential(t, w.auth, "a", Self{})
	s := raw[len(raw)-32:]
	carry := 0
	for i := range s {
		sum := int(s[i]) + int(groupOrder[i]) + carry
		s[i], carry = byte(sum), sum>>8
	}
	_, err := w.trust.VerifyCredential(raw, epoch, 0)
	wantError(t, err, micronet.Unauthorized, "not signed by the node")
}

func TestCredentialForged(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	evil, em := w.member(t, w.auth, "evil")
	refuses := func(name string, keys Keys, m Membership, word string) {
		t.Run(name, func(t *testing.T) {
			raw, err := NewCredential(keys, m, Self{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.trust.VerifyCredential(raw, epoch, 0)
			wantError(t, err, micronet.Unauthorized, word)
		})
	}
	refuses("another's grant", evil, m, "not signed by the node")

	other := newWorld(t, 2)
	_, sm := other.member(t, other.auth, "a")
	refuses("another cluster", k, sm, "not trusted here")

	moved := sm
	moved.Cluster = w.root.Cluster
	refuses("another cluster, relabelled", k, moved, "not trusted here")

	byMember, err := Grant{
		ID: evil.ID(), Name: "boss", Roles: RoleMember, NotBefore: m.NotBefore, NotAfter: m.NotAfter, Issuer: keyID(public(evil.Sign)),
	}.sign(evil.Sign, w.root.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	byMemberSelf := em
	byMemberSelf.Grant = byMember
	refuses("a member as issuer, without its grant", evil, byMemberSelf, "not trusted here")
	byMemberSelf.Issuers = [][]byte{em.Grant}
	refuses("a member as issuer, with its grant", evil, byMemberSelf, "may not issue")

	wrongIssuer := em
	wrongIssuer.Issuers = w.promoted(t).grants
	refuses("an authority that did not sign", evil, wrongIssuer, "not trusted here")

	deputyKeys := w.keys(t)
	p, err := w.auth.Promote(epoch, deputyKeys.ID(), "deputy")
	if err != nil {
		t.Fatal(err)
	}
	sub, err := Grant{
		ID: evil.ID(), Roles: RoleAuthority, NotBefore: m.NotBefore, NotAfter: m.NotAfter, Issuer: keyID(public(deputyKeys.Sign)),
	}.sign(deputyKeys.Sign, w.root.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.trust.VerifyGrant(sub, [][]byte{p.Grant}, epoch)
	wantError(t, err, micronet.Unauthorized, "may not issue")
	_, err = w.trust.VerifyGrant(m.Grant, [][]byte{p.Grant, p.Grant}, epoch)
	wantError(t, err, micronet.Unauthorized, "2 issuers")

	_, err = NewCredential(Keys{}, m, Self{})
	wantError(t, err, micronet.Invalid)
	_, err = NewCredential(k, Membership{}, Self{})
	wantError(t, err, micronet.Invalid)
}

// A member's box key that leads to no secret (of order 1, 4 and 8, and beyond the field) is no
// burden to others.
func TestCredentialWithUselessBoxKey(t *testing.T) {
	w := newWorld(t, 1)
	k, member := w.member(t, w.auth, "a")
	head, err := credentialHead(member)
	if err != nil {
		t.Fatal(err)
	}
	with := func(box [32]byte) error {
		body, err := credentialBody(head, box, fullSelf, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw := append(body, signWith(k, message(domainCredential, member.Cluster, body))...)
		_, err = w.trust.VerifyCredential(raw, epoch, 0)
		return err
	}
	if err := with(k.BoxPublic()); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, with([32]byte(raw)), micronet.Unauthorized, "box key")
	}
}

// Each signature is offered in the place of every other one.
func TestQ4_SignaturesStayInTheirDomain(t *testing.T) {
	w, other := newWorld(t, 1), newWorld(t, 2)
	domains := []string{domainGrant, domainCredential, domainProof, domainPossession, domainAnswer, domainStatement}
	k := w.keys(t)
	body := []byte("the same words")
	for _, made := range domains {
		sig := ed25519.Sign(k.Sign, message(made, w.root.Cluster, body))
		for _, taken := range domains {
			if got, want := verify(public(k.Sign), message(taken, w.root.Cluster, body), sig), made == taken; got != want {
				t.Errorf("%q taken for %q: %v", made, taken, got)
			}
		}
		if verify(public(k.Sign), message(made, other.root.Cluster, body), sig) {
			t.Errorf("%q of one cluster is good in another", made)
		}
	}
}

func TestCredentialDates(t *testing.T) {
	w := newWorld(t, 1)
	raw, _ := w.credential(t, w.auth, "a", Self{})
	c, err := w.trust.VerifyCredential(raw, epoch, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The cache remembers signatures, never dates.
	_, err = w.trust.VerifyCredential(raw, c.Expires.Add(1), 0)
	wantIs(t, err, ErrExpired)
	_, err = w.trust.VerifyCredential(raw, c.Begins.Add(-1), 0)
	wantIs(t, err, ErrNotYetValid)
	if _, err = w.trust.VerifyCredential(raw, c.Expires, 0); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialEndsWithItsIssuer(t *testing.T) {
	w := newWorld(t, 1)
	a := w.promoted(t)
	k := w.keys(t)
	late := a.Expires().Add(-time.Hour)
	g, err := Grant{
		ID: k.ID(), Name: "a", Roles: RoleMember, NotBefore: late, NotAfter: late.Add(NodeTerm), Issuer: keyID(public(a.key)),
	}.sign(a.key, w.root.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.trust.VerifyGrant(g, a.grants, late)
	if err != nil || !got.NotAfter.Equal(a.Expires()) {
		t.Fatalf("ends %s, %v, want with the issuer %s", got.NotAfter, err, a.Expires())
	}
	_, err = w.trust.VerifyGrant(g, a.grants, a.Expires().Add(time.Second))
	wantIs(t, err, ErrExpired)
}

// signBody signs a hand-made credential.
func signBody(k Keys, c ClusterID, body []byte) []byte {
	return append(bytes.Clone(body), ed25519.Sign(k.Sign, message(domainCredential, c, body))...)
}

func TestCredentialFields(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	head, err := credentialHead(m)
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := credentialBody(head, k.BoxPublic(), Self{Epoch: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	field := func(kind byte, value ...byte) []byte { return append([]byte{kind, byte(len(value))}, value...) }
	v4 := []byte{4, 192, 0, 2, 1, 0, 80}
	for name, c := range map[string]struct {
		fields [][]byte
		good   bool
	}{
		"none":                   {nil, true},
		"unknown":                {[][]byte{field(fieldFlags, 1), field(200, 1, 2, 3)}, true},
		"flags that have grown":  {[][]byte{field(fieldFlags, 1, 2)}, true},
		"endpoints":              {[][]byte{field(fieldEndpoints, v4...)}, true},
		"out of order":           {[][]byte{field(200), field(fieldFlags, 1)}, false},
		"twice":                  {[][]byte{field(fieldFlags, 1), field(fieldFlags, 2)}, false},
		"no flags in flags":      {[][]byte{field(fieldFlags)}, false},
		"short machine":          {[][]byte{field(fieldMachine, 1, 2)}, false},
		"address of 5 bytes":     {[][]byte{field(fieldEndpoints, 5, 1, 2, 3, 4, 5, 0, 80)}, false},
		"address without a port": {[][]byte{field(fieldEndpoints, 4, 1, 2, 3, 4, 0)}, false},
		"IPv4 as IPv6":           {[][]byte{field(fieldEndpoints, append(append([]byte{16}, make([]byte, 10)...), 0xff, 0xff, 1, 2, 3, 4, 0, 80)...)}, false},
		"seven endpoints":        {[][]byte{field(fieldEndpoints, bytes.Repeat(v4, 7)...)}, false},
		"two relays":             {[][]byte{field(fieldRelays, make([]byte, 16)...)}, true},
		"three relays":           {[][]byte{field(fieldRelays, make([]byte, 24)...)}, false},
		"a TCP port":             {[][]byte{field(fieldTCP, 1, 187)}, true},
		"half a TCP port":        {[][]byte{field(fieldTCP, 1)}, false},
		"half a relay":           {[][]byte{field(fieldRelays, make([]byte, 12)...)}, false},
		"length beyond the end":  {[][]byte{{fieldFlags, 200, 1}}, false},
		"type without a length":  {[][]byte{{fieldFlags}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			raw := signBody(k, w.root.Cluster, append(bytes.Clone(fixed), slices.Concat(c.fields...)...))
			_, err := w.trust.VerifyCredential(raw, epoch, 0)
			if (err == nil) != c.good {
				t.Fatalf("got %v, want good: %v", err, c.good)
			}
		})
	}
	for at, word := range map[int]string{0: "version 2", 1: "2 issuers"} {
		b := bytes.Clone(fixed)
		b[at] = 2
		_, err := w.trust.VerifyCredential(signBody(k, w.root.Cluster, b), epoch, 0)
		wantError(t, err, micronet.Unauthorized, word)
	}
}

func TestGrantCutShort(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "worker-7")
	for n := range m.Grant {
		_, err := ParseGrant(m.Grant[:n])
		if err == nil {
			_, err = w.trust.VerifyGrant(m.Grant[:n], nil, epoch)
		}
		wantError(t, err, micronet.Unauthorized)
		cut := m
		cut.Grant = m.Grant[:n]
		raw, err := NewCredential(k, cut, Self{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.trust.VerifyCredential(raw, epoch, 0)
		wantError(t, err, micronet.Unauthorized)
	}
	_, err := ParseGrant(make([]byte, MaxGrant+1))
	wantError(t, err, micronet.Unauthorized, "at most 256")
}

// A grant of a newer version has more behind the name; it is covered by the signature.
func TestGrantWithMore(t *testing.T) {
	w := newWorld(t, 1)
	_, m := w.member(t, w.auth, "a")
	body := append(bytes.Clone(m.Grant[:len(m.Grant)-ed25519.SignatureSize]), 1, 2, 3)
	raw := append(bytes.Clone(body), ed25519.Sign(w.root.key, message(domainGrant, w.root.Cluster, body))...)
	if g, err := w.trust.VerifyGrant(raw, nil, epoch); err != nil || g.Name != "a" {
		t.Fatal(g, err)
	}
	raw[len(body)-1] ^= 1
	_, err := w.trust.VerifyGrant(raw, nil, epoch)
	wantError(t, err, micronet.Unauthorized, "signature is wrong")
}

func TestGrantSaysSomething(t *testing.T) {
	w := newWorld(t, 1)
	id := w.keys(t).ID()
	good := Grant{ID: id, Name: "a", Roles: RoleMember, NotBefore: epoch, NotAfter: epoch}
	for name, c := range map[string]struct {
		change func(*Grant)
		word   string
	}{
		"nobody":                {func(g *Grant) { g.ID = micronet.NodeID{} }, "nobody"},
		"no name":               {func(g *Grant) { g.Name = "" }, "empty"},
		"bad name":              {func(g *Grant) { g.Name = "A b" }, "DNS label"},
		"a name, not a member":  {func(g *Grant) { g.Roles = RoleAuthority }, "no member"},
		"before 1970":           {func(g *Grant) { g.NotBefore = time.Unix(-1, 0) }, "cannot be granted"},
		"after 2106":            {func(g *Grant) { g.NotAfter = time.Unix(1<<32, 0) }, "cannot be granted"},
		"ends before it begins": {func(g *Grant) { g.NotAfter = epoch.Add(-time.Second) }, "cannot be granted"},
	} {
		t.Run(name, func(t *testing.T) {
			g := good
			c.change(&g)
			_, err := g.sign(w.root.key, w.root.Cluster)
			if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Fatalf("got %v, want %q", err, c.word)
			}
		})
	}
}

func TestCredentialCacheIsBounded(t *testing.T) {
	c := newCredentialCache()
	hot := cacheKey{0xff}
	c.put(hot, &Credential{Name: "hot"})
	for i := range 5 * cacheHalf {
		b := cryptobyte.NewBuilder(make([]byte, 0, 8))
		b.AddUint64(uint64(i))
		c.put(cacheKeyOf(b.BytesOrPanic()), &Credential{})
		if i%100 == 0 {
			if v := c.get(hot); v == nil || v.Name != "hot" {
				t.Fatalf("a credential in use is forgotten after %d others", i)
			}
		}
		if n := len(c.young) + len(c.old); n > 2*cacheHalf {
			t.Fatalf("the cache holds %d", n)
		}
	}
	if c.get(cacheKey{1}) != nil {
		t.Fatal("the cache knows what nobody put in")
	}
}

func TestVerifyCredentialConcurrently(t *testing.T) {
	w := newWorld(t, 1)
	var raws [][]byte
	for i := range 4 {
		raw, _ := w.credential(t, w.auth, fmt.Sprintf("n%d", i), fullSelf)
		raws = append(raws, raw)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 20 {
				raw := raws[(i+j)%len(raws)]
				if _, err := w.trust.VerifyCredential(raw, epoch, 0); err != nil {
					t.Error(err)
				}
				if j == 10 {
					if err := w.trust.SetRoots(w.root.Certificate); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
}
