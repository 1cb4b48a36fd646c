package config

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// The defaults of Consul's checks: a check that was fine there must not fail here.
const (
	consulTimeout       = 10 * time.Second
	consulScriptTimeout = 30 * time.Second
)

// consulKeys are keys of Consul's services and checks that our form does not have, folded. They
// tell the two apart where a file is written in lower case.
var consulKeys = map[string]bool{
	"check": true, "connect": true, "enabletagoverride": true, "kind": true, "locality": true, "namespace": true, "partition": true,
	"ports": true, "proxy": true, "socketpath": true, "taggedaddresses": true, "token": true, "weights": true,
}

var consulCheckKeys = map[string]bool{
	"aliasnode": true, "aliasservice": true, "args": true, "body": true, "checkid": true, "deregistercriticalserviceafter": true,
	"disableredirects": true, "dockercontainerid": true, "enterprisemeta": true, "failuresbeforewarning": true, "grpcusetls": true,
	"h2ping": true, "h2pingusetls": true, "header": true, "id": true, "method": true, "name": true, "notes": true, "osservice": true,
	"outputmaxsize": true, "scriptargs": true, "serviceid": true, "shell": true, "status": true, "successbeforepassing": true,
	"tcpusetls": true, "tlsservername": true, "tlsskipverify": true, "udp": true,
}

// consulKey folds the spellings that Consul accepts: EnableTagOverride, enable_tag_override.
func consulKey(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// isConsul recognises a file in Consul's form. It is JSON and has a service under `service`, or
// keys that are spelled as in Consul's API, or that our form does not have.
func isConsul(root *value) bool {
	if !root.source.json {
		return false
	}
	list := root.items
	if root.kind == mapping {
		if consulGet(root, "service") != nil {
			return true
		}
		list = []*value{root}
		if many := consulGet(root, "services"); many != nil {
			list = many.items
		}
	}
	return slices.ContainsFunc(list, func(v *value) bool {
		return hasConsulKey(v, consulKeys) || slices.ContainsFunc(consulChecks(v), func(c *value) bool { return hasConsulKey(c, consulCheckKeys) })
	})
}

func hasConsulKey(v *value, known map[string]bool) bool {
	return slices.ContainsFunc(v.pairs, func(p pair) bool {
		return known[consulKey(p.name)] || (p.name != "" && unicode.IsUpper(rune(p.name[0])))
	})
}

// consulChecks lists the checks of a service, or of a file.
func consulChecks(v *value) []*value {
	var out []*value
	if one := consulGet(v, "check"); one != nil {
		out = append(out, one)
	}
	if many := consulGet(v, "checks"); many != nil {
		out = append(out, many.items...)
	}
	return out
}

// consulGet returns the value of a key in any spelling, nil when it is missing, null or empty text:
// programs that register often send all fields.
func consulGet(v *value, key string) *value {
	i := slices.IndexFunc(v.pairs, func(p pair) bool {
		return consulKey(p.name) == key && p.value.kind != null && (p.value.kind != text || p.value.raw != "")
	})
	if i < 0 {
		return nil
	}
	return v.pairs[i].value
}

// consulList finds the services of a file: under `service`, under `services`, or one alone. Checks
// that stand beside them belong to the service that they name.
func (p *serviceParser) consulList(root *value) []*value {
	one, many := consulGet(root, "service"), consulGet(root, "services")
	if many == nil && (one == nil || one.kind != mapping) {
		return []*value{root}
	}
	var list []*value
	if one != nil {
		list = append(list, one)
	}
	if many != nil {
		list = append(list, p.items(many)...)
	}
	p.apart = map[string][]*value{}
	for _, c := range consulChecks(root) {
		id := consulGet(c, "serviceid")
		if id == nil || !slices.ContainsFunc(list, func(s *value) bool { return consulID(s) == id.raw }) {
			p.fail(c.fault("put it into the service that it checks", "a check of no service of this file"))
			continue
		}
		p.apart[id.raw] = append(p.apart[id.raw], c)
	}
	return list
}

// consulID is the id of a service: its name unless told otherwise.
func consulID(v *value) string {
	for _, key := range []string{"id", "name"} {
		if f := consulGet(v, key); f != nil {
			return f.raw
		}
	}
	return ""
}

// fillConsul reads a service in Consul's form. Keys that mean nothing here (connect, token,
// tagged_addresses…) are passed over. Our own keys count as well.
func (e *entry) fillConsul(s *Service) {
	fields := e.serviceFields(s)
	fields["check"] = func(v *value) error { return e.consulChecks([]*value{v}, s) }
	fields["checks"] = func(v *value) error {
		if v.kind == sequence {
			return e.consulChecks(v.items, s)
		}
		return e.checks(v, &s.Checks)
	}
	fields["weights"] = func(v *value) error {
		if n := consulGet(v, "passing"); n != nil {
			return into(&s.Weight, within(1, maxWeight))(n)
		}
		return nil
	}
	e.fillFolded(fields)
	if apart := e.p.apart[consulID(e.v)]; len(apart) > 0 {
		if err := e.consulChecks(apart, s); err != nil {
			e.refuse("checks", err)
		}
	}
}

// fillFolded calls the setters of the keys that are known, in any spelling.
func (e *entry) fillFolded(fields map[string]setter) {
	for _, name := range keys(fields) {
		if v := consulGet(e.v, consulKey(name)); v != nil {
			if err := fields[name](v); err != nil {
				e.refuse(name, err)
			}
		}
	}
}

func (e *entry) consulChecks(list []*value, s *Service) error {
	failed := false
	for _, v := range list {
		c := Check{Interval: DefaultInterval, FailuresBeforeCritical: 1, SuccessesBeforePassing: 1}
		one := &entry{p: e.p, v: v}
		one.check(&c)
		failed = failed || one.failed
		s.Checks.List = append(s.Checks.List, c)
	}
	if failed {
		return errTold
	}
	return tooMany(e.v, &s.Checks)
}

// elsewhere are kinds and features of Consul's checks that would run as something else here, or
// not at all.
var elsewhere = map[string]string{
	"aliasnode": "alias checks", "aliasservice": "alias checks", "dockercontainerid": "checks in containers", "h2ping": "h2ping checks",
	"osservice": "os_service checks", "udp": "udp checks", "grpcusetls": "checks over TLS", "tcpusetls": "checks over TLS",
}

func (e *entry) fillConsulCheck(c *Check) {
	for _, key := range keys(elsewhere) {
		if v := consulGet(e.v, key); v != nil && (v.kind != boolean || v.raw == "true") {
			e.fail(v.fault("use "+runnable, "%s are not in this version", elsewhere[key]))
			return
		}
	}
	fields := c.fields()
	fields["args"], fields["scriptargs"] = fields["script"], fields["script"]
	fields["successbeforepassing"] = fields["successes_before_passing"]
	for _, name := range []string{"successbeforepassing", "successes_before_passing", "failures_before_critical"} {
		set := fields[name]
		fields[name] = func(v *value) error {
			if v.kind == number && v.raw == "0" { // Consul's way to leave it out
				return nil
			}
			return set(v)
		}
	}
	e.fillFolded(fields)
	c.Interval = max(c.Interval, time.Second) // the least that Consul does
	if c.Timeout == 0 {
		c.Timeout = consulTimeout
		if len(c.Script) > 0 {
			c.Timeout = consulScriptTimeout
		}
	}
}
