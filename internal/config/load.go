package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// environment are variables with the prefix that are no settings of the daemon.
var environment = []string{"MICRO_NET_API", "MICRO_NET_PASSPHRASE"}

// Input is where settings come from. Flag beats environment beats file beats default.
type Input struct {
	Flags   map[string][]string // by key, only those that were given
	Getenv  func(string) string
	Environ []string // "NAME=value", to warn about unknown variables; may be nil
	UID     int
	File    string // name of config.yaml
	Data    []byte // its content, nil when there is none
}

// Origin tells where one setting came from.
type Origin struct {
	Key    string
	Value  any    // string, bool or []string; a token is not shown
	Origin string // "default", "file:PATH", "env:NAME", "flag"
}

// Loaded is a whole configuration.
type Loaded struct {
	Settings Settings
	Origins  []Origin
	Services []Service // of config.yaml
	Warnings []string
}

const (
	fromFlag    = "flag"
	fromDefault = "default"
)

// raw is a setting before it is checked.
type raw struct {
	values []string
	origin string
	at     *value // its place, when it is from the file
}

// Load reads the settings. All mistakes are told at once; each is of kind micronet.Invalid. What
// could be read is returned also with an error.
func Load(in Input) (Loaded, error) {
	f := readFile(in.File, in.Data)
	out := Loaded{Services: f.services, Warnings: unknownVariables(in.Environ)}
	r := &settingsReader{values: map[string]raw{}}
	for _, s := range Specs() {
		v := pick(&s, &in, f.values)
		if len(v.values) == 0 {
			v = derived(s.Key, &in, r.values)
		}
		r.values[s.Key] = v
		out.Origins = append(out.Origins, Origin{Key: s.Key, Value: shown(&s, v), Origin: v.origin})
	}
	out.Settings = r.settings()
	for _, id := range duplicateIDs(slices.Concat(out.Settings.Services, out.Services)) {
		r.fail("service", "remove one, or give the one in the file another id", "the service %q stands in %s too", id, in.File)
	}
	return out, errors.Join(append(f.errs, r.errs...)...)
}

// shown is a value for `config show`; a token is a secret.
func shown(s *Spec, r raw) any {
	switch {
	case s.Key == "join" && len(r.values) > 0 && r.values[0] != "":
		return "(redacted)"
	case s.Kind == KindList:
		return append([]string{}, r.values...)
	case len(r.values) == 0:
		return ""
	}
	last := r.values[len(r.values)-1]
	if b, err := strconv.ParseBool(last); err == nil && s.Kind == KindBool {
		return b
	}
	return last
}

func pick(s *Spec, in *Input, file map[string]raw) raw {
	if v, ok := in.Flags[s.Key]; ok {
		return raw{values: v, origin: fromFlag}
	}
	if v := in.Getenv(s.variable()); v != "" {
		return raw{values: split(s.Kind, v), origin: "env:" + s.variable()}
	}
	if r, ok := file[s.Key]; ok {
		return r
	}
	if s.Default == "" {
		return raw{origin: fromDefault}
	}
	return raw{values: []string{s.Default}, origin: fromDefault}
}

// split takes the list of a variable apart.
func split(k Kind, v string) []string {
	if k != KindList {
		return []string{v}
	}
	var out []string
	for one := range strings.SplitSeq(v, ",") {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}

// derived are defaults that depend on the user and the environment. data-dir is read before.
func derived(key string, in *Input, known map[string]raw) raw {
	path := ""
	switch key {
	case "data-dir":
		path = DataDir(in.Getenv, in.UID)
	case "config-dir":
		path = ConfigDir("", in.Getenv, in.UID)
	case "api-socket":
		path = SocketPath(known["data-dir"].values[0], in.Getenv, in.UID)
	default:
		return raw{origin: fromDefault}
	}
	return raw{values: []string{path}, origin: fromDefault}
}

func unknownVariables(environ []string) (warnings []string) {
	valid := slices.Clone(environment)
	for _, s := range Specs() {
		valid = append(valid, s.variable())
	}
	for _, e := range environ {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, envPrefix) && !slices.Contains(valid, name) {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s means nothing; %s", visible(shorten(name)), suggest(name, valid)))
		}
	}
	return warnings
}
