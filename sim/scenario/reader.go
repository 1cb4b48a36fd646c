package scenario

import (
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

// setter reads the value of one key.
type setter func(v *value)

// fields are the keys of one kind of mapping.
type fields map[string]setter

// reader reads one file. It goes on after a mistake, to tell them all.
type reader struct {
	mistakes
	s     *Scenario
	verbs map[string]verb
	conds map[string]condition
	later map[string]*value // parts of the file that are read after the rest
	uses  []use             // of nodes, checked at the end
	sides []sides           // likewise

	arrivals       []arrival     // ascending by time
	now            time.Duration // of the step that is read, 0 outside of the timeline
	groupsBroken   bool
	servicesBroken bool
}

// into makes a setter that stores what read returns.
func into[T any](r *reader, to *T, read func(*value) (T, *Mistake)) setter {
	return func(v *value) {
		if got, m := read(v); m == nil {
			*to = got
		} else {
			r.fail(m)
		}
	}
}

// object reads a mapping: every key must be known, have a value, and the required ones must be
// there. It reports whether there was no mistake.
func (r *reader) object(v *value, known fields, required ...string) bool {
	before := len(r.list) + r.more
	if v.kind != mapping {
		r.fail(v.wrong("a mapping with " + strings.Join(sortedKeys(known), ", ")))
		return false
	}
	for i := range v.pairs {
		p := &v.pairs[i]
		switch set := known[p.name]; {
		case set == nil:
			r.fail(p.value.mistake(suggest(p.name, sortedKeys(known)), "unknown key"))
		case p.value.kind == null:
			r.fail(p.value.mistake("give it one or remove the key", "has no value"))
		default:
			set(p.value)
		}
	}
	for _, name := range required {
		if v.get(name) == nil {
			r.fail(v.mistake("", "%s is missing", name))
		}
	}
	return len(r.list)+r.more == before
}

// each reads the items of a list.
func (r *reader) each(v *value, most int, read func(item *value)) {
	switch {
	case v == nil:
	case v.kind != list:
		r.fail(v.wrong("a list"))
	case len(v.items) > most:
		r.fail(v.mistake("", "%d entries, at most %d are read", len(v.items), most))
	default:
		for _, item := range v.items {
			read(item)
		}
	}
}

// line reads a text of one line.
func (v *value) lineText() (string, *Mistake) {
	if !v.isScalar() {
		return "", v.wrong("text")
	}
	if v.raw == "" || len(v.raw) > maxText || visible(v.raw) != v.raw {
		return "", v.mistake("", "want one line of at most %d printable characters", maxText)
	}
	return v.raw, nil
}

const maxAbout = 4096

func (v *value) about() (string, *Mistake) {
	if v.kind != text {
		return "", v.wrong("text")
	}
	if len(v.raw) > maxAbout {
		return "", v.mistake("", "%d bytes, at most %d are read", len(v.raw), maxAbout)
	}
	return v.raw, nil
}

// label reads a name that services may have.
func (v *value) label() (string, *Mistake) {
	if !v.isScalar() {
		return "", v.wrong("a name")
	}
	if err := micronet.CheckName(v.raw); err != nil {
		return "", v.mistake("use letters, digits and hyphens", "%s", shorten(err.Error()))
	}
	return v.raw, nil
}
