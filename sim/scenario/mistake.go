package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

const (
	// maxMistakes is how many mistakes of one file are told; the rest is counted.
	maxMistakes = 20
	// maxShown is how much of a wrong value, and of a key, a mistake repeats.
	maxShown = 64
)

// Mistake is one thing that is wrong with a file: where, what, and what would be right. Its kind
// is micronet.Invalid.
type Mistake struct {
	File string
	Line int    // from 1; 0 when the whole file is meant
	Key  string // "timeline[2].at", "" for the file
	What string
	Fix  string // "" when nothing can be said that What does not say
}

// Error prints "file:line: key: what; fix" on one line, without control characters.
func (m *Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.File)
	if m.Line > 0 {
		b.WriteString(":" + strconv.Itoa(m.Line))
	}
	if m.Key != "" {
		b.WriteString(": " + m.Key)
	}
	b.WriteString(": " + m.What)
	if m.Fix != "" {
		b.WriteString("; " + m.Fix)
	}
	return visible(b.String())
}

// As makes a Mistake a micronet.Error of kind Invalid for those who ask for the kind.
func (m *Mistake) As(target any) bool {
	e, ok := target.(**micronet.Error)
	if ok {
		*e = micronet.E("scenario.parse", micronet.Invalid, "%s", m.Error())
	}
	return ok
}

var _ interface{ As(any) bool } = (*Mistake)(nil)

// mistakes collects those of one file. Beyond maxMistakes they are counted only.
type mistakes struct {
	list []*Mistake
	more int
}

func (m *mistakes) fail(one *Mistake) {
	if len(m.list) < maxMistakes {
		m.list = append(m.list, one)
		return
	}
	m.more++
}

// err joins the mistakes in the order of the file; nil when there are none.
func (m *mistakes) err() error {
	slices.SortStableFunc(m.list, func(a, b *Mistake) int { return a.Line - b.Line })
	all := make([]error, 0, len(m.list)+1)
	for _, one := range m.list {
		all = append(all, one)
	}
	if m.more > 0 {
		what := fmt.Sprintf("%d more mistakes are not shown", m.more)
		all = append(all, &Mistake{File: m.list[0].File, What: what, Fix: "mend these first"})
	}
	return errors.Join(all...)
}

// visible escapes what could drive a terminal or break a line.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// shorten cuts what a mistake repeats of a file, between two characters.
func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
