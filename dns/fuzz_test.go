package dns

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// join writes labels in presentation form with every byte escaped that could mean anything.
func join(labels []string) string {
	var b strings.Builder
	for _, l := range labels {
		for i := range len(l) {
			if c := l[i]; isDigit(c) || ('a' <= c && c <= 'z') || c == '-' || c == '_' {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, `\%03d`, c)
			}
		}
		b.WriteByte('.')
	}
	if len(labels) == 0 {
		return "."
	}
	return b.String()
}

// FuzzName: splitting never panics, keeps the limits of RFC 1035, and reads what join wrote.
func FuzzName(f *testing.F) {
	for _, c := range answers {
		f.Add(c.name)
	}
	for _, s := range []string{"", `\`, `\1`, `\12`, `\256.`, `\255.`, `a\..`, `a\`, "..", ".a", `\065.`, "É.", strings.Repeat("a.", 127), strings.Repeat("a.", 128)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		labels, ok := split(s)
		if !ok {
			return
		}
		size := 1
		for _, l := range labels {
			if l == "" || len(l) > maxLabel || lower(l) != l {
				t.Fatalf("split(%q) = %q: a label is empty, long or not lower case", s, labels)
			}
			size += 1 + len(l)
		}
		if size > maxName {
			t.Fatalf("split(%q) is a name of %d bytes", s, size)
		}
		again, ok := split(join(labels))
		if !ok || !slices.Equal(again, labels) {
			t.Fatalf("split(join(%q)) = %q, %v", labels, again, ok)
		}
	})
}

// FuzzZone: whatever is asked, the answer keeps the rules of a zone.
func FuzzZone(f *testing.F) {
	for _, c := range answers {
		f.Add(c.name, uint16(TypeA))
		f.Add(c.name, uint16(TypeSRV))
	}
	z := newTestZone(f, newMesh())
	f.Fuzz(func(t *testing.T, name string, typ uint16) {
		a, mine := z.Serve(context.Background(), Question{name, Type(typ)})
		if !mine || a.Rcode == FormatError {
			return
		}
		empty := len(a.Answers) == 0
		soa := len(a.Authority) == 1 && a.Authority[0].Type == TypeSOA
		if empty != soa || (a.Rcode == NameError) && !empty {
			t.Fatalf("%q %d: %s", name, typ, show(a))
		}
		for _, r := range a.Answers {
			if r.Name != name || (r.Type != Type(typ) && r.Type != TypeHINFO) || r.TTL != TTL {
				t.Fatalf("%q %d: record %s", name, typ, showRecord(r))
			}
		}
		if soa {
			owner, _ := split(a.Authority[0].Name)
			if labels, _ := split(name); len(labels) < len(owner) || !slices.Equal(labels[len(labels)-len(owner):], owner) {
				t.Fatalf("%q: %s has no authority there", name, a.Authority[0].Name)
			}
		}
	})
}
