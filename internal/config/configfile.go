package config

import (
	"slices"
	"strconv"
	"strings"
)

// configFile is what config.yaml says.
type configFile struct {
	values   map[string]raw
	services []Service
	errs     []error
}

// readFile reads config.yaml: settings at the top, and services.
func readFile(name string, data []byte) configFile {
	f := configFile{values: map[string]raw{}}
	if data == nil {
		return f
	}
	root, err := parseTree(name, data)
	if err != nil {
		f.errs = []error{err}
		return f
	}
	p := newServiceParser(root)
	r := &fileReader{p: p, origin: "file:" + name, specs: map[string]Spec{}, values: f.values}
	for _, s := range Specs() {
		r.specs[s.fileKey()] = s
	}
	if root.kind != mapping && root.kind != null {
		p.fail(root.wrong("a mapping of settings"))
	}
	r.read(root, "")
	f.services, f.errs = p.services, p.all()
	return f
}

type fileReader struct {
	p      *serviceParser
	origin string
	specs  map[string]Spec // by key in the file
	values map[string]raw  // by key
}

// read takes the settings of a mapping. They may be nested: `api: {addr: …}` is `api_addr: …`.
func (r *fileReader) read(v *value, prefix string) {
	for _, pr := range v.pairs {
		key := prefix + pr.name
		s, known := r.specs[key]
		switch {
		case key == servicesKey:
			r.p.parse(r.p.items(pr.value))
		case known:
			r.setting(&s, &pr)
		case pr.value.kind == mapping && r.isGroup(key):
			r.read(pr.value, key+"_")
		default:
			r.p.fail(pr.fault(suggest(key, append(keys(r.specs), servicesKey)), "unknown key"))
		}
	}
}

func (r *fileReader) isGroup(key string) bool {
	return slices.ContainsFunc(keys(r.specs), func(k string) bool { return strings.HasPrefix(k, key+"_") })
}

func (r *fileReader) setting(s *Spec, pr *pair) {
	if pr.value.kind == null {
		r.p.fail(pr.value.fault("give one or remove the key", "has no value"))
		return
	}
	if old, twice := r.values[s.Key]; twice {
		r.p.fail(pr.fault("remove one", "%s stands in line %d already", s.fileKey(), old.at.line))
		return
	}
	values, err := fileValues(s, pr.value)
	if err != nil {
		r.p.fail(err)
		return
	}
	r.values[s.Key] = raw{values: values, origin: r.origin, at: pr.value}
}

func fileValues(s *Spec, v *value) ([]string, error) {
	switch s.Kind {
	case KindBool:
		b, err := v.boolean()
		return []string{strconv.FormatBool(b)}, err
	case KindList:
		return v.texts()
	}
	t, err := v.text()
	return []string{t}, err
}
