package config

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxFile bounds a file: the largest that makes sense has some thousand services.
	maxFile = 1 << 20
	// maxDepth bounds nesting.
	maxDepth = 16
)

// source is the text of a file, for the lines that errors point at.
type source struct {
	file string
	text string
	json bool
	ends []int // offsets of line ends, ascending
}

func newSource(file, text string) *source {
	s := &source{file: file, text: text}
	for i := range len(text) {
		if text[i] == '\n' {
			s.ends = append(s.ends, i)
		}
	}
	return s
}

// position turns an offset into line and column, both from 1.
func (s *source) position(offset int) (line, column int) {
	n := sort.SearchInts(s.ends, offset)
	start := 0
	if n > 0 {
		start = s.ends[n-1] + 1
	}
	return n + 1, offset - start + 1
}

// line returns a line without its end, "" when there is none by that number.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.ends)+1 {
		return ""
	}
	start, end := 0, len(s.text)
	if n > 1 {
		start = s.ends[n-2] + 1
	}
	if n <= len(s.ends) {
		end = s.ends[n-1]
	}
	return strings.TrimSuffix(s.text[start:end], "\r")
}

func (s *source) fault(line, column int, fix, format string, args ...any) *Fault {
	return &Fault{File: s.file, Line: line, What: clip(fmt.Sprintf(format, args...), maxWhat), Fix: fix, column: column, source: s}
}

// value is one node of a parsed file.
type value struct {
	source *source
	key    string // the path from the root, "services[2].port"
	line   int
	column int
	kind   kind
	raw    string // of text its content, of other scalars what stands in the file
	quoted bool
	pairs  []pair   // of a mapping
	items  []*value // of a sequence
}

type pair struct {
	name         string
	line, column int
	value        *value
}

type kind int

const (
	null kind = iota
	text
	number
	boolean
	mapping
	sequence
)

// parseTree reads a file: JSON if it is that, YAML else. JSON has a reader of its own because
// what comes from programs must be read exactly as they meant it, and cheaply.
func parseTree(file string, data []byte) (*value, error) {
	if len(data) > maxFile {
		return nil, &Fault{File: file, What: fmt.Sprintf("the file has %d bytes, at most %d are read", len(data), maxFile)}
	}
	src := newSource(file, string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if err := src.checkText(); err != nil {
		return nil, err
	}
	if first := strings.TrimLeft(src.text, " \t\r\n"); first != "" && (first[0] == '{' || first[0] == '[') {
		if v, err := parseJSON(src); err == nil || src.json || strings.HasSuffix(file, ".json") {
			return v, err
		}
	}
	return parseYAML(src)
}

// checkText refuses what is no text, with the line.
func (s *source) checkText() error {
	if i := strings.IndexByte(s.text, 0); i >= 0 {
		line, column := s.position(i)
		return s.fault(line, column, "", "a zero byte: this is no text file")
	}
	if utf8.ValidString(s.text) {
		return nil
	}
	for i, r := range s.text {
		if r == utf8.RuneError && !strings.HasPrefix(s.text[i:], "\ufffd") {
			line, column := s.position(i)
			return s.fault(line, column, "save the file as UTF-8", "a byte that is not UTF-8")
		}
	}
	return nil
}

// add appends a pair to a mapping. seen holds the names it has.
func (v *value) add(p pair, seen map[string]bool) error {
	if seen[p.name] {
		f := v.source.fault(p.line, p.column, "remove one", "the key stands here twice")
		f.Key = p.value.key
		return f
	}
	seen[p.name] = true
	v.pairs = append(v.pairs, p)
	return nil
}

// child is an empty value below v.
func (v *value) child(name string, line, column int) *value {
	key := visible(shorten(name))
	if v.key != "" {
		key = v.key + "." + key
	}
	return &value{source: v.source, key: key, line: line, column: column}
}

// item is an empty value in a sequence.
func (v *value) item(index, line, column int) *value {
	return &value{source: v.source, key: fmt.Sprintf("%s[%d]", v.key, index), line: line, column: column}
}

// get returns the value of a key, nil when it is missing.
func (v *value) get(name string) *value {
	i := slices.IndexFunc(v.pairs, func(p pair) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return v.pairs[i].value
}

func (v *value) fault(fix, format string, args ...any) *Fault {
	f := v.source.fault(v.line, v.column, fix, format, args...)
	f.Key = v.key
	return f
}

// wrong is the fault of a value that is of another kind than it should be.
func (v *value) wrong(want string) *Fault {
	found := visible(shorten(v.raw))
	switch v.kind {
	case null:
		found = "nothing"
	case text:
		found = strconv.Quote(shorten(v.raw))
	case mapping:
		found = "a mapping"
	case sequence:
		found = "a list"
	}
	return v.fault("", "want %s, found %s", want, found)
}

func (v *value) text() (string, error) {
	if v.kind == text {
		return v.raw, nil
	}
	f := v.wrong("text")
	if v.kind == number || v.kind == boolean {
		f.Fix = "put it in quotes: " + strconv.Quote(shorten(v.raw))
	}
	return "", f
}

// decimal is how a whole number is written: 0120 and 0x50 mean different things to different
// readers.
var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// between reads a whole number from low to high.
func (v *value) between(low, high int) (int, error) {
	f := v.wrong(fmt.Sprintf("a whole number from %d to %d", low, high))
	if v.kind == text && v.quoted && decimal.MatchString(v.raw) {
		f.Fix = "remove the quotes"
	}
	if v.kind != number || !decimal.MatchString(v.raw) {
		return 0, f
	}
	n, err := strconv.Atoi(v.raw)
	if err != nil || n < low || n > high {
		return 0, f
	}
	return n, nil
}

func (v *value) boolean() (bool, error) {
	if v.kind == boolean {
		return strings.EqualFold(v.raw, "true"), nil
	}
	return false, v.wrong("true or false")
}

// duration reads "5s", from low to high.
func (v *value) duration(low, high time.Duration) (time.Duration, error) {
	f := v.wrong("a duration like 5s")
	if v.kind == number {
		f.Fix = fmt.Sprintf("give the unit: %ss", shorten(v.raw))
	}
	if v.kind != text {
		return 0, f
	}
	d, err := time.ParseDuration(v.raw)
	if err != nil {
		return 0, f
	}
	if d < low || d > high {
		return 0, v.fault("", "%s is out of bounds: want %s to %s", shorten(v.raw), low, high)
	}
	return d, nil
}

// texts reads a list of texts; an empty one is nil.
func (v *value) texts() ([]string, error) {
	if v.kind != sequence {
		f := v.wrong("a list of texts")
		if v.kind == text {
			f.Fix = fmt.Sprintf("write [%s]", visible(shorten(v.raw)))
		}
		return nil, f
	}
	var out []string
	for _, item := range v.items {
		s, err := item.text()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// textMap reads a mapping of text to text; an empty one is nil.
func (v *value) textMap() (map[string]string, error) {
	if v.kind != mapping {
		return nil, v.wrong("a mapping of text to text")
	}
	var out map[string]string
	for _, p := range v.pairs {
		s, err := p.value.text()
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = make(map[string]string, len(v.pairs))
		}
		out[p.name] = s
	}
	return out, nil
}
