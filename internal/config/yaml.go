package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxMarks bounds the characters of a YAML file that structure it: each may become a token of
	// some hundred bytes.
	maxMarks = 1 << 16
	marks    = "[]{},:-?&*!|>'\"%@`#"
	// maxPairs bounds the keys of one mapping. The parser's work grows with their square.
	maxPairs = 1024
)

// parseYAML reads YAML (1.2) into a tree. Anchors, aliases, tags and directives are refused: people
// hardly write them by hand, and they can be used to blow up a small file.
func parseYAML(src *source) (root *value, err error) {
	if n := countMarks(src.text); n > maxMarks {
		return nil, &Fault{File: src.file, What: fmt.Sprintf("the file has %d punctuation marks, at most %d are read", n, maxMarks), Fix: "split it, or write it as JSON"}
	}
	// The parser is not ours, and what it reads may be meant to break it.
	defer func() {
		if recover() != nil {
			root, err = nil, &Fault{File: src.file, What: "this is no YAML that can be read", Fix: "write it as JSON"}
		}
	}()
	tokens := lexer.Tokenize(src.text)
	if err := checkTokens(src, tokens); err != nil {
		return nil, withQuotes(src, err)
	}
	f, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, withQuotes(src, syntaxFault(src, err))
	}
	return document(src, f)
}

func countMarks(s string) (n int) {
	for i := range len(s) {
		if strings.IndexByte(marks, s[i]) >= 0 {
			n++
		}
	}
	return n
}

// document takes the one document of a file. One that is empty, or holds comments only, is null.
func document(src *source, f *ast.File) (*value, error) {
	root := &value{source: src}
	found := false
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if found {
			line, column := place(doc.Body)
			return nil, src.fault(line, column, "put it into a file of its own", "a second YAML document")
		}
		found = true
		if err := build(root, doc.Body, 0); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// tokenCheck looks at the tokens of a file before the parser does: nesting and the size of
// mappings are bounded, and kinds of tokens that are not read are refused.
type tokenCheck struct {
	source *source
	flow   int     // open brackets
	blocks []block // open block mappings and sequences, columns ascending
}

type block struct{ column, pairs int }

func checkTokens(src *source, tokens token.Tokens) error {
	c := &tokenCheck{source: src}
	for _, t := range tokens {
		if err := c.check(t); err != nil {
			return err
		}
	}
	return nil
}

func (c *tokenCheck) check(t *token.Token) error {
	switch t.Type {
	case token.AnchorType, token.AliasType, token.TagType, token.MergeKeyType, token.MappingKeyType, token.DirectiveType:
		return c.refuse(t, "write the value out", "%q: anchors, aliases, tags, directives and complex keys are not read", shorten(strings.TrimSpace(t.Origin)))
	case token.InvalidType:
		what, _, _ := strings.Cut(t.Error, "\n")
		return c.refuse(t, "", "%s", what)
	case token.MappingStartType, token.SequenceStartType:
		c.flow++
	case token.MappingEndType, token.SequenceEndType:
		c.flow--
	case token.SequenceEntryType:
		c.enter(t.Position.Column, 0)
	case token.MappingValueType:
		if t.Prev != nil && c.flow == 0 {
			c.enter(t.Prev.Position.Column, 1)
		}
	}
	if c.flow+len(c.blocks) > 2*maxDepth {
		return c.refuse(t, "", "nested deeper than %d", maxDepth)
	}
	if n := len(c.blocks); n > 0 && c.blocks[n-1].pairs > maxPairs && t.Type == token.MappingValueType {
		return c.refuse(t, "", "more than %d keys in one mapping", maxPairs)
	}
	return nil
}

// enter notes a key (pairs 1) or a list entry (0) at a column: blocks further right have ended.
func (c *tokenCheck) enter(column, pairs int) {
	n := len(c.blocks)
	for n > 0 && c.blocks[n-1].column > column {
		n--
	}
	c.blocks = c.blocks[:n]
	if n == 0 || c.blocks[n-1].column < column {
		c.blocks = append(c.blocks, block{column: column})
		n++
	}
	c.blocks[n-1].pairs += pairs
}

func (c *tokenCheck) refuse(t *token.Token, fix, format string, args ...any) error {
	return c.source.fault(t.Position.Line, t.Position.Column, fix, format, args...)
}

// syntaxFault keeps the parser's message and its place. Its Error method would draw the whole
// file, which takes minutes for a bad one.
func syntaxFault(src *source, err error) error {
	e, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return &Fault{File: src.file, What: "this is no YAML"}
	}
	what, _, _ := strings.Cut(e.GetMessage(), "\n")
	line, column := 0, 0
	if t := e.GetToken(); t != nil && t.Position != nil {
		line, column = t.Position.Line, t.Position.Column
	}
	return src.fault(line, column, "", "%s", what)
}

func place(n ast.Node) (line, column int) {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line, t.Position.Column
	}
	return 0, 0
}

// build fills v with a node of the parser's tree.
func build(v *value, n ast.Node, depth int) error {
	if line, column := place(n); line > 0 {
		v.line, v.column = line, column
	}
	if depth > maxDepth {
		return v.fault("", "nested deeper than %d", maxDepth)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return v.addPairs(n.Values, depth)
	case *ast.MappingValueNode:
		return v.addPairs([]*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		return v.addItems(n.Values, depth)
	case *ast.NullNode:
	case *ast.StringNode:
		v.kind, v.raw = text, n.Value
		v.quoted = n.Token.Type == token.DoubleQuoteType || n.Token.Type == token.SingleQuoteType
	case *ast.LiteralNode:
		v.kind, v.raw, v.quoted = text, n.Value.Value, true
	case *ast.BoolNode:
		v.kind, v.raw = boolean, n.Token.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.kind, v.raw = number, strings.TrimSpace(n.GetToken().Value)
	default:
		return v.fault("write the value out", "this kind of YAML value is not read")
	}
	return nil
}

func (v *value) addItems(list []ast.Node, depth int) error {
	v.kind = sequence
	for i, n := range list {
		item := v.item(i, v.line, v.column)
		if err := build(item, n, depth+1); err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	return nil
}

func (v *value) addPairs(list []*ast.MappingValueNode, depth int) error {
	v.kind = mapping
	seen := make(map[string]bool, len(list))
	for i, n := range list {
		line, column := place(n.Key)
		name, ok := n.Key.(*ast.StringNode)
		if !ok {
			return v.source.fault(line, column, "put it in quotes", "a key that is no text")
		}
		if i == 0 { // the token of a mapping is its first colon
			v.line, v.column = line, column
		}
		p := pair{name: name.Value, line: line, column: column, value: v.child(name.Value, line, column)}
		if err := build(p.value, n.Value, depth+1); err != nil {
			return err
		}
		if p.value.kind == null {
			p.value.line, p.value.column = line, column
		}
		if err := v.add(p, seen); err != nil {
			return err
		}
	}
	return nil
}
