package identity

import (
	"crypto/x509"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestClusterID(t *testing.T) {
	w := newWorld(t, 1)
	s := w.root.Cluster.String()
	if len(s) != 26 || micronet.CheckLabel(s) != nil {
		t.Fatalf("cluster id %q is not a label of 26 characters", s)
	}
	got, err := ParseClusterID(s)
	if err != nil || got != w.root.Cluster {
		t.Fatalf("ParseClusterID(%q) = %v, %v", s, got, err)
	}
	for _, bad := range []string{"", s[:25], s + "a", s[:25] + "7", "A" + s[1:]} {
		if _, err := ParseClusterID(bad); err == nil {
			t.Errorf("ParseClusterID(%q) succeeds", bad)
		}
	}
	if newClusterID(public(w.root.key), "other") == w.root.Cluster || newWorld(t, 2).root.Cluster == w.root.Cluster {
		t.Fatal("another name or key makes the same cluster")
	}
}

func TestRootRoundTrip(t *testing.T) {
	w := newWorld(t, 1)
	got, err := ParseRoot(w.root.MarshalKey(), w.root.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if got.Cluster != w.root.Cluster || got.ClusterName != "main" || got.Hash() != w.root.Hash() || !got.key.Equal(w.root.key) {
		t.Fatalf("read %v, wrote %v", got, w.root)
	}
	other := newWorld(t, 2)
	_, err = ParseRoot(other.root.MarshalKey(), w.root.Certificate)
	wantError(t, err, micronet.Invalid, "does not belong")
	_, m := w.member(t, w.auth, "a")
	_, err = ParseRoot(w.root.MarshalKey(), m.Chain[0])
	wantError(t, err, micronet.Invalid, "does not belong")
	_, err = NewRoot(w.entropy, "service", epoch)
	wantError(t, err, micronet.Invalid, "reserved")
	cert := w.rootCert(t)
	if want := epoch.Truncate(time.Second); !cert.NotBefore.Equal(want.Add(-BackDated)) || !cert.NotAfter.Equal(want.Add(RootTerm)) {
		t.Fatalf("root is valid %s to %s", cert.NotBefore, cert.NotAfter)
	}
}

func TestIssue(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "worker-7")
	second := epoch.Truncate(time.Second)
	if !m.NotBefore.Equal(second.Add(-48*time.Hour)) || !m.NotAfter.Equal(second.Add(14*24*time.Hour)) {
		t.Fatalf("valid %s to %s", m.NotBefore, m.NotAfter)
	}
	if want := second.Add(7 * 24 * time.Hour); !m.RenewAfter().Equal(want) {
		t.Fatalf("renewed after %s, want %s", m.RenewAfter(), want)
	}
	c := mustParse(t, m.Chain[0])
	if len(m.Chain) != 1 || len(m.Issuers) != 0 || c.IsCA || c.URIs[0].String() != "spiffe://"+w.root.Cluster.String()+"/node/worker-7" {
		t.Fatalf("leaf %v of a chain of %d", c.URIs, len(m.Chain))
	}
	if len(c.Raw) > 600 || c.SerialNumber.BitLen() < 128 {
		t.Fatalf("leaf has %d bytes and serial %s", len(c.Raw), c.SerialNumber)
	}
	if err := m.Validate(k, epoch); err != nil {
		t.Fatal(err)
	}
	g, err := w.trust.VerifyGrant(m.Grant, m.Issuers, epoch)
	if err != nil || g.ID != k.ID() || g.Name != "worker-7" || g.Roles != RoleMember {
		t.Fatalf("grant %+v, %v", g, err)
	}
}

func TestH19_IssueRefuses(t *testing.T) {
	w := newWorld(t, 1)
	id := w.keys(t).ID()
	for name, c := range map[string]struct {
		now  time.Time
		r    Request
		kind micronet.Kind
		word string
	}{
		"no key":        {epoch, Request{Name: "a"}, micronet.Invalid, "nobody"},
		"no name":       {epoch, Request{ID: id}, micronet.Invalid, "empty"},
		"bad name":      {epoch, Request{ID: id, Name: "a/../b"}, micronet.Invalid, "DNS label"},
		"authority":     {epoch, Request{ID: id, Name: "a", Roles: RoleAuthority}, micronet.Refused, "promote"},
		"root key":      {epoch, Request{ID: micronet.NodeID(public(w.root.key)), Name: "a"}, micronet.Refused, "root key"},
		"after the end": {epoch.Add(RootTerm + time.Second), Request{ID: id, Name: "a"}, micronet.Unauthorized, "expired"},
		"before":        {epoch.Add(-BackDated - time.Second), Request{ID: id, Name: "a"}, micronet.Unauthorized, "not yet valid"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.auth.Issue(c.now, c.r)
			wantError(t, err, c.kind, c.word)
		})
	}
}

func TestIssueEndsWithTheAuthority(t *testing.T) {
	w := newWorld(t, 1)
	late := epoch.Add(RootTerm - time.Hour)
	m, err := w.auth.Issue(late, Request{ID: w.keys(t).ID(), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if !m.NotAfter.Equal(w.auth.Expires()) || !m.NotAfter.Equal(epoch.Truncate(time.Second).Add(RootTerm)) {
		t.Fatalf("the membership ends %s, the authority %s", m.NotAfter, w.auth.Expires())
	}
}

func TestPromotion(t *testing.T) {
	w := newWorld(t, 1)
	deputyKeys := w.keys(t)
	p, err := w.auth.Promote(epoch, deputyKeys.ID(), "deputy")
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = UnmarshalPromotion(b); err != nil {
		t.Fatal(err)
	}
	deputy, err := p.Authority(deputyKeys, w.entropy, epoch)
	if err != nil {
		t.Fatal(err)
	}
	if deputy.IsRoot() || deputy.RootHash() != w.auth.RootHash() {
		t.Fatal("the deputy is taken for a root, or leads to another one")
	}
	k, m := w.member(t, deputy, "b")
	if len(m.Chain) != 2 || len(m.Issuers) != 1 {
		t.Fatalf("chain of %d, %d issuers", len(m.Chain), len(m.Issuers))
	}
	if err := m.Validate(k, epoch); err != nil {
		t.Fatal(err)
	}
	_, err = deputy.Promote(epoch, w.keys(t).ID(), "c")
	wantError(t, err, micronet.Refused, "only the root")
	_, err = p.Authority(w.keys(t), w.entropy, epoch)
	wantError(t, err, micronet.Unauthorized, "not for this node's key")
	_, err = p.Authority(deputyKeys, w.entropy, epoch.Add(AuthorityTerm+time.Second))
	wantIs(t, err, ErrExpired)
	p.Roots = [][]byte{newWorld(t, 2).root.Certificate}
	_, err = p.Authority(deputyKeys, w.entropy, epoch)
	wantError(t, err, micronet.Unauthorized, "not one of cluster")
}

func TestPromotionIsNoMembership(t *testing.T) {
	w := newWorld(t, 1)
	k := w.keys(t)
	p, err := w.auth.Promote(epoch, k.ID(), "deputy")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.trust.VerifyChain([][]byte{p.Certificate}, epoch, x509.ExtKeyUsageClientAuth, 0)
	wantError(t, err, micronet.Unauthorized, "not one of a node")
	m := Membership{Cluster: p.Cluster, Chain: [][]byte{p.Certificate}, Grant: p.Grant}
	raw, err := NewCredential(k, m, Self{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.trust.VerifyCredential(raw, epoch, 0)
	wantError(t, err, micronet.Unauthorized, "not one of a member")
}
