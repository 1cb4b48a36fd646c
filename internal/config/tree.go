package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const (
	// maxFile bounds a file: the largest that makes sense has some thousand services.
	maxFile = 1 << 20
	// maxDepth bounds nesting.
	maxDepth = 16
)

// tree is a parsed YAML or JSON file: values with the line they stand on. Anchors and aliases
// are refused: nobody writes them by hand, and they can be used to blow up a small file.
type tree struct {
	file string
	root *value
}

// value is one node of a tree.
type value struct {
	file, key string // key is the path from the root
	line      int
	pairs     []pair   // of a mapping
	items     []*value // of a sequence
	kind      kind
	scalar    any  // string, int64, uint64, float64, bool
	consul    bool // stood under a key that only Consul's form has
}

type pair struct {
	name  string
	line  int
	value *value
}

type kind int

const (
	null kind = iota
	scalar
	mapping
	sequence
)

var kindNames = [...]string{"nothing", "a value", "a mapping", "a list"}

func parseTree(file string, data []byte) (*tree, error) {
	whole := func(format string, args ...any) error { return &Fault{File: file, What: fmt.Sprintf(format, args...)} }
	if len(data) > maxFile {
		return nil, whole("the file has %d bytes, at most %d are read", len(data), maxFile)
	}
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, syntaxFault(file, err)
	}
	if len(f.Docs) > 1 {
		return nil, whole("the file has %d YAML documents, want one", len(f.Docs))
	}
	t := &tree{file: file, root: &value{file: file}}
	if len(f.Docs) == 1 && f.Docs[0].Body != nil {
		if t.root, err = build(file, "", f.Docs[0].Body, 0); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// syntaxFault keeps the first line of the parser's message and its position.
func syntaxFault(file string, err error) error {
	fault := &Fault{File: file, What: err.Error()}
	if e, ok := errors.AsType[yaml.Error](err); ok {
		fault.What = e.GetMessage()
		if tok := e.GetToken(); tok != nil && tok.Position != nil {
			fault.Line = tok.Position.Line
		}
	}
	fault.What, _, _ = strings.Cut(fault.What, "\n")
	return fault
}

func build(file, key string, n ast.Node, depth int) (*value, error) {
	v := &value{file: file, key: key}
	if tok := n.GetToken(); tok != nil && tok.Position != nil {
		v.line = tok.Position.Line
	}
	if depth > maxDepth {
		return nil, v.fault("", "nested deeper than %d", maxDepth)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		v.kind = mapping
		return v, v.addPairs(n.Values, depth)
	case *ast.MappingValueNode:
		v.kind = mapping
		return v, v.addPairs([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		v.kind = sequence
		for i, item := range n.Values {
			child, err := build(file, fmt.Sprintf("%s[%d]", key, i), item, depth+1)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, child)
		}
		return v, nil
	case *ast.NullNode:
		return v, nil
	case *ast.LiteralNode:
		v.kind, v.scalar = scalar, n.Value.Value
		return v, nil
	case ast.ScalarNode:
		v.kind, v.scalar = scalar, n.GetValue()
		return v, nil
	}
	return nil, v.fault("write the value out", "anchors, aliases and tags are not read")
}

func (v *value) addPairs(list []*ast.MappingValueNode, depth int) error {
	for _, p := range list {
		name, ok := keyName(p.Key)
		if !ok {
			return v.fault("", "a key that is no plain word")
		}
		for _, old := range v.pairs {
			if old.name == name {
				return v.fault("remove one", "the key %q stands here twice", name)
			}
		}
		child, err := build(v.file, strings.TrimPrefix(v.key+"."+name, "."), p.Value, depth+1)
		if err != nil {
			return err
		}
		line := v.line
		if tok := p.Key.GetToken(); tok != nil && tok.Position != nil {
			line = tok.Position.Line
		}
		if child.kind == null {
			child.line = line
		}
		v.pairs = append(v.pairs, pair{name: name, line: line, value: child})
	}
	return nil
}

func keyName(k ast.MapKeyNode) (string, bool) {
	s, ok := k.(ast.ScalarNode)
	if !ok {
		return "", false
	}
	name, ok := s.GetValue().(string)
	return name, ok
}

func (v *value) fault(fix, format string, args ...any) *Fault {
	return &Fault{File: v.file, Line: v.line, Key: v.key, What: fmt.Sprintf(format, args...), Fix: fix}
}

// get returns the value of a key, nil when it is missing.
func (v *value) get(name string) *value {
	for _, p := range v.pairs {
		if p.name == name {
			return p.value
		}
	}
	return nil
}

func (v *value) wrong(want string) *Fault {
	got := kindNames[v.kind]
	if v.kind == scalar {
		got = fmt.Sprintf("%v", v.scalar)
		if s, ok := v.scalar.(string); ok {
			got = fmt.Sprintf("%q", s)
		}
	}
	return v.fault("", "want %s, found %s", want, got)
}

func (v *value) text() (string, error) {
	if s, ok := v.scalar.(string); ok && v.kind == scalar {
		return s, nil
	}
	f := v.wrong("text")
	if v.kind == scalar {
		f.Fix = fmt.Sprintf("put it in quotes: \"%v\"", v.scalar)
	}
	return "", f
}

func (v *value) number() (int, error) {
	switch n := v.scalar.(type) {
	case int64:
		return int(n), nil
	case uint64:
		return int(min(n, 1<<62)), nil
	}
	return 0, v.wrong("a whole number")
}

func (v *value) boolean() (bool, error) {
	if b, ok := v.scalar.(bool); ok {
		return b, nil
	}
	return false, v.wrong("true or false")
}

func (v *value) duration() (time.Duration, error) {
	s, err := v.text()
	if err != nil {
		return 0, v.wrong("a duration like 5s")
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, v.wrong("a duration like 5s")
	}
	return d, nil
}

func (v *value) texts() ([]string, error) {
	if v.kind != sequence {
		return nil, v.wrong("a list of texts")
	}
	out := make([]string, 0, len(v.items))
	for _, item := range v.items {
		s, err := item.text()
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
