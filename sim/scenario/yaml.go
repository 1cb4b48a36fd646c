package scenario

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxFile bounds a file in bytes: ten thousand steps fit.
	maxFile = 1 << 20
	// maxMarks bounds the characters that structure a file: each may become a token of some
	// hundred bytes.
	maxMarks = 1 << 17
	marks    = "[]{},:-?&*!|>'\"%@`#"
	// maxDepth bounds nesting.
	maxDepth = 12
	// maxPairs bounds the keys of one mapping: the parser's work grows with their square.
	maxPairs = 128
	// maxValues bounds what aliases can make of a file.
	maxValues = 1 << 17
)

// parseTree reads YAML (1.2). Tags, directives, merge keys and complex keys are refused, anchors
// and aliases are read.
func parseTree(file string, data []byte) (root *value, m *Mistake) {
	whole := func(fix, what string) *Mistake { return &Mistake{File: file, What: what, Fix: fix} }
	switch {
	case len(data) > maxFile:
		return nil, whole("split it, or repeat steps with every", "the file is larger than 1 MiB")
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return nil, whole("save it as UTF-8", "the file is no text")
	case countMarks(data) > maxMarks:
		return nil, whole("split it, or repeat steps with every", "the file has too many punctuation marks to be read")
	}
	// The parser is not ours, and what it reads may be meant to break it.
	defer func() {
		if recover() != nil {
			root, m = nil, whole("", "this is no YAML that can be read")
		}
	}()
	tokens := lexer.Tokenize(string(bytes.TrimPrefix(data, []byte("\ufeff"))))
	if m := checkTokens(file, tokens); m != nil {
		return nil, m
	}
	f, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntax(file, err)
	}
	b := &builder{anchors: map[string]ast.Node{}}
	return b.document(file, f)
}

func countMarks(data []byte) (n int) {
	for _, c := range data {
		if strings.IndexByte(marks, c) >= 0 {
			n++
		}
	}
	return n
}

// syntax keeps the parser's message and its line. Its Error method would draw the whole file.
func syntax(file string, err error) *Mistake {
	m := &Mistake{File: file, What: "this is no YAML"}
	if e, ok := errors.AsType[yaml.Error](err); ok {
		m.What, _, _ = strings.Cut(e.GetMessage(), "\n")
		if t := e.GetToken(); t != nil && t.Position != nil {
			m.Line = t.Position.Line
		}
	}
	return m
}

// tokenCheck looks at the tokens before the parser does: it bounds nesting and the size of
// mappings.
type tokenCheck struct {
	flow   int     // open brackets
	blocks []block // open block mappings and lists, columns ascending
}

type block struct{ column, pairs int }

func checkTokens(file string, tokens token.Tokens) *Mistake {
	c := &tokenCheck{}
	for _, t := range tokens {
		if what, fix := c.check(t); what != "" {
			return &Mistake{File: file, Line: t.Position.Line, What: what, Fix: fix}
		}
	}
	return nil
}

func (c *tokenCheck) check(t *token.Token) (what, fix string) {
	switch t.Type {
	case token.TagType, token.MergeKeyType, token.MappingKeyType, token.DirectiveType:
		return "tags, directives, merge keys and complex keys are not read", "write the value out"
	case token.InvalidType:
		what, _, _ := strings.Cut(t.Error, "\n")
		return what, ""
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
		return "nested too deep", ""
	}
	if n := len(c.blocks); n > 0 && c.blocks[n-1].pairs > maxPairs {
		return "too many keys in one mapping", ""
	}
	return "", ""
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
	if pairs == 0 { // a new entry begins new mappings
		c.blocks[n-1].pairs = 0
	}
	c.blocks[n-1].pairs += pairs
}

// builder turns the parser's tree into ours.
type builder struct {
	anchors map[string]ast.Node
	values  int
}

// document takes the one document of a file.
func (b *builder) document(file string, f *ast.File) (*value, *Mistake) {
	root := &value{file: file, line: 1}
	found := false
	for _, doc := range f.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if found {
			return nil, &Mistake{File: file, Line: lineOf(doc.Body), What: "a second YAML document", Fix: "put it into a file of its own"}
		}
		found = true
		if m := b.build(root, doc.Body, 0); m != nil {
			return nil, m
		}
	}
	return root, nil
}

func lineOf(n ast.Node) int {
	if n != nil && n.GetToken() != nil && n.GetToken().Position != nil {
		return n.GetToken().Position.Line
	}
	return 0
}

// build fills v with a node of the parser's tree.
func (b *builder) build(v *value, n ast.Node, depth int) *Mistake {
	b.values++
	if depth > maxDepth || b.values > maxValues {
		return v.mistake("", "nested too deep, or too much of it")
	}
	if line := lineOf(n); line > 0 {
		v.line = line
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.pairs(v, n.Values, depth)
	case *ast.MappingValueNode:
		return b.pairs(v, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		return b.items(v, n.Values, depth)
	case *ast.AnchorNode:
		b.anchors[n.Name.String()] = n.Value
		return b.build(v, n.Value, depth+1)
	case *ast.AliasNode:
		return b.alias(v, n, depth)
	}
	return scalar(v, n)
}

func scalar(v *value, n ast.Node) *Mistake {
	switch n := n.(type) {
	case nil, *ast.NullNode:
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
		return v.mistake("write the value out", "this kind of YAML value is not read")
	}
	return nil
}

// alias builds what an anchor named. The depth ends one that names itself.
func (b *builder) alias(v *value, n *ast.AliasNode, depth int) *Mistake {
	name := n.Value.String()
	target, ok := b.anchors[name]
	if !ok {
		return v.mistake(suggest(name, sortedKeys(b.anchors)), "there is no anchor %q above", shorten(name))
	}
	return b.build(v, target, depth+1)
}

func (b *builder) items(v *value, nodes []ast.Node, depth int) *Mistake {
	v.kind = list
	for i, n := range nodes {
		item := v.item(i)
		if m := b.build(item, n, depth+1); m != nil {
			return m
		}
		v.items = append(v.items, item)
	}
	return nil
}

func (b *builder) pairs(v *value, nodes []*ast.MappingValueNode, depth int) *Mistake {
	v.kind = mapping
	if len(nodes) > 0 { // the token of a mapping may be its first colon
		v.line = lineOf(nodes[0].Key)
	}
	seen := map[string]bool{}
	for _, n := range nodes {
		line := lineOf(n.Key)
		name, ok := n.Key.(*ast.StringNode)
		if !ok {
			v.line = line
			return v.mistake("put it in quotes", "a key that is no text")
		}
		child := v.child(name.Value, line)
		if seen[name.Value] {
			return child.mistake("remove one", "the key stands here twice")
		}
		seen[name.Value] = true
		if m := b.build(child, n.Value, depth+1); m != nil {
			return m
		}
		child.line = line // of the key, also where a long value begins below it
		v.pairs = append(v.pairs, pair{name.Value, child})
	}
	return nil
}
