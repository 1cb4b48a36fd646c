package policy

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxPattern bounds a pattern, in bytes. Names of Consul's kind are longer than DNS labels.
const MaxPattern = 128

// CheckPattern reports why a text is no pattern: 1 to 128 printable characters, of which * stands for
// any number of any characters, and a ! in front for everything that the rest does not match.
func CheckPattern(s string) error {
	body := strings.TrimPrefix(s, "!")
	switch {
	case body == "":
		return fmt.Errorf("%q is no pattern: it names nothing", s)
	case strings.HasPrefix(body, "!"):
		return fmt.Errorf("%q is no pattern: a second ! may mean the opposite of the first, or a name that begins with it", s)
	case len(s) > MaxPattern:
		return fmt.Errorf("the pattern has %d bytes, at most %d are taken", len(s), MaxPattern)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%q is no pattern: it has characters that cannot be printed", s)
	}
	return nil
}

// pattern is one that is ready to be compared. The zero value matches everything.
type pattern struct {
	body   string // lower case; "" matches everything
	glob   bool   // body holds a *
	negate bool
}

// newPattern reads a pattern. Names are compared without case, as DNS does: a service that Consul's API
// calls Payments must not slip past a rule about payments.
func newPattern(s string) pattern {
	body, negate := strings.CutPrefix(strings.ToLower(s), "!")
	return pattern{body: body, glob: strings.Contains(body, "*"), negate: negate}
}

// plain returns the one name that is matched, "" when there may be more.
func (p pattern) plain() string {
	if p.glob || p.negate {
		return ""
	}
	return p.body
}

// matches compares a name in lower case.
func (p pattern) matches(name string) bool {
	return p.body == "" || p.hits(name) != p.negate
}

// matchesAny compares tags: one that fits is enough, and with a ! none may fit.
func (p pattern) matchesAny(tags []string) bool {
	if p.body == "" {
		return true
	}
	hit := p.hits("")
	for _, t := range tags {
		hit = hit || p.hits(strings.ToLower(t))
	}
	return hit != p.negate
}

func (p pattern) hits(name string) bool {
	if p.glob {
		return globbed(p.body, name)
	}
	return p.body == name
}

// globbed goes back to the last * only, so that its work is bounded by the product of the lengths.
func globbed(glob, name string) bool {
	star, again := -1, 0
	g, n := 0, 0
	for n < len(name) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, again = g, n
			g++
		case g < len(glob) && glob[g] == name[n]:
			g++
			n++
		case star >= 0:
			again++
			g, n = star+1, again
		default:
			return false
		}
	}
	return strings.Trim(glob[g:], "*") == ""
}
