package config

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
)

// parseJSON reads JSON (RFC 8259) into a tree. source.json is set when the text is well-formed,
// also when the tree is refused.
func parseJSON(src *source) (*value, error) {
	src.json = json.Valid([]byte(src.text))
	d := &jsonReader{source: src, dec: json.NewDecoder(strings.NewReader(src.text))}
	d.dec.UseNumber()
	root := &value{source: src}
	if err := d.read(root, 0); err != nil {
		return nil, err
	}
	if _, err := d.dec.Token(); err != io.EOF {
		return nil, d.syntax(errors.New("something follows the end of the JSON text"))
	}
	return root, nil
}

type jsonReader struct {
	source *source
	dec    *json.Decoder
}

// next is where the next token starts, as far as it can be told before it is read.
func (d *jsonReader) next() (line, column int) {
	at := int(d.dec.InputOffset())
	rest := strings.TrimLeft(d.source.text[at:], " \t\r\n,:")
	return d.source.position(len(d.source.text) - len(rest))
}

// syntax turns what the decoder says into a fault with its place.
func (d *jsonReader) syntax(err error) error {
	at := int(d.dec.InputOffset())
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		at = max(int(e.Offset)-1, 0)
	}
	line, column := d.source.position(min(at, len(d.source.text)))
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the JSON text ends too early")
	}
	return d.source.fault(line, column, expected(err.Error()), "%s", err)
}

// expected says what may stand where encoding/json met something else, by the words of its error.
func expected(what string) string {
	const key, value = "expected a key in double quotes", `expected text in double quotes, a number, true, false, null, "[" or "{"`
	switch {
	case what == "invalid character '}' looking for beginning of object key string", what == "invalid character ']' looking for beginning of value":
		return "remove the comma before it"
	case strings.HasSuffix(what, "beginning of object key string"):
		return key
	case strings.HasSuffix(what, "beginning of value"):
		return value
	case strings.HasSuffix(what, "after object key"):
		return `expected ":"`
	case strings.HasSuffix(what, "after object key:value pair"):
		return `expected "," or "}"`
	case strings.HasSuffix(what, "after array element"):
		return `expected "," or "]"`
	case bareCharacter.MatchString(what): // said of the first key alone
		return key + `, or "}"`
	}
	return ""
}

var bareCharacter = regexp.MustCompile(`^invalid character '[^ ]+'$`)

// read fills v with the next value.
func (d *jsonReader) read(v *value, depth int) error {
	v.line, v.column = d.next()
	if depth > maxDepth {
		return v.fault("", "nested deeper than %d", maxDepth)
	}
	token, err := d.dec.Token()
	if err != nil {
		return d.syntax(err)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return d.pairs(v, depth)
		}
		return d.items(v, depth)
	case string:
		v.kind, v.raw, v.quoted = text, token, true
	case json.Number:
		v.kind, v.raw = number, token.String()
	case bool:
		v.kind, v.raw = boolean, "false"
		if token {
			v.raw = "true"
		}
	}
	return nil
}

func (d *jsonReader) pairs(v *value, depth int) error {
	v.kind = mapping
	seen := map[string]bool{}
	for d.dec.More() {
		line, column := d.next()
		token, err := d.dec.Token()
		if err != nil {
			return d.syntax(err)
		}
		name, ok := token.(string)
		if !ok {
			return d.source.fault(line, column, "", "a key that is no text")
		}
		p := pair{name: name, line: line, column: column, value: v.child(name, line, column)}
		if err := d.read(p.value, depth+1); err != nil {
			return err
		}
		if err := v.add(p, seen); err != nil {
			return err
		}
	}
	return d.end()
}

func (d *jsonReader) items(v *value, depth int) error {
	v.kind = sequence
	for d.dec.More() {
		item := v.item(len(v.items), 0, 0)
		if err := d.read(item, depth+1); err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	return d.end()
}

// end takes the closing bracket.
func (d *jsonReader) end() error {
	if _, err := d.dec.Token(); err != nil {
		return d.syntax(err)
	}
	return nil
}
