package config

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func nothing(string) string { return "" }

// wantLines compares errors with whole lines.
func wantLines(t *testing.T, errs []error, want ...string) {
	t.Helper()
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	if !slices.Equal(got, want) {
		t.Errorf("errors\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// web is the service of most tests, as it is read.
func web(change ...func(*Service)) Service {
	s := Service{
		Name: "web", ID: "web", Port: 8080, ServicePort: 8080, Address: "127.0.0.1", Protocol: "tcp", Weight: 100,
		Checks: Checks{List: []Check{tcpCheck("127.0.0.1:8080")}},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func tcpCheck(target string) Check {
	return Check{TCP: target, Interval: 5 * time.Second, Timeout: time.Second, FailuresBeforeCritical: 2, SuccessesBeforePassing: 1}
}

func TestParseServices(t *testing.T) {
	full := web(func(s *Service) {
		s.ID, s.ServicePort, s.Address, s.Protocol, s.Weight = "web-1", 80, "10.1.2.3", "http", 7
		s.Tags, s.Meta = []string{"v2", "traefik.rule=Host(`a`) && Path(`/b`)"}, map[string]string{"version": "2.1.0", "note": "two\nlines\n"}
		s.Checks = Checks{List: []Check{
			{HTTP: "http://10.1.2.3:8080/healthz?x=1", Interval: 10 * time.Second, Timeout: 500 * time.Millisecond, FailuresBeforeCritical: 3, SuccessesBeforePassing: 2},
			{Script: []string{"/usr/bin/check", "-v"}, Interval: 5 * time.Second, Timeout: time.Second, FailuresBeforeCritical: 2, SuccessesBeforePassing: 1},
			{GRPC: "[::1]:9090/web.Web", Interval: 5 * time.Second, Timeout: time.Second, FailuresBeforeCritical: 2, SuccessesBeforePassing: 1},
		}}
	})
	for name, test := range map[string]struct {
		file string
		want []Service
	}{
		"the least":     {"services:\n  - name: web\n    port: 8080\n", []Service{web()}},
		"one service":   {"name: web\nport: 8080\n", []Service{web()}},
		"a list":        {"- name: web\n  port: 8080\n", []Service{web()}},
		"JSON":          {`{"services": [{"name": "web", "port": 8080}]}`, []Service{web()}},
		"JSON list":     {"[\n\t{\"name\": \"web\", \"port\": 8080}\n]\n", []Service{web()}},
		"flow YAML":     {"{services: [{name: web, port: 8080}]}", []Service{web()}},
		"empty":         {"", nil},
		"comments only": {"# later\n", nil},
		"no services":   {"services: []\n", nil},
		"null":          {"services:\n", nil},
		"document mark": {"---\nname: web\nport: 8080\n...\n", []Service{web()}},
		"line ends":     {"name: web\r\nport: 8080\r\n", []Service{web()}},
		"BOM":           {"\ufeffname: web\nport: 8080\n", []Service{web()}},
		"comments":      {"# a\nservices: # b\n  # c\n  - name: web # d\n    # e\n    port: 8080\n", []Service{web()}},
		"quotes":        {"\"name\": 'web'\nport: 8080\nid: \"\"\naddress: ''\n", []Service{web()}},
		"empty lists":   {"name: web\nport: 8080\ntags: []\nmeta: {}\n", []Service{web()}},
		"mapped IPv4":   {"name: web\nport: 8080\naddress: ::ffff:127.0.0.1\n", []Service{web()}},
		"no checks":     {"name: web\nport: 8080\nchecks: none\n", []Service{web(func(s *Service) { s.Checks = Checks{None: true} })}},
		"udp":           {"name: web\nport: 8080\nprotocol: udp\n", []Service{web(func(s *Service) { s.Protocol, s.Checks = "udp", Checks{None: true} })}},
		"IPv6": {"name: web\nport: 8080\naddress: FD00::1\n", []Service{web(func(s *Service) {
			s.Address, s.Checks = "fd00::1", Checks{List: []Check{tcpCheck("[fd00::1]:8080")}}
		})}},
		"names without ids": {"- {name: web, port: 8080}\n- {name: web, port: 8081, checks: none}\n", []Service{
			web(func(s *Service) { s.ID = "web-8080" }),
			web(func(s *Service) { s.ID, s.Port, s.ServicePort, s.Checks = "web-8081", 8081, 8081, Checks{None: true} }),
		}},
		"one name with an id": {"- {name: web, port: 8080}\n- {name: web, id: b, port: 8080}\n", []Service{
			web(), web(func(s *Service) { s.ID = "b" }),
		}},
		"everything": {`
name: web
id: web-1
port: 8080
service_port: 80
address: 10.1.2.3
protocol: http
tags: [v2, "traefik.rule=Host(` + "`a`) && Path(`/b`)" + `"]
weight: 7
meta:
  version: 2.1.0
  note: |
    two
    lines
checks:
  - http: http://10.1.2.3:8080/healthz?x=1
    interval: 10s
    timeout: 500ms
    failures_before_critical: 3
    successes_before_passing: 2
  - script: [/usr/bin/check, -v]
  - grpc: "[::1]:9090/web.Web"
`, []Service{full}},
	} {
		got, errs := ParseServices("web.yaml", []byte(test.file))
		if len(errs) > 0 || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v %v\nwant %+v", name, got, errs, test.want)
		}
		if len(got) > 0 {
			roundTrip(t, got)
		}
	}
}

func TestMistakes(t *testing.T) {
	const ok = "name: web\nport: 80\n"
	for _, test := range []struct{ file, want string }{
		{"name: web\nprot: 80\n", `web.yaml:2: prot: unknown key; did you mean "port"?|web.yaml:1: port: is missing; name the port the program listens on`},
		{ok + "wieght: 5\n", `web.yaml:3: wieght: unknown key; did you mean "weight"?`},
		{ok + "pid: 0\n", `web.yaml:3: pid: want a whole number from 1 to 4194304, found 0`},
		{ok + "cgroup: web.service\n", `web.yaml:3: cgroup: "web.service" is no control group; write it as /proc/PID/cgroup has it, like /system.slice/web.service`},
		{ok + "cgroup: /\n", `web.yaml:3: cgroup: "/" is no control group; write it as /proc/PID/cgroup has it, like /system.slice/web.service`},
		{ok + "pid_start: 7\n", `web.yaml:3: pid_start: unknown key; valid are address, cgroup, checks, id, meta, name, pid, port, protocol, proxy_protocol, service_port, tags, weight`},
		{ok + "service-port: 5\n", `web.yaml:3: service-port: unknown key; did you mean "service_port"?`},
		{ok + "Tags: [a]\n", `web.yaml:3: Tags: unknown key; did you mean "tags"?`},
		{ok + "command: x\n", `web.yaml:3: command: unknown key; valid are address, cgroup, checks, id, meta, name, pid, port, protocol, proxy_protocol, service_port, tags, weight`},
		{ok + "\"a\\nb\": x\n", `web.yaml:3: a\nb: unknown key; valid are address, cgroup, checks, id, meta, name, pid, port, protocol, proxy_protocol, service_port, tags, weight`},
		{"services:\n  - name: web\n    port: 80\nport: 90\n", `web.yaml:4: port: unknown key beside services; remove it, or put it into a service`},
		{"service:\n  name: web\n  port: 80\n", `web.yaml:1: service: unknown key; did you mean "services"?`},
		{"name: web\nport: 0\n", `web.yaml:2: port: want a whole number from 1 to 65535, found 0`},
		{"name: web\nport: 65536\n", `web.yaml:2: port: want a whole number from 1 to 65535, found 65536`},
		{"name: web\nport: -1\n", `web.yaml:2: port: want a whole number from 1 to 65535, found -1`},
		{"name: web\nport: 99999999999999999999\n", `web.yaml:2: port: want a whole number from 1 to 65535, found "99999999999999999999"`},
		{"name: web\nport: \"80\"\n", `web.yaml:2: port: want a whole number from 1 to 65535, found "80"; remove the quotes`},
		{"name: web\nport: 80.5\n", `web.yaml:2: port: want a whole number from 1 to 65535, found 80.5`},
		{"name: web\nport: 0120\n", `web.yaml:2: port: want a whole number from 1 to 65535, found 0120`},
		{"name: web\nport: 0x50\n", `web.yaml:2: port: want a whole number from 1 to 65535, found 0x50`},
		{"name: web\nport: .inf\n", `web.yaml:2: port: want a whole number from 1 to 65535, found .inf`},
		{"name: web\nport: [80]\n", `web.yaml:2: port: want a whole number from 1 to 65535, found a list`},
		{"name: web\nport: {a: b}\n", `web.yaml:2: port: want a whole number from 1 to 65535, found a mapping`},
		{"name: web\nport:\n", `web.yaml:2: port: has no value; give one or remove the key`},
		{ok + "service_port: 0\n", `web.yaml:3: service_port: want a whole number from 1 to 65535, found 0`},
		{"port: 80\n", `web.yaml:1: name: is missing; give the service a name`},
		{"name: 7\nport: 80\n", `web.yaml:1: name: want text, found 7; put it in quotes: "7"`},
		{"name: true\nport: 80\n", `web.yaml:1: name: want text, found true; put it in quotes: "true"`},
		{"name: my_svc\nport: 80\n", `web.yaml:1: name: "my_svc" is no DNS label: '_' is not one of a-z, 0-9 and -`},
		{"name: Web\nport: 80\n", `web.yaml:1: name: "Web" is no DNS label: 'W' is not one of a-z, 0-9 and -`},
		{"name: localhost\nport: 80\n", `web.yaml:1: name: "localhost" is reserved and cannot name a service or a cluster`},
		{ok + "address: localhost\n", `web.yaml:3: address: "localhost" is no IP address; write 127.0.0.1`},
		{ok + "address: 0.0.0.0\n", `web.yaml:3: address: 0.0.0.0 is no address that can be connected to`},
		{ok + "address: \"::ffff:0.0.0.0\"\n", `web.yaml:3: address: 0.0.0.0 is no address that can be connected to`},
		{ok + "address: 169.254.169.254\n", `web.yaml:3: address: 169.254.169.254 is a link-local address, it cannot be that of an instance`},
		{ok + "address: \"::ffff:169.254.169.254\"\n", `web.yaml:3: address: 169.254.169.254 is a link-local address, it cannot be that of an instance`},
		{ok + "address: \"fe80::1\"\n", `web.yaml:3: address: fe80::1 is a link-local address, it cannot be that of an instance`},
		{ok + "address: 224.0.0.1\n", `web.yaml:3: address: 224.0.0.1 is the address of many, it cannot be that of an instance`},
		{ok + "address: 255.255.255.255\n", `web.yaml:3: address: 255.255.255.255 is the address of many, it cannot be that of an instance`},
		{ok + "protocol: htpp\n", `web.yaml:3: protocol: "htpp" is no protocol; did you mean "http"?`},
		{ok + "weight: 0\n", `web.yaml:3: weight: want a whole number from 1 to 65535, found 0`},
		{ok + "proxy_protocol: v2\n", `web.yaml:3: proxy_protocol: this version does not send the PROXY protocol; remove the key`},
		{ok + "tags: v2\n", `web.yaml:3: tags: want a list of texts, found "v2"; write [v2]`},
		{ok + "tags: [1.10]\n", `web.yaml:3: tags[0]: want text, found 1.10; put it in quotes: "1.10"`},
		{ok + "tags: [\"a\\tb\"]\n", `web.yaml:3: tags: "a\tb" is no tag: want 1 to 2048 printable characters`},
		{ok + "meta:\n  version: 2.10\n", `web.yaml:4: meta.version: want text, found 2.10; put it in quotes: "2.10"`},
		{ok + "meta: {1: a}\n", `web.yaml:3: a key that is no text; put it in quotes`},
		{ok + "meta: [a]\n", `web.yaml:3: meta: want a mapping of text to text, found a list`},
		{ok + "meta: {a: \"\\e[2J\"}\n", `web.yaml:3: meta: the value of "a" is no text of at most 512 characters`},
		{ok + "checks: off\n", `web.yaml:3: checks: want a list of checks, or none, found "off"`},
		{ok + "checks: []\n", `web.yaml:3: checks: an empty list; write none, or remove the key for the default`},
		{ok + "checks: [tcp]\n", `web.yaml:3: checks[0]: want a check, found "tcp"`},
		{ok + "checks:\n  - {}\n", `web.yaml:4: checks[0]: a check of no kind; give it one of http, tcp, grpc or script`},
		{ok + "checks:\n  - http: http://127.0.0.1/\n    tcp: 127.0.0.1:80\n", `web.yaml:5: checks[0].tcp: one check cannot be http and tcp; make a check of each`},
		{ok + "checks:\n  - ttl: 30s\n", `web.yaml:4: checks[0].ttl: ttl checks are not in this version; use http, tcp, grpc or script`},
		{ok + "checks:\n  - htttp: http://127.0.0.1/\n", `web.yaml:4: checks[0].htttp: unknown key; did you mean "http"?`},
		{ok + "checks:\n  - tcp: 127.0.0.1:80\n    interval: 5\n", `web.yaml:5: checks[0].interval: want a duration like 5s, found 5; give the unit: 5s`},
		{ok + "checks:\n  - tcp: 127.0.0.1:80\n    interval: soon\n", `web.yaml:5: checks[0].interval: want a duration like 5s, found "soon"`},
		{ok + "checks:\n  - tcp: 127.0.0.1:80\n    interval: 1ms\n", `web.yaml:5: checks[0].interval: 1ms is out of bounds: want 100ms to 24h0m0s`},
		{ok + "checks:\n  - tcp: 127.0.0.1:80\n    interval: 2562047h47m16s\n", `web.yaml:5: checks[0].interval: 2562047h47m16s is out of bounds: want 100ms to 24h0m0s`},
		{ok + "checks:\n  - tcp: 127.0.0.1:80\n    timeout: -5s\n", `web.yaml:5: checks[0].timeout: -5s is out of bounds: want 1ms to 24h0m0s`},
		{ok + "checks:\n  - tcp: 127.0.0.1:80\n    failures_before_critical: 0\n", `web.yaml:5: checks[0].failures_before_critical: want a whole number from 1 to 1000, found 0`},
		{ok + "checks:\n  - tcp: web.example.org:80\n", `web.yaml:4: checks[0].tcp: "web.example.org:80" is no address:port, with an IP address or localhost`},
		{ok + "checks:\n  - tcp: 169.254.169.254:80\n", `web.yaml:4: checks[0].tcp: 169.254.169.254 is a link-local address, it cannot be that of an instance`},
		{ok + "checks:\n  - http: https://127.0.0.1/\n", `web.yaml:4: checks[0].http: https checks are not in this version, use tcp`},
		{ok + "checks:\n  - http: http://localhost.evil.example:80/\n", `web.yaml:4: checks[0].http: "localhost.evil.example:80" is no address:port, with an IP address or localhost`},
		{ok + "checks:\n  - http: http://user@169.254.169.254/latest\n", `web.yaml:4: checks[0].http: 169.254.169.254 is a link-local address, it cannot be that of an instance`},
		{ok + "checks:\n  - script: curl localhost\n", `web.yaml:4: checks[0].script: want a list of texts, found "curl localhost"; write [curl localhost]`},
		{ok + "checks:\n  - script: [\"\"]\n", `web.yaml:4: checks[0].script: the first element is the program, and none holds a zero byte`},
		{"services: web:80\n", `web.yaml:1: services: want a list of services, found "web:80"`},
		{"services:\n  web:\n    port: 80\n", `web.yaml:2: services: want a list of services, found a mapping`},
		{"services:\n  - web\n", `web.yaml:2: services[0]: want a service, found "web"`},
		{"web\n", `web.yaml:1: want services: a list under the key services, found "web"`},
		{"- {name: web, port: 80}\n- {name: web, port: 80}\n", `web.yaml:2: [1]: the id "web-80" is taken by the service of line 1; give each its own id`},
		{"- {name: web, id: a, port: 80}\n- {name: api, id: a, port: 81}\n", `web.yaml:2: [1]: the id "a" is taken by the service of line 1; give each its own id`},
		{ok + "---\n" + ok, `web.yaml:4: a second YAML document; put it into a file of its own`},
		{ok + "port: 81\n", `web.yaml:3: mapping key "port" already defined at [2:1]`},
		{"services:\n\t- name: a\n", `web.yaml:2: found character '\t' that cannot start any token`},
		{"name: [web\n", `web.yaml:1: sequence end token ']' not found`},
		{"name: &n web\nport: 80\n", `web.yaml:1: "&": anchors, aliases, tags, directives and complex keys are not read; write the value out`},
		{"name: *n\n", `web.yaml:1: "*": anchors, aliases, tags, directives and complex keys are not read; write the value out`},
		{"<<: {name: web}\nport: 80\n", `web.yaml:1: "<<": anchors, aliases, tags, directives and complex keys are not read; write the value out`},
		{"name: !!str web\n", `web.yaml:1: "!!str": anchors, aliases, tags, directives and complex keys are not read; write the value out`},
		{"name: web\nid: a\x00b\n", `web.yaml:2: a zero byte: this is no text file`},
		{"name: web\nid: \"a\\0b\"\nport: 80\n", `web.yaml:2: id: "a\x00b" is no id: want 1 to 255 printable characters`},
		{"name: web\nid: a\xffb\n", `web.yaml:2: a byte that is not UTF-8; save the file as UTF-8`},
		{`{"name":"web","port":80,"port":81}`, `web.yaml:1: port: the key stands here twice; remove one`},
		{`{"name":"web","port":80,"prot":81}`, `web.yaml:1: prot: unknown key; did you mean "port"?`},
		{"{\n\"name\":\"web\",\n\"port\":1e3}", `web.yaml:3: port: want a whole number from 1 to 65535, found 1e3`},
		{"{\n\"name\":\"web\",\n\"port\":null}", `web.yaml:3: port: has no value; give one or remove the key`},
	} {
		services, errs := ParseServices("web.yaml", []byte(test.file))
		wantLines(t, errs, strings.Split(test.want, "|")...)
		if len(services) > 1 {
			t.Errorf("%q gives %+v", test.file, services)
		}
	}
}

func TestJSONSyntax(t *testing.T) {
	for file, want := range map[string]string{
		"{\"name\": \"web\",\n \"port\": 80,}": `web.json:2: invalid character '}' looking for beginning of object key string; remove the comma before it`,
		"{\"name\": \"web\"\n":                 `web.json:1: the JSON text ends too early`,
		"[{\"name\": \"web\"}]\n]":             `web.json:2: something follows the end of the JSON text`,
		"{\"a\": tru}":                         `web.json:1: invalid character '}' in literal true (expecting 'e')`,
	} {
		_, errs := ParseServices("web.json", []byte(file))
		wantLines(t, errs, want)
	}
}

// The valid services of a file are taken whatever is wrong with the others.
func TestOneBadEntryHidesNoOther(t *testing.T) {
	got, errs := ParseServices("web.yaml", []byte(`services:
  - name: first
    port: 80
  - name: second
    prot: 81
  - 7
  - name: web
    port: 82
    checks: [{tcp: "127.0.0.1:82", every: 5s}]
  - name: web
    port: 83
  - name: last
    port: 84
`))
	wantLines(t, errs,
		`web.yaml:5: services[1].prot: unknown key; did you mean "port"?`,
		`web.yaml:4: services[1].port: is missing; name the port the program listens on`,
		`web.yaml:6: services[2]: want a service, found 7`,
		`web.yaml:9: services[3].checks[0].every: unknown key; valid are failures_before_critical, grpc, http, interval, script, successes_before_passing, tcp, timeout, ttl`,
	)
	var ids []string
	for i := range got {
		ids = append(ids, got[i].ID)
	}
	// The id does not depend on whether the other service of the name is valid.
	if want := []string{"first", "web-83", "last"}; !slices.Equal(ids, want) {
		t.Errorf("ids %v, want %v", ids, want)
	}
}

func TestTooManyServices(t *testing.T) {
	got, errs := ParseServices("web.json", []byte("["+strings.TrimSuffix(manyJSON(MaxServices+2), ",")+"]"))
	wantLines(t, errs, `web.json:1: [256]: more than 256 services, which is all that a node may offer; spread them over several nodes`)
	if len(got) != MaxServices {
		t.Errorf("%d services", len(got))
	}
}

func TestPicture(t *testing.T) {
	for file, want := range map[string]string{
		"services:\n  - name: web\n    prot: 80\n    port: 80\n": `web.yaml:3: services[0].prot: unknown key; did you mean "port"?
  3 |     prot: 80
    |     ^`,
		"name: web\nport: \"80\"\n": `web.yaml:2: port: want a whole number from 1 to 65535, found "80"; remove the quotes
  2 | port: "80"
    |       ^`,
		"{\"name\":\"web\",\n\t\"port\": 80.5}": `web.yaml:2: port: want a whole number from 1 to 65535, found 80.5
  2 |  "port": 80.5}
    |          ^`,
	} {
		_, errs := ParseServices("web.yaml", []byte(file))
		if len(errs) != 1 {
			t.Fatalf("%q: %v", file, errs)
		}
		if got := errs[0].(*Fault).Picture(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	long := []byte("{\"name\":\"web\",\"port\":80," + strings.Repeat(" ", 5000) + "\"prot\":1" + strings.Repeat(" ", 5000) + "}")
	_, errs := ParseServices("web.yaml", long)
	if got := errs[0].(*Fault).Picture(); len(got) > 400 || !strings.Contains(got, `"prot":1`) {
		t.Errorf("the picture of a long line is %q", got)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"port", "protocol", "tags", "name", "service_port"}
	for word, want := range map[string]string{
		"prot": "port", "protcol": "protocol", "tag": "tags", "nmae": "name", "serviceport": "service_port", "PORT": "port",
		"service-port": "service_port", "xyzzy": "", "": "", "p": "", strings.Repeat("port", 100): "",
	} {
		if got := nearest(word, keys); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"port", "prot", 2}, {"same", "same", 0}} {
		if got := editDistance(test.a, test.b); got != test.want || editDistance(test.b, test.a) != got {
			t.Errorf("editDistance(%q, %q) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestInstance(t *testing.T) {
	s := web(func(s *Service) { s.Tags, s.Address = []string{"b", "a", "b"}, "::ffff:10.0.0.1" })
	got, err := s.Instance(micronet.Critical)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Tags, []string{"a", "b"}) || got.Address.String() != "10.0.0.1" || got.Health != micronet.Critical {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(s.Tags, []string{"b", "a", "b"}) {
		t.Errorf("the tags of the service were sorted: %v", s.Tags)
	}
	s.Address = "nowhere"
	if _, err := s.Instance(micronet.Passing); err == nil {
		t.Error("an instance without an address")
	}
}

func TestParseServiceFlag(t *testing.T) {
	for text, want := range map[string]Service{
		"web:8080":      web(),
		"web:8080/http": web(func(s *Service) { s.Protocol = "http" }),
		"web:8080/udp":  web(func(s *Service) { s.Protocol, s.Checks = "udp", Checks{None: true} }),
	} {
		if got, err := ParseServiceFlag(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":              `"" is not NAME:PORT[/PROTO]`,
		"web":           `"web" is not NAME:PORT[/PROTO]`,
		":80":           `":80" is not NAME:PORT[/PROTO]`,
		"web:":          `"web:" is not NAME:PORT[/PROTO]`,
		"web:+80":       `"web:+80" is not NAME:PORT[/PROTO]`,
		"web:80/":       `"web:80/" is not NAME:PORT[/PROTO]`,
		"web:0":         `0 is no port, a port is 1 to 65535`,
		"web:70000":     `70000 is no port, a port is 1 to 65535`,
		"web:80/gopher": `service "web": protocol: "gopher" is no protocol; valid are grpc, http, http2, tcp, udp`,
		"My_Web:80":     `service "My_Web": name: "My_Web" is no DNS label: 'M' is not one of a-z, 0-9 and -`,
	} {
		if _, err := ParseServiceFlag(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestComplete(t *testing.T) {
	got, err := Complete(Service{Name: "web", Port: 8080, Checks: Checks{List: []Check{{HTTP: "http://localhost:8080/"}}}})
	want := web(func(s *Service) {
		c := tcpCheck("")
		c.HTTP = "http://localhost:8080/"
		s.Checks = Checks{List: []Check{c}}
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v", got, err)
	}
	_, err = Complete(Service{
		Name: "we\nb", Address: "fe80::1", Weight: -1, Port: 80, ServicePort: 99999,
		Checks: Checks{List: []Check{{}, {TCP: "nowhere"}, {TCP: "127.0.0.1:1", Interval: -1}}},
	})
	wantLines(t, unjoin(err),
		`service "we\nb": name: "we\nb" is no DNS label: '\n' is not one of a-z, 0-9 and -`,
		`service "we\nb": service_port: want a whole number from 1 to 65535, found 99999`,
		`service "we\nb": address: fe80::1 is a link-local address, it cannot be that of an instance`,
		`service "we\nb": weight: want a whole number from 1 to 65535, found -1`,
		`service "we\nb": checks[0]: a check of no kind; give it one of http, tcp, grpc or script`,
		`service "we\nb": checks[1].tcp: "nowhere" is no address:port, with an IP address or localhost`,
		`service "we\nb": checks[2].interval: -1ns is out of bounds: want 100ms to 24h0m0s`,
	)
	if micronet.KindOf(err) != micronet.Invalid {
		t.Errorf("the kind is %s", micronet.KindOf(err))
	}
}

func TestJSONOfServices(t *testing.T) {
	foreign := web(func(s *Service) { s.Name, s.ID = "go.micro.srv x", "a b" })
	plain := web(func(s *Service) { s.Checks = Checks{None: true} })
	body, err := json.Marshal([]Service{plain, foreign})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"name":"web","id":"web","port":8080,"service_port":8080,"address":"127.0.0.1","protocol":"tcp","weight":100,"checks":"none"},` +
		`{"Name":"go.micro.srv x","id":"a b","port":8080,"service_port":8080,"address":"127.0.0.1","protocol":"tcp","weight":100,` +
		`"checks":[{"tcp":"127.0.0.1:8080","interval":"5s","timeout":"1s","failures_before_critical":2,"successes_before_passing":1}]}]`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	roundTrip(t, []Service{plain, foreign})
	for _, bad := range []string{`{"checks":"all"}`, `{"checks":7}`, `{"checks":[{"interval":"soon"}]}`, `{"checks":[7]}`} {
		var s Service
		if err := json.Unmarshal([]byte(bad), &s); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
