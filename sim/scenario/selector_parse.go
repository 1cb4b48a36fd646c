package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	micronet "github.com/micro/micro-net"
)

const (
	// maxSelector bounds the text of one word of a selector, with its `not` and `random`.
	maxSelector = 128

	wordAll     = "all"
	wordFounder = "founder"
	wordRandom  = "random"
	wordNot     = "not"
	wordOf      = "of"
	selectorFix = "write it like all, 3, 1-10, eu, eu3, eu1-eu5, founder, random 3, random 30%, random 1 of eu, not eu"
)

// selectorWords cannot name groups and nodes.
func selectorWords() []string { return []string{wordAll, wordFounder, wordRandom, wordNot, wordOf} }

// ParseSelector reads one selector as it stands in a file, or several with commas between them.
// It does not know which names exist.
func ParseSelector(s string) (Selector, error) {
	out := Selector{text: s}
	for one := range strings.SplitSeq(s, ",") {
		t, err := parseTerm(one)
		if err != nil {
			return Selector{}, micronet.E("scenario.selector", micronet.Invalid, "%s", err).WithFix("%s", selectorFix)
		}
		out.terms = append(out.terms, t)
	}
	return out, nil
}

func parseTerm(s string) (term, error) {
	if len(s) > maxSelector {
		return term{}, fmt.Errorf("%q is no selector: it is longer than %d characters", shorten(s), maxSelector)
	}
	t, ok := parseWords(strings.Fields(s))
	if !ok {
		return term{}, fmt.Errorf("%q is no selector", shorten(s))
	}
	return t, nil
}

func parseWords(words []string) (t term, ok bool) {
	switch {
	case len(words) == 0:
		return term{}, false
	case words[0] == wordNot:
		of, ok := parseWords(words[1:])
		return term{kind: termNot, of: &of}, ok
	case words[0] == wordRandom:
		return parseRandom(words[1:])
	case len(words) > 1:
		return term{}, false
	}
	return parseWord(words[0])
}

// parseRandom reads what follows `random`: "3", "30%", "3 of eu".
func parseRandom(words []string) (t term, ok bool) {
	if len(words) == 0 {
		return term{}, false
	}
	of := term{kind: termAll}
	if len(words) > 1 {
		if words[1] != wordOf {
			return term{}, false
		}
		if of, ok = parseWords(words[2:]); !ok {
			return term{}, false
		}
	}
	t = term{kind: termRandom, count: -1, of: &of}
	if decimal.MatchString(words[0]) {
		t.count, ok = index(words[0])
		return t, ok
	}
	share, m := (&value{kind: text, raw: words[0]}).share()
	t.share = share
	return t, m == nil && share > 0
}

var (
	memberWord = regexp.MustCompile(`^([a-z][a-z-]*?)([1-9][0-9]*)$`)
	nameWord   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
)

// parseWord reads "all", "founder", "3", "1-10", "eu", "eu3", "eu1-eu5" and names of clones.
func parseWord(w string) (t term, ok bool) {
	switch w {
	case wordAll:
		return term{kind: termAll}, true
	case wordFounder:
		return term{kind: termNumbers, from: 1, to: 1}, true
	case wordNot, wordRandom, wordOf:
		return term{}, false
	}
	for i := range len(w) {
		if w[i] == '-' {
			if t, ok := parseRange(w[:i], w[i+1:]); ok {
				return t, t.from <= t.to
			}
		}
	}
	if n, ok := index(w); ok {
		return term{kind: termNumbers, from: n, to: n}, true
	}
	if group, n, ok := member(w); ok {
		return term{kind: termMembers, group: group, from: n, to: n, name: w}, true
	}
	return term{kind: termGroup, group: w, name: w}, nameWord.MatchString(w)
}

func parseRange(first, last string) (term, bool) {
	from, ok1 := index(first)
	to, ok2 := index(last)
	if ok1 && ok2 {
		return term{kind: termNumbers, from: from, to: to}, true
	}
	group, from, ok1 := member(first)
	again, to, ok2 := member(last)
	return term{kind: termMembers, group: group, from: from, to: to}, ok1 && ok2 && group == again
}

// index reads a number from 1.
func index(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0 && decimal.MatchString(s)
}

// member reads "eu3".
func member(s string) (group string, n int, ok bool) {
	m := memberWord.FindStringSubmatch(s)
	if m == nil {
		return "", 0, false
	}
	n, ok = index(m[2])
	return m[1], n, ok
}

// selector reads a selector, or a list of them.
func (v *value) selector() (Selector, *Mistake) {
	items := []*value{v}
	if v.kind == list {
		items = v.items
	}
	var s Selector
	var words []string
	for _, item := range items {
		if !item.isScalar() {
			return Selector{}, item.wrong("a selector")
		}
		t, err := parseTerm(item.raw)
		if err != nil {
			return Selector{}, item.mistake(selectorFix, "%s", err)
		}
		s.terms = append(s.terms, t)
		words = append(words, item.raw)
	}
	s.text = strings.Join(words, ", ")
	if len(s.terms) == 0 {
		return Selector{}, v.mistake(selectorFix, "an empty list stands for no node")
	}
	return s, nil
}

// isName reports whether s can name a clone: no selector means something else by it.
func isName(s string) bool {
	t, ok := parseWord(s)
	return ok && t.name == s && micronet.CheckLabel(s) == nil && !slices.Contains(selectorWords(), s)
}
