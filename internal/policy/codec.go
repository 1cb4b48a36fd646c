package policy

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

// MaxBody bounds an encoded rule, in bytes.
const MaxBody = 2048

const (
	version     = 1
	fieldAction = 1
	lastField   = 7 // of this version
)

// Encode writes the canonical form of a rule without its name, which is the subject of the statement
// that carries it:
//
//	version 1 | fields, ascending: number 1, length uvarint, text
//
// Fields without text are left out. The error is Invalid: a rule that fails Check.
func Encode(r *Rule) ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if r.Strange != "" {
		return nil, micronet.E("policy", micronet.Invalid, "%s: this version does not understand it: %s", r.Name, r.Strange)
	}
	b := appendField([]byte{version}, fieldAction, string(r.Action))
	for _, f := range r.fields() {
		if *f.text != "" {
			b = appendField(b, f.number, *f.text)
		}
	}
	return b, nil
}

func appendField(b []byte, number byte, text string) []byte {
	b = append(b, number)
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// Decode reads what Encode of this or a newer version wrote. It never fails: an authority has signed
// it, so what cannot be understood is a rule that denies, and Strange says why. Of a body that cannot
// be read at all nothing is known, and the rule denies everything.
func Decode(name string, body []byte) Rule {
	r := Rule{Name: name}
	if err := r.decode(body); err != nil {
		return Rule{Name: name, Action: Deny, Strange: err.Error()}
	}
	switch {
	case body[0] != version:
		r.Strange = fmt.Sprintf("version %d of a policy", body[0])
	case r.Strange == "" && !r.Action.Valid():
		r.Strange = fmt.Sprintf("the action %q", r.Action)
	}
	return r
}

// decode fills r. Unknown fields are noted; the error is about bytes that are no fields.
func (r *Rule) decode(body []byte) error {
	if len(body) == 0 || len(body) > MaxBody {
		return fmt.Errorf("a policy of %d bytes", len(body))
	}
	last := byte(0)
	for rest := body[1:]; len(rest) > 0; {
		number := rest[0]
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) || number <= last {
			return fmt.Errorf("the fields of a policy are damaged")
		}
		text := rest[1+n : 1+n+int(size)]
		rest, last = rest[1+n+int(size):], number
		if !utf8.Valid(text) || (number <= lastField && size == 0) || n != len(binary.AppendUvarint(nil, size)) {
			return fmt.Errorf("field %d of a policy is damaged", number)
		}
		r.setField(number, string(text))
	}
	return nil
}

func (r *Rule) setField(number byte, text string) {
	if number == fieldAction {
		r.Action = Action(text)
		return
	}
	for _, f := range r.fields() {
		if f.number == number {
			*f.text = text
			if CheckPattern(text) != nil {
				// Taken as a pattern it could match less than was meant.
				*f.text, r.Strange = "", f.key
			}
			return
		}
	}
	r.Strange = fmt.Sprintf("field %d", number)
}
