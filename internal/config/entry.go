package config

import "slices"

// entry is a mapping of a file while it is read: a service or a check.
type entry struct {
	p      *serviceParser
	v      *value
	bad    []string // keys whose values were refused: nothing more is said about them
	failed bool
}

func (e *entry) fail(err error) {
	e.failed = true
	e.p.fail(err)
}

// fill calls the setter of each key. An unknown key is a mistake with the nearest valid one.
func (e *entry) fill(fields map[string]setter) {
	for _, pr := range e.v.pairs {
		set, ok := fields[pr.name]
		if !ok {
			e.fail(pr.fault(suggest(pr.name, keys(fields)), "unknown key"))
			continue
		}
		if pr.value.kind == null {
			e.refuse(pr.name, pr.value.fault("give one or remove the key", "has no value"))
			continue
		}
		if err := set(pr.value); err != nil {
			e.refuse(pr.name, err)
		}
	}
}

// refuse notes that the value of a key is wrong. A nil error was told already.
func (e *entry) refuse(key string, err error) {
	e.bad = append(e.bad, key)
	e.failed = true
	if err != errTold {
		e.p.fail(err)
	}
}

// mistake places what is wrong with the entry as a whole at the key it is about.
func (e *entry) mistake(m mistake) {
	if slices.Contains(e.bad, m.key) {
		return
	}
	at := e.v
	if m.key != "" {
		if at = e.find(m.key); at == nil {
			at = e.v.child(m.key, e.v.line, e.v.column)
		}
	}
	e.fail(at.fault(m.fix, "%s", m.what))
}

// find returns the value of a key, nil when it is missing.
func (e *entry) find(key string) *value {
	if e.p.consulFile {
		return consulGet(e.v, consulKey(key))
	}
	return e.v.get(key)
}

func keys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// fault is about the key of a pair.
func (p *pair) fault(fix, format string, args ...any) *Fault {
	f := p.value.fault(fix, format, args...)
	f.Line, f.column = p.line, p.column
	return f
}
