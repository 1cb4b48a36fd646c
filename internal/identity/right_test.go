package identity

import (
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestRight(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	root, err := w.auth.Right(m)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.auth.Promote(epoch, k.ID(), "a")
	if err != nil {
		t.Fatal(err)
	}
	deputy, err := p.Authority(k, w.entropy, epoch)
	if err != nil {
		t.Fatal(err)
	}
	promoted, err := deputy.Right(m)
	if err != nil {
		t.Fatal(err)
	}
	ended := func(id micronet.NodeID) func(*Trust) {
		return func(tr *Trust) { tr.SetEnded(map[micronet.NodeID][]Clock{id: {ClockAt(epoch.Add(time.Hour))}}) }
	}
	revoked := func(tr *Trust) { tr.SetRevoked(map[micronet.NodeID]Revoked{k.ID(): {Since: ClockAt(epoch)}}) }
	untouched := func(*Trust) {}
	for what, c := range map[string]struct {
		raw    []byte
		id     micronet.NodeID
		after  time.Duration
		change func(*Trust)
		want   Roles
	}{
		"root":                       {root, k.ID(), 0, untouched, RoleRoot | RoleAuthority},
		"promoted":                   {promoted, k.ID(), AuthorityTerm - time.Hour, untouched, RoleAuthority},
		"the root key was taken off": {root, k.ID(), NodeTerm, untouched, 0},
		"the promotion has ended":    {promoted, k.ID(), AuthorityTerm, untouched, 0},
		"not begun":                  {promoted, k.ID(), -BackDated - time.Hour, untouched, 0},
		"another's":                  {promoted, micronet.NodeID{1}, 0, untouched, 0},
		"another's root":             {root, micronet.NodeID{1}, 0, untouched, 0},
		"a member's grant":           {m.Grant, k.ID(), 0, untouched, 0},
		"garbage":                    {[]byte{1, 2, 3}, k.ID(), 0, untouched, 0},
		"demoted":                    {promoted, k.ID(), 0, ended(k.ID()), 0},
		"demoted, with the root key": {root, k.ID(), 0, ended(k.ID()), RoleRoot | RoleAuthority},
		"revoked":                    {promoted, k.ID(), 0, revoked, 0},
		"revoked, with the root key": {root, k.ID(), 0, revoked, 0},
	} {
		trust, err := NewTrust(w.root.Cluster, w.root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		c.change(trust)
		got, err := trust.VerifyRight(c.raw, c.id, epoch.Add(c.after))
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%s: roles %b, %v", what, got, err)
		}
	}
	_, err = newWorld(t, 2).trust.VerifyRight(root, k.ID(), epoch)
	wantError(t, err, micronet.Unauthorized, "not trusted here")
}

// What the root shows of itself lets its holder sign nothing.
func TestRightOfARootIssuesNothing(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	root, err := w.auth.Right(m)
	if err != nil {
		t.Fatal(err)
	}
	fake := Grant{ID: micronet.NodeID{7}, Name: "x", Roles: RoleMember, NotBefore: m.NotBefore, NotAfter: m.NotAfter, Issuer: keyID(public(k.Sign))}
	raw, err := fake.sign(k.Sign, w.root.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.trust.VerifyGrant(raw, [][]byte{root}, epoch)
	wantError(t, err, micronet.Unauthorized, "may not issue")
	word, err := Statement{Kind: 99, Subject: []byte("x"), Clock: ClockAt(epoch)}.sign(k.Sign, w.root.Cluster, [][]byte{root})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.trust.VerifyStatement(word, epoch)
	wantError(t, err, micronet.Unauthorized, "no authority")
	_, err = w.trust.Authority(Promotion{Cluster: w.root.Cluster, ClusterName: "main", Certificate: m.Chain[0], Grant: root}, k, w.entropy, epoch)
	wantError(t, err, micronet.Unauthorized)
}
