package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

const (
	// maxFaults is how many mistakes of one file are told; the rest is counted.
	maxFaults = 50
	// maxShown is how much of a wrong value, and of a key, an error repeats.
	maxShown = 64
	// maxWhat is how long the description of a mistake may be.
	maxWhat = 400
	// maxPicture is how much of a long line a picture shows.
	maxPicture = 100
)

// Fault is one mistake in a file: where it is, what is wrong, and what would be right. Its kind
// is micronet.Invalid.
type Fault struct {
	File string
	Line int    // from 1; 0 when the whole file is meant
	Key  string // "services[2].port", "" for the file
	What string
	Fix  string

	column int // from 1, in bytes; 0 when not known
	source *source
}

// Error prints "file:line: key: what; fix" on one line, without control characters.
func (f *Fault) Error() string {
	s := f.File
	if f.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, f.Line)
	}
	if f.Key != "" {
		s += ": " + f.Key
	}
	s += ": " + f.What
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return visible(s)
}

// Picture is the error, the line it is about, and a caret below the place.
func (f *Fault) Picture() string {
	if f.source == nil || f.Line == 0 {
		return f.Error()
	}
	line, at := f.source.line(f.Line), max(f.column-1, 0)
	if at > maxPicture/2 {
		cut := min(at-maxPicture/2, len(line))
		line, at = line[cut:], at-cut
	}
	if len(line) > maxPicture {
		line = line[:maxPicture]
	}
	before := visible(strings.ToValidUTF8(strings.ReplaceAll(line[:min(at, len(line))], "\t", " "), ""))
	line = visible(strings.ToValidUTF8(strings.ReplaceAll(line, "\t", " "), ""))
	number := strconv.Itoa(f.Line)
	return fmt.Sprintf("%s\n  %s | %s\n  %*s | %*s", f.Error(), number, line, len(number), "", utf8.RuneCountInString(before)+1, "^")
}

// As makes a Fault a micronet.Error of kind Invalid for those who ask for the kind.
func (f *Fault) As(target any) bool {
	e, ok := target.(**micronet.Error)
	if ok {
		*e = micronet.E("config", micronet.Invalid, "%s", f.Error())
	}
	return ok
}

var _ interface{ As(any) bool } = (*Fault)(nil)

// visible escapes what could drive a terminal or break a line.
func visible(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// shorten cuts what an error repeats of a file.
func shorten(s string) string { return clip(s, maxShown) }

// clip cuts a text between two characters.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	cut := limit
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// faults collects the mistakes of one file. Beyond maxFaults they are counted only.
type faults struct {
	list []error
	more int
}

func (f *faults) fail(err error) {
	if len(f.list) < maxFaults {
		f.list = append(f.list, err)
		return
	}
	f.more++
}

// all returns the mistakes, and how many more there are.
func (f *faults) all() []error {
	if f.more == 0 {
		return f.list
	}
	last := Fault{What: fmt.Sprintf("%d more mistakes are not shown", f.more), Fix: "mend these first"}
	if first, ok := errors.AsType[*Fault](f.list[0]); ok {
		last.File = first.File
	}
	return append(f.list, &last)
}
