package policy

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

func TestQ11_NamesAreGranted(t *testing.T) {
	id, other := micronet.NodeID{1}, micronet.NodeID{2}
	for _, c := range []struct {
		patterns []string
		service  string
		want     bool
	}{
		{nil, "web", false},
		{[]string{"web"}, "web", true},
		{[]string{"web"}, "WEB", true},
		{[]string{"Web"}, "web", true},
		{[]string{"web"}, "web2", false},
		{[]string{"web"}, "", false},
		{[]string{"web", "api-*"}, "api-v1", true},
		{[]string{"web", "api-*"}, "api", false},
		{[]string{"*"}, "payments", true},
		{[]string{"*", "!payments"}, "payments", false},
		{[]string{"*", "!payments"}, "Payments", false},
		{[]string{"!payments", "pay*"}, "payments", false},
		{[]string{"!payments", "pay*"}, "payroll", true},
		{[]string{"!payments"}, "web", true},
		{[]string{"!payments", "!payroll"}, "payroll", false},
		{[]string{"!payments", "!payroll"}, "web", true},
	} {
		n := NewNames(map[micronet.NodeID][]string{id: c.patterns})
		if got := n.Allows(id, c.service); got != c.want {
			t.Errorf("%q: Allows(%q) = %v, want %v", c.patterns, c.service, got, c.want)
		}
		if n.Allows(other, c.service) {
			t.Errorf("%q: a node without a grant may offer %q", c.patterns, c.service)
		}
	}
	var open *Names
	if !open.Allows(other, "payments") {
		t.Error("where names are not granted somebody may not offer one")
	}
}

func TestEncodeNames(t *testing.T) {
	many := slices.Repeat([]string{"web"}, MaxNames+1)
	for _, bad := range [][]string{{""}, {"!"}, {"a\x1b"}, {"a\xff"}, {strings.Repeat("x", MaxPattern+1)}, many} {
		if _, err := EncodeNames(bad); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("EncodeNames(%.40q) = %v, want Invalid", bad, err)
		}
	}
	for _, good := range [][]string{nil, {"web"}, {"*", "!payments"}, many[1:], {strings.Repeat("x", MaxPattern)}} {
		b, err := EncodeNames(good)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := DecodeNames(b); err != nil || !slices.Equal(got, good) {
			t.Errorf("DecodeNames = %q, %v, want %q", got, err, good)
		}
	}
}

// TestCheckGrant: what no service can have is refused, and what one has is taken.
func TestCheckGrant(t *testing.T) {
	for _, bad := range []string{"", "!", "web,api", "web/*", "web-[12]", "web?", "!!web", "a b", "localhost", "!WPAD", "wéb", "a\x1b", "!*"} {
		if err := CheckGrant([]string{"web", bad}, []string{"a c"}); micronet.KindOf(err) != micronet.Invalid || !strings.Contains(err.Error(), "* for any characters") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	good := []string{"web", "Web-1", "api-*", "*", "**", "!payments", "go.micro.srv.x", "my_svc", "a*b", "A b", "!a b", "any*"}
	if err := CheckGrant(good, []string{"a b"}); err != nil {
		t.Error(err)
	}
	if err := CheckGrant(nil, nil); err != nil {
		t.Error(err)
	}
}

// An older node must not grant what a newer version takes away in a form that it does not know.
func TestDecodeNamesGrantsNothingItDoesNotKnow(t *testing.T) {
	for _, body := range []string{"\x02\x03web", "\x01", "\x01\x04web", "\x01\x00", "\x01\x01!", "\x01\x03web\x09", "\x00"} {
		if got, err := DecodeNames([]byte(body)); err == nil || got != nil {
			t.Errorf("DecodeNames(%q) = %q, %v, want nothing and an error", body, got, err)
		}
	}
}

func FuzzDecodeNames(f *testing.F) {
	f.Add([]byte("\x01\x03web\x09!payments"), "web")
	f.Add([]byte("\x01\x01*"), "x")
	f.Fuzz(func(t *testing.T, body []byte, service string) {
		patterns, err := DecodeNames(body)
		if err != nil {
			return
		}
		again, err := EncodeNames(patterns)
		if err != nil || !bytes.Equal(again, body) {
			t.Fatalf("%q reads as %q, which is written as %q, %v", body, patterns, again, err)
		}
		id := micronet.NodeID{1}
		allowed := NewNames(map[micronet.NodeID][]string{id: patterns}).Allows(id, service)
		if allowed != slowlyAllows(patterns, service) {
			t.Fatalf("%q allows %q: %v", patterns, service, allowed)
		}
	})
}

// slowlyAllows is Names.Allows as the docs say it.
func slowlyAllows(patterns []string, service string) bool {
	positive, hit := false, false
	for _, text := range patterns {
		if strings.HasPrefix(text, "!") {
			if !newPattern(text).matches(strings.ToLower(service)) {
				return false
			}
			continue
		}
		positive = true
		hit = hit || newPattern(text).matches(strings.ToLower(service))
	}
	return len(patterns) > 0 && (hit || !positive)
}

// TestWith: the union allows what was allowed and what is added.
func TestWith(t *testing.T) {
	for _, c := range []struct {
		before, services, want string
		ok                     bool
	}{
		{"", "web", "web", true},
		{"web api-*", "db", "web api-* db", true},
		{"web api-*", "api-1 db db", "web api-* db", true},
		{"* !payments", "Payments", "*", true},
		{"* !payments !db", "payments", "* !db", true},
		{"!payments", "payments", "*", true},
		{"!payments !db", "payments", "!db", true},
		{"* !pay*", "payments", "* !pay* payments", false},
	} {
		got, ok := With(strings.Fields(c.before), strings.Fields(c.services)...)
		if strings.Join(got, " ") != c.want || ok != c.ok {
			t.Errorf("%q with %q = %q, %v, want %q, %v", c.before, c.services, got, ok, c.want, c.ok)
		}
	}
}
