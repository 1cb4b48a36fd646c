package scenario

import (
	"fmt"
	"strconv"
	"strings"
)

// value is one node of a parsed file.
type value struct {
	file   string
	key    string // the path from the root, "timeline[2].at"
	line   int    // from 1
	kind   kind
	raw    string // of text its content, of other scalars what stands in the file
	quoted bool
	pairs  []pair   // of a mapping, names unique
	items  []*value // of a list
}

type pair struct {
	name  string
	value *value
}

type kind int

const (
	null kind = iota
	text
	number
	boolean
	mapping
	list
)

// child is an empty value below v.
func (v *value) child(name string, line int) *value {
	key := visible(shorten(name))
	if v.key != "" {
		key = v.key + "." + key
	}
	return &value{file: v.file, key: key, line: line}
}

// item is an empty value in a list.
func (v *value) item(index int) *value {
	return &value{file: v.file, key: fmt.Sprintf("%s[%d]", v.key, index), line: v.line}
}

// get returns the value of a key, nil when it is missing.
func (v *value) get(name string) *value {
	for i := range v.pairs {
		if v.pairs[i].name == name {
			return v.pairs[i].value
		}
	}
	return nil
}

func (v *value) mistake(fix, format string, args ...any) *Mistake {
	return &Mistake{File: v.file, Line: v.line, Key: v.key, What: fmt.Sprintf(format, args...), Fix: fix}
}

// wrong is the mistake of a value that is not what it should be.
func (v *value) wrong(want string) *Mistake {
	found := shorten(v.raw)
	switch v.kind {
	case null:
		found = "nothing"
	case text:
		found = strconv.Quote(found)
	case mapping:
		found = "a mapping"
	case list:
		found = "a list"
	}
	return v.mistake("", "want %s, found %s", want, found)
}

// isScalar reports whether v is one word.
func (v *value) isScalar() bool { return v.kind == text || v.kind == number || v.kind == boolean }

// maxText bounds what String returns.
const maxText = 400

// String returns v on one line in YAML's flow style, shortened when it is long.
func (v *value) String() string {
	var b strings.Builder
	v.write(&b)
	return visible(cutText(b.String()))
}

func cutText(s string) string {
	if r := []rune(s); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return s
}

func (v *value) write(b *strings.Builder) {
	if b.Len() > 4*maxText { // more would be cut
		return
	}
	switch v.kind {
	case mapping:
		b.WriteByte('{')
		v.writePairs(b)
		b.WriteByte('}')
	case list:
		b.WriteByte('[')
		for i, item := range v.items {
			comma(b, i)
			item.write(b)
		}
		b.WriteByte(']')
	default:
		b.WriteString(v.raw)
	}
}

func (v *value) writePairs(b *strings.Builder) {
	for i := range v.pairs {
		comma(b, i)
		b.WriteString(v.pairs[i].name + ": ")
		v.pairs[i].value.write(b)
	}
}

func comma(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString(", ")
	}
}
