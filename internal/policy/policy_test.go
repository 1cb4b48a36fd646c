package policy

import (
	"bytes"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

func TestJudge(t *testing.T) {
	rules := []Rule{
		{Name: "no-c", From: Callers{Node: "c"}, To: Targets{Service: "web"}, Action: Deny},
		{Name: "c-may", From: Callers{Node: "c"}, Action: Allow},
		{Name: "only-shop", From: Callers{Service: "!shop"}, To: Targets{Service: "payments"}, Action: Deny},
		{Name: "try-v2", To: Targets{Service: "web", Tag: "v2"}, Action: Audit},
		{Name: "eu-may", From: Callers{Cluster: "eu-*"}, To: Targets{Service: "web"}, Action: Allow},
	}
	s := Compile(rules)
	for _, c := range []struct {
		name string
		call Call
		want string
	}{
		{"deny wins over allow", Call{From: Source{Node: "c"}, To: Target{Service: "web"}}, `refused by the policy "no-c"`},
		{"names are compared without case", Call{From: Source{Node: "c"}, To: Target{Service: "Web"}}, `refused by the policy "no-c"`},
		{"an allowance is named", Call{From: Source{Node: "c"}, To: Target{Service: "db"}}, `allowed by the policy "c-may"`},
		{"open inside a cluster", Call{From: Source{Node: "b"}, To: Target{Service: "db"}}, "allowed by default: no policy refuses it"},
		{"closed across a link", Call{From: Source{Node: "b", Cluster: "us"}, To: Target{Service: "db"}, Across: true}, "refused by default: it comes over a link, and no policy allows it"},
		{"opened across a link", Call{From: Source{Node: "b", Cluster: "eu-1"}, To: Target{Service: "web"}, Across: true}, `allowed by the policy "eu-may"`},
		{"a service that is not known is not the shop", Call{From: Source{Node: "b"}, To: Target{Service: "payments"}}, `refused by the policy "only-shop"`},
		{"the shop", Call{From: Source{Node: "b", Service: "shop"}, To: Target{Service: "payments"}}, "allowed by default: no policy refuses it"},
	} {
		if got := s.Judge(c.call).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if !s.AsksForService() || Compile(rules[:2]).AsksForService() {
		t.Error("whether the calling service matters")
	}
}

func TestAuditLetsPass(t *testing.T) {
	s := Compile([]Rule{{Name: "try", From: Callers{Node: "c"}, Action: Audit}, {Name: "us", From: Callers{Cluster: "us"}, Action: Allow}})
	if v := s.Judge(Call{From: Source{Node: "c"}}); !v.Allowed || len(v.Audited) != 1 || v.Audited[0] != "try" {
		t.Errorf("got %+v", v)
	}
	// It does not open what is closed, and what is refused anyway is not counted.
	if v := s.Judge(Call{From: Source{Node: "c", Cluster: "eu"}, Across: true}); v.Allowed || v.Audited != nil {
		t.Errorf("across a link: %+v", v)
	}
}

// TestQ22_StrangeDenies: what a newer version wrote denies as far as it is understood.
func TestQ22_StrangeDenies(t *testing.T) {
	known := func(action string) []byte {
		return appendField(appendField([]byte{version}, fieldAction, action), 6, "web")
	}
	newer := known("allow")
	newer[0] = 2
	for name, body := range map[string][]byte{
		"action":  known("limit"),
		"field":   appendField(known("allow"), 8, "GET"),
		"version": newer,
	} {
		r := Decode("p", body)
		s := Compile([]Rule{r})
		if r.Strange == "" || s.Judge(Call{To: Target{Service: "web"}}).Allowed || !s.Judge(Call{To: Target{Service: "db"}}).Allowed {
			t.Errorf("%s: %+v", name, r)
		}
		if _, err := Encode(&r); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%s: it was written again: %v", name, err)
		}
	}
	for name, body := range map[string][]byte{
		"nothing":       {},
		"huge":          make([]byte, MaxBody+1),
		"cut":           known("allow")[:5],
		"twice":         appendField(known("allow"), 6, "db"),
		"an empty text": appendField(known("allow"), 7, ""),
		"no UTF-8":      appendField(known("allow"), 7, "\xff"),
		"a long varint": {version, fieldAction, 0x85, 0, 'a', 'l', 'l', 'o', 'w'},
	} {
		if r := Decode("p", body); r.Strange == "" || Compile([]Rule{r}).Judge(Call{To: Target{Service: "db"}}).Allowed {
			t.Errorf("%s: %+v", name, r)
		}
	}
	// A pattern that is none covers everything.
	r := Decode("p", appendField(appendField([]byte{version}, fieldAction, "allow"), 6, "!"))
	if r.Strange == "" || Compile([]Rule{r}).Judge(Call{To: Target{Service: "db"}}).Allowed {
		t.Errorf("pattern: %+v", r)
	}
}

func TestCheck(t *testing.T) {
	good := Rule{Name: "p", Action: Deny}
	for want, r := range map[string]Rule{
		"name":           {Name: "P", Action: Deny},
		"is no action":   {Name: "p", Action: "block"},
		"names nothing":  {Name: "p", Action: Deny, From: Callers{Tag: "!"}},
		"at most 128":    {Name: "p", Action: Deny, To: Targets{Service: strings.Repeat("x", 129)}},
		"be printed":     {Name: "p", Action: Deny, To: Targets{Service: "a\nb"}},
		"from.node: \"!": {Name: "p", Action: Deny, From: Callers{Node: "!"}},
	} {
		if err := r.Check(); micronet.KindOf(err) != micronet.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

func FuzzPolicyDecode(f *testing.F) {
	for _, r := range []Rule{
		{Name: "p", Action: Deny}, {Name: "p", Action: Audit, From: Callers{"a", "b*", "!c", "d"}, To: Targets{"e", "f"}},
	} {
		b, err := Encode(&r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, 9, 1, 'x'))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := Decode("p", body)
		s := Compile([]Rule{r})
		if r.Strange != "" {
			if v := s.Judge(Call{To: Target{Service: "x"}, Across: true}); v.Allowed {
				t.Fatalf("a rule that is not understood allows: %+v", r)
			}
			return
		}
		again, err := Encode(&r)
		if err != nil || !bytes.Equal(again, body) {
			t.Fatalf("not canonical: %x became %x, %v", body, again, err)
		}
	})
}

func BenchmarkJudge(b *testing.B) {
	d := []Rule{}
	for _, n := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		d = append(d, Rule{Name: n, Action: Deny, From: Callers{Node: "x-*"}, To: Targets{Service: "svc-" + n}})
	}
	s := Compile(d)
	c := Call{From: Source{Node: "node-1", Cluster: "main"}, To: Target{Service: "svc-k"}}
	for b.Loop() {
		s.Judge(c)
	}
}

func TestCheckPattern(t *testing.T) {
	for pattern, ok := range map[string]bool{
		"a": true, "*": true, "!a": true, "!*": true, "a!": true, "a*b!": true, strings.Repeat("x", MaxPattern): true,
		"": false, "!": false, "!!a": false, "!!": false, "a\n": false, "\xff": false, strings.Repeat("x", MaxPattern+1): false,
	} {
		if err := CheckPattern(pattern); (err == nil) != ok {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}
