package identity

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestMembershipRoundTrip(t *testing.T) {
	w := newWorld(t, 1)
	for name, a := range map[string]*Authority{"root": w.auth, "deputy": w.promoted(t)} {
		t.Run(name, func(t *testing.T) {
			k, m := w.member(t, a, "a")
			b, err := m.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			got, err := UnmarshalMembership(b)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Issuers) == 0 && len(m.Issuers) == 0 {
				got.Issuers = m.Issuers
			}
			if !reflect.DeepEqual(got, m) {
				t.Fatalf("read %+v, wrote %+v", got, m)
			}
			if err := got.Validate(k, epoch); err != nil {
				t.Fatal(err)
			}
			for n := range b {
				if _, err := UnmarshalMembership(b[:n]); err == nil {
					t.Fatalf("a file cut at %d of %d is accepted", n, len(b))
				}
			}
			foreign := bytes.Replace(b, []byte(membershipFormat), []byte("something else"), 1)
			_, err = UnmarshalMembership(foreign)
			wantError(t, err, micronet.Invalid, "something else")
			_, err = UnmarshalMembership([]byte(sealed(t, membershipFormat, 2, "{}")))
			wantError(t, err, micronet.Invalid, "version 2")
			if !errors.Is(err, ErrVersion) {
				t.Errorf("%v is not told from damage", err)
			}
			for at := range b {
				flipped := bytes.Clone(b)
				flipped[at] ^= 1
				if other, err := UnmarshalMembership(flipped); err == nil && !reflect.DeepEqual(other, got) {
					t.Fatalf("a bit flipped at byte %d is not noticed", at)
				}
			}
			_, err = UnmarshalMembership(make([]byte, maxMembershipFile+1))
			wantError(t, err, micronet.Invalid, "at most")
		})
	}
}

func TestMembershipValidate(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	_, other := w.member(t, w.auth, "b")
	stranger := newWorld(t, 2)
	sm, err := stranger.auth.Issue(epoch, Request{ID: k.ID(), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	later, err := w.auth.Issue(epoch.Add(time.Hour), Request{ID: k.ID(), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Membership)
		word   string
	}{
		"no roots":          {func(m *Membership) { m.Roots = nil }, "0 root certificates"},
		"other root":        {func(m *Membership) { m.Roots = sm.Roots }, "not one of cluster"},
		"other cluster":     {func(m *Membership) { m.Cluster = sm.Cluster }, "not one of cluster"},
		"stranger's grant":  {func(m *Membership) { m.Grant = sm.Grant }, "not trusted here"},
		"stranger's chain":  {func(m *Membership) { m.Chain = sm.Chain }, "for cluster"},
		"another's grant":   {func(m *Membership) { m.Grant = other.Grant }, "another node"},
		"another's chain":   {func(m *Membership) { m.Chain = other.Chain }, "another node"},
		"another name":      {func(m *Membership) { m.Name = "b" }, "another node"},
		"longer than given": {func(m *Membership) { m.NotAfter = m.NotAfter.Add(time.Hour) }, "dates"},
		"newer grant":       {func(m *Membership) { m.Grant = later.Grant }, "dates"},
		"no chain":          {func(m *Membership) { m.Chain = nil }, "no certificate"},
		"root as leaf":      {func(m *Membership) { m.Chain = m.Roots }, "not one of a node"},
	} {
		t.Run(name, func(t *testing.T) {
			m := m
			c.change(&m)
			wantError(t, m.Validate(k, epoch), micronet.Unauthorized, c.word)
		})
	}
	wantIs(t, m.Validate(k, m.NotAfter.Add(1)), ErrExpired)
	wantIs(t, m.Validate(k, m.NotBefore.Add(-1)), ErrNotYetValid)
	if err := m.Validate(k, m.NotAfter); err != nil {
		t.Fatalf("at its last moment: %v", err)
	}
	if err := m.Validate(k, m.NotBefore); err != nil {
		t.Fatalf("at its first moment: %v", err)
	}
	wantError(t, m.Validate(w.keys(t), epoch), micronet.Unauthorized, "another node")
}
