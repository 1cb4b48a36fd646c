package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

// MaxNames bounds the patterns of one grant.
const MaxNames = 32

// namesVersion is the first byte of an encoded grant.
const namesVersion = 1

// EncodeNames writes the patterns of services that a node may offer, as the body of a statement:
//
//	version 1 | patterns: length 1, text
//
// None at all is no body: the grant is taken back. The error is Invalid.
func EncodeNames(patterns []string) ([]byte, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	if len(patterns) > MaxNames {
		return nil, micronet.E("names", micronet.Invalid, "%d patterns, at most %d are taken", len(patterns), MaxNames)
	}
	b := []byte{namesVersion}
	for _, p := range patterns {
		if err := CheckPattern(p); err != nil {
			return nil, micronet.E("names", micronet.Invalid, "%w", err)
		}
		b = append(b, byte(len(p)))
		b = append(b, p...)
	}
	return b, nil
}

// CheckGrant refuses patterns that no service can have, as nobody would notice before its traffic is missing. known are
// names that there are: through Consul's API programs register what they like.
func CheckGrant(patterns, known []string) error {
	for _, text := range patterns {
		if err := checkGranted(text, known); err != nil {
			return micronet.E("names", micronet.Invalid, "%w", err).
				WithFix("want letters, digits, -, _ and ., with * for any characters and ! in front for an exception")
		}
	}
	return nil
}

func checkGranted(text string, known []string) error {
	if err := CheckPattern(text); err != nil {
		return err
	}
	if strings.Trim(text, "*") == "!" {
		return fmt.Errorf("%q takes out every name: `micro-net node grant NODE --none` says that", text)
	}
	body := strings.TrimPrefix(text, "!")
	if slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, body) }) {
		return nil
	}
	if lower := strings.ToLower(body); micronet.CheckLabel(lower) == nil {
		return micronet.CheckName(lower)
	}
	if i := strings.IndexFunc(body, func(r rune) bool { return !strings.ContainsRune(nameLetters, unicode.ToLower(r)) }); i >= 0 {
		r, _ := utf8.DecodeRuneInString(body[i:])
		return fmt.Errorf("%q fits no service: %q is in no name", text, r)
	}
	return nil
}

// nameLetters are in names of services, and the * of patterns.
const nameLetters = "abcdefghijklmnopqrstuvwxyz0123456789-_.*"

// DecodeNames reads what EncodeNames wrote. What this version does not wholly understand grants
// nothing, and the error says why.
func DecodeNames(body []byte) ([]string, error) {
	if len(body) == 0 {
		return nil, nil
	}
	if body[0] != namesVersion || len(body) == 1 {
		return nil, fmt.Errorf("version %d of a grant of names, or one without a pattern", body[0])
	}
	var out []string
	for rest := body[1:]; len(rest) > 0; {
		size := int(rest[0])
		if size >= len(rest) || len(out) == MaxNames {
			return nil, fmt.Errorf("a grant of names is damaged, or has more than %d patterns", MaxNames)
		}
		text := string(rest[1 : 1+size])
		if err := CheckPattern(text); err != nil {
			return nil, err
		}
		out, rest = append(out, text), rest[1+size:]
	}
	return out, nil
}

// Names decides which services a node may offer. It is immutable; nil is for a mesh in which everybody
// may offer everything.
type Names struct {
	grants map[micronet.NodeID]names
}

// names are the patterns of one node.
type names struct{ granted, excepted []pattern }

// NewNames returns the decision for a mesh in which names are granted.
func NewNames(grants map[micronet.NodeID][]string) *Names {
	n := &Names{grants: make(map[micronet.NodeID]names, len(grants))}
	for id, patterns := range grants {
		n.grants[id] = newNames(patterns)
	}
	return n
}

// With adds services to a grant, and takes nothing from it: the union that allows both. It is false where an
// exception with a * takes one of them out, which cannot be lifted for one name alone.
func With(patterns []string, services ...string) (union []string, ok bool) {
	union = slices.DeleteFunc(slices.Clone(patterns), func(p string) bool {
		return slices.ContainsFunc(services, func(s string) bool { return strings.EqualFold(p, "!"+s) })
	})
	if len(union) == 0 && len(patterns) > 0 {
		return []string{"*"}, true // exceptions alone grant all else, and none is left
	}
	for _, s := range services {
		if !newNames(union).allows(s) {
			union = append(union, s)
		}
	}
	now := newNames(union)
	return union, !slices.ContainsFunc(services, func(s string) bool { return !now.allows(s) })
}

// newNames reads patterns. One with a ! takes out what the others grant; alone it grants all else.
func newNames(patterns []string) (out names) {
	for _, text := range patterns {
		p := newPattern(text)
		if p.negate {
			out.excepted = append(out.excepted, p)
		} else {
			out.granted = append(out.granted, p)
		}
	}
	if len(out.granted) == 0 && len(out.excepted) > 0 {
		out.granted = append(out.granted, pattern{})
	}
	return out
}

// Allows reports whether a node may offer a service.
func (n *Names) Allows(id micronet.NodeID, service string) bool {
	if n == nil {
		return true
	}
	return n.grants[id].allows(service)
}

func (n names) allows(service string) bool {
	name := strings.ToLower(service)
	return slices.ContainsFunc(n.granted, func(p pattern) bool { return p.matches(name) }) &&
		!slices.ContainsFunc(n.excepted, func(p pattern) bool { return p.hits(name) })
}
