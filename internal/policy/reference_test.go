package policy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var cases = flag.Int("cases", 20_000, "calls that TestQ22_Differential compares")

// judgeSlowly is the rules as docs/policy.md says them, one after another, without any of the means
// of Snapshot.
func judgeSlowly(rules []Rule, c Call) Verdict {
	sorted := slices.Clone(rules)
	slices.SortFunc(sorted, func(a, b Rule) int { return strings.Compare(a.Name, b.Name) })
	var denied, allowed, audited []string
	for _, r := range sorted {
		if !coversSlowly(r, c) {
			continue
		}
		switch {
		case r.Strange != "" || (r.Action != Allow && r.Action != Audit):
			denied = append(denied, r.Name)
		case r.Action == Allow:
			allowed = append(allowed, r.Name)
		default:
			audited = append(audited, r.Name)
		}
	}
	switch {
	case len(denied) > 0:
		return Verdict{Rule: denied[0], Across: c.Across}
	case len(allowed) > 0:
		return Verdict{Allowed: true, Rule: allowed[0], Across: c.Across, Audited: audited}
	case c.Across:
		return Verdict{Across: true}
	}
	return Verdict{Allowed: true, Audited: audited}
}

func coversSlowly(r Rule, c Call) bool {
	one := func(pattern, name string) bool { return fitsAny(pattern, []string{name}) }
	return one(r.From.Node, c.From.Node) && one(r.From.Service, c.From.Service) && one(r.From.Cluster, c.From.Cluster) &&
		one(r.To.Service, c.To.Service) && fitsAny(r.From.Tag, c.From.Tags) && fitsAny(r.To.Tag, c.To.Tags)
}

// fitsAny: a pattern that is left out fits all. Who has no tag is like who has the empty one.
func fitsAny(pattern string, names []string) bool {
	if pattern == "" {
		return true
	}
	if rest, not := strings.CutPrefix(pattern, "!"); not {
		return !fitsAny(rest, names)
	}
	return slices.ContainsFunc(append(slices.Clone(names), ""), func(n string) bool {
		if n == "" && len(names) == 1 && names[0] != "" {
			n = names[0]
		}
		return fits(strings.ToLower(pattern), strings.ToLower(n))
	})
}

// fits compares letter by letter and tries every length for each *.
func fits(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	if pattern[0] == '*' {
		for i := range len(name) + 1 {
			if fits(pattern[1:], name[i:]) {
				return true
			}
		}
		return false
	}
	return name != "" && pattern[0] == name[0] && fits(pattern[1:], name[1:])
}

// drawn makes rules and calls of few words, so that they often meet.
type drawn struct{ *rand.Rand }

func (d drawn) word(words ...string) string { return words[d.IntN(len(words))] }

func (d drawn) pattern() string {
	return d.word("", "", "", "*", "a", "b", "ab", "A", "a*", "*b", "!a", "!a*", "a*b*", "!*", "**")
}

func (d drawn) name() string { return d.word("", "a", "b", "ab", "aB", "abab", "ba", "c") }

func (d drawn) names() (out []string) {
	for range d.IntN(3) {
		out = append(out, d.name())
	}
	return out
}

func (d drawn) rules() (out []Rule) {
	for i := range d.IntN(6) {
		r := Rule{
			Name: fmt.Sprint("r", 9-i), Action: Action(d.word("allow", "deny", "audit", "audit", "allow", "later")),
			From: Callers{d.pattern(), d.pattern(), d.pattern(), d.pattern()}, To: Targets{d.pattern(), d.pattern()},
		}
		if d.IntN(8) == 0 {
			r.Strange = "of a newer version"
		}
		out = append(out, r)
	}
	return out
}

func (d drawn) call() Call {
	return Call{
		From: Source{d.name(), d.name(), d.names(), d.name()}, To: Target{d.name(), d.names()}, Across: d.IntN(2) == 0,
	}
}

func compare(t *testing.T, rules []Rule, c Call) {
	t.Helper()
	got, want := Compile(rules).Judge(c), judgeSlowly(rules, c)
	if got.Allowed != want.Allowed || got.Rule != want.Rule || got.Across != want.Across || !slices.Equal(got.Audited, want.Audited) {
		t.Fatalf("rules %+v\ncall %+v\ngot  %+v\nwant %+v", rules, c, got, want)
	}
}

// TestQ22_Differential compares the compiled rules with the slow ones: -cases 1000000 for all.
func TestQ22_Differential(t *testing.T) {
	d := drawn{rand.New(rand.NewPCG(22, 1))}
	for range *cases {
		compare(t, d.rules(), d.call())
	}
}

func FuzzPolicyDifferential(f *testing.F) {
	f.Add(uint64(1), uint64(2), "a*", "ab", "tag")
	f.Fuzz(func(t *testing.T, one, two uint64, pattern, name, tag string) {
		if len(pattern) > 12 || strings.Count(pattern, "*") > 4 || len(name) > 24 || len(tag) > 24 {
			return // the reference takes exponential time
		}
		d := drawn{rand.New(rand.NewPCG(one, two))}
		rules, c := d.rules(), d.call()
		for i := range rules {
			if CheckPattern(pattern) == nil {
				*rules[i].fields()[i%6].text = pattern
			}
		}
		c.From.Node, c.To.Service, c.To.Tags = name, name, append(c.To.Tags, tag)
		compare(t, rules, c)
	})
}
