package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestConsulFiles(t *testing.T) {
	check := func(c Check) Check {
		c.Interval = max(c.Interval, time.Second)
		if c.Timeout == 0 {
			c.Timeout = 10 * time.Second
		}
		if c.Timeout == 10*time.Second && len(c.Script) > 0 {
			c.Timeout = 30 * time.Second
		}
		c.FailuresBeforeCritical, c.SuccessesBeforePassing = max(c.FailuresBeforeCritical, 1), max(c.SuccessesBeforePassing, 1)
		return c
	}
	for name, test := range map[string]struct {
		file string
		want []Service
	}{
		"the least": {`{"service": {"name": "web", "port": 8080}}`, []Service{web()}},
		"all lower case, as in a file": {`{
  "service": {
    "name": "web",
    "id": "",
    "port": 8080,
    "address": "",
    "tags": ["primary", "traefik.http.routers.web.rule=Host(` + "`a.example`" + `) && PathPrefix(` + "`/api`" + `)"],
    "meta": {"version": "4"},
    "enable_tag_override": false,
    "token": "3f1c7a62-90f1-4b0e-a9d5-8a3d6f0c7f55",
    "tagged_addresses": {"lan": {"address": "192.168.0.55", "port": 8000}},
    "weights": {"passing": 5, "warning": 1},
    "connect": {"sidecar_service": {}},
    "check": {"id": "alive", "name": "web answers", "http": "http://localhost:8080/health", "tls_skip_verify": false,
              "method": "GET", "interval": "10s", "timeout": "2s", "deregister_critical_service_after": "90m"}
  }
}`, []Service{web(func(s *Service) {
			s.Tags = []string{"primary", "traefik.http.routers.web.rule=Host(`a.example`) && PathPrefix(`/api`)"}
			s.Meta, s.Weight = map[string]string{"version": "4"}, 5
			s.Checks = Checks{List: []Check{check(Check{HTTP: "http://localhost:8080/health", Interval: 10 * time.Second, Timeout: 2 * time.Second})}}
		})}},
		"several in one file": {`{"services": [
  {"id": "red0", "name": "redis", "tags": ["primary"], "address": "", "port": 6000,
   "checks": [{"args": ["/bin/check_redis", "-p", "6000"], "interval": "5s", "timeout": "20s"}]},
  {"id": "red1", "name": "redis", "tags": ["delayed"], "port": 7000,
   "checks": [{"args": ["/bin/check_redis", "-p", "7000"], "interval": "30s"}]},
  {"name": "my_svc", "port": 8080}
]}`, []Service{
			web(func(s *Service) {
				s.Name, s.ID, s.Tags, s.Port, s.ServicePort = "redis", "red0", []string{"primary"}, 6000, 6000
				s.Checks = Checks{List: []Check{check(Check{Script: []string{"/bin/check_redis", "-p", "6000"}, Interval: 5 * time.Second, Timeout: 20 * time.Second})}}
			}),
			web(func(s *Service) {
				s.Name, s.ID, s.Tags, s.Port, s.ServicePort = "redis", "red1", []string{"delayed"}, 7000, 7000
				s.Checks = Checks{List: []Check{check(Check{Script: []string{"/bin/check_redis", "-p", "7000"}, Interval: 30 * time.Second})}}
			}),
			web(func(s *Service) { s.Name, s.ID = "my_svc", "my_svc" }),
		}},
		"the API's spelling, all fields sent": {`{
  "ID": "", "Name": "go.micro.srv.greeter", "Tags": null, "Port": 8080, "Address": "10.0.0.7", "Meta": {},
  "EnableTagOverride": false, "Kind": "", "Namespace": "", "Partition": "", "Proxy": null, "Connect": null, "Locality": null,
  "TaggedAddresses": null, "Weights": null, "SocketPath": "",
  "Check": {"CheckID": "", "Name": "", "Args": null, "DockerContainerID": "", "Shell": "", "Interval": "15s", "Timeout": "",
            "TTL": "", "HTTP": "", "Header": null, "Method": "", "TCP": "10.0.0.7:8080", "UDP": "", "GRPC": "", "GRPCUseTLS": false,
            "H2PING": "", "Status": "passing", "Notes": "", "TLSSkipVerify": false, "SuccessBeforePassing": 0, "FailuresBeforeCritical": 3,
            "AliasNode": "", "AliasService": "", "DeregisterCriticalServiceAfter": "1m"},
  "Checks": null
}`, []Service{web(func(s *Service) {
			s.Name, s.ID, s.Address = "go.micro.srv.greeter", "go.micro.srv.greeter", "10.0.0.7"
			s.Checks = Checks{List: []Check{check(Check{TCP: "10.0.0.7:8080", Interval: 15 * time.Second, FailuresBeforeCritical: 3})}}
		})}},
		"capitals under a wrapper": {
			`{"Service": {"Name": "Web Shop", "ID": "shop 1", "Port": 8080, "Checks": [
  {"GRPC": "127.0.0.1:8080/shop", "GRPCUseTLS": false, "Interval": "500ms"}, {"ScriptArgs": ["/bin/true"], "Interval": "10s", "FailuresBeforeCritical": 0}]}}`,
			[]Service{web(func(s *Service) {
				s.Name, s.ID = "Web Shop", "shop 1"
				s.Checks = Checks{List: []Check{check(Check{GRPC: "127.0.0.1:8080/shop"}), check(Check{Script: []string{"/bin/true"}, Interval: 10 * time.Second})}}
			})},
		},
		"checks beside the services": {`{
  "service": {"name": "web", "port": 8080},
  "services": [{"id": "b", "name": "web", "port": 8080}],
  "check": {"service_id": "web", "tcp": "127.0.0.1:8080", "interval": "3s"},
  "checks": [{"ServiceID": "b", "TCP": "127.0.0.1:9090", "Interval": "4s"}, {"service_id": "b", "tcp": "127.0.0.1:9091", "interval": "4s"}]
}`, []Service{
			web(func(s *Service) {
				s.Checks = Checks{List: []Check{check(Check{TCP: "127.0.0.1:8080", Interval: 3 * time.Second})}}
			}),
			web(func(s *Service) {
				s.ID = "b"
				s.Checks = Checks{List: []Check{check(Check{TCP: "127.0.0.1:9090", Interval: 4 * time.Second}), check(Check{TCP: "127.0.0.1:9091", Interval: 4 * time.Second})}}
			}),
		}},
		"no checks, an empty list": {`{"service": {"name": "web", "port": 8080, "checks": []}}`, []Service{web()}},
		"a list of the API's":      {`[{"Name": "web", "Port": 8080}]`, []Service{web()}},
		"our own keys in it": {`{"service": {"name": "web", "port": 8080, "service_port": 80, "protocol": "http", "checks": "none"}}`, []Service{
			web(func(s *Service) { s.ServicePort, s.Protocol, s.Checks = 80, "http", Checks{None: true} }),
		}},
	} {
		got, errs := ParseServices("consul.json", []byte(test.file))
		if len(errs) > 0 || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s:\n got %+v %v\nwant %+v", name, got, errs, test.want)
		}
		if len(got) > 0 {
			roundTrip(t, got)
		}
	}
}

func TestConsulMistakes(t *testing.T) {
	check := func(c string) string {
		return `{"service": {"name": "web", "port": 80, "check": ` + c + "}}"
	}
	for _, test := range []struct{ file, want string }{
		{`{"service": {"name": "web"}}`, `consul.json:1: service.port: is missing; name the port the program listens on`},
		{`{"Name": "web", "Port": 0}`, `consul.json:1: Port: want a whole number from 1 to 65535, found 0`},
		{`{"Name": "localhost", "Port": 80}`, `consul.json:1: Name: "localhost" is reserved and cannot name a service or a cluster`},
		{`{"Name": "WPAD", "Port": 80}`, `consul.json:1: Name: "wpad" is reserved and cannot name a service or a cluster`},
		{`{"Name": "a\u001bb", "Port": 80}`, `consul.json:1: Name: "a\x1bb" is no name: want 1 to 255 printable characters`},
		{`{"Name": "` + strings.Repeat("é", 128) + `", "Port": 80}`, `consul.json:1: Name: "` + strings.Repeat("é", 32) + `…" is no name: want 1 to 255 printable characters`},
		{`{"Name": "web", "Port": 80, "Address": "db.example.org"}`, `consul.json:1: Address: "db.example.org" is no IP address`},
		{`{"Name": "web", "Port": 80, "Weights": {"Passing": 0}}`, `consul.json:1: Weights.Passing: want a whole number from 1 to 65535, found 0`},
		{`{"service": "web", "port": 80}`, `consul.json:1: name: is missing; give the service a name`},
		{`{"service": {"name": "web", "port": 80}, "check": {"http": "http://127.0.0.1/"}}`, `consul.json:1: check: a check of no service of this file; put it into the service that it checks`},
		{`{"service": {"name": "web", "port": 80}, "services": 7}`, `consul.json:1: services: want a list of services, found 7`},
		{check(`{"ttl": "30s"}`), `consul.json:1: service.check.ttl: ttl checks are not in this version; use http, tcp, grpc or script`},
		{check(`{"docker_container_id": "f972c95ebf0e", "shell": "/bin/bash", "args": ["/bin/check"], "interval": "10s"}`), `consul.json:1: service.check.docker_container_id: checks in containers are not in this version; use http, tcp, grpc or script`},
		{check(`{"udp": "127.0.0.1:80", "interval": "10s"}`), `consul.json:1: service.check.udp: udp checks are not in this version; use http, tcp, grpc or script`},
		{check(`{"AliasService": "db"}`), `consul.json:1: service.check.AliasService: alias checks are not in this version; use http, tcp, grpc or script`},
		{check(`{"grpc": "127.0.0.1:80", "grpc_use_tls": true}`), `consul.json:1: service.check.grpc_use_tls: checks over TLS are not in this version; use http, tcp, grpc or script`},
		{check(`{"http": "https://127.0.0.1/"}`), `consul.json:1: service.check.http: https checks are not in this version, use tcp`},
		{check(`{"interval": "10s"}`), `consul.json:1: service.check: a check of no kind; give it one of http, tcp, grpc or script`},
		{check(`7`), `consul.json:1: service.check: want a check, found 7`},
	} {
		got, errs := ParseServices("consul.json", []byte(test.file))
		wantLines(t, errs, test.want)
		if strings.Contains(test.want, "service.") && len(got) > 0 {
			t.Errorf("%s gives %+v", test.file, got)
		}
	}
}

// Only JSON can be in Consul's form: a mistake in our own YAML is never passed over.
func TestQ40_YAMLStaysStrict(t *testing.T) {
	_, errs := ParseServices("web.yaml", []byte("services:\n- Name: web\n  port: 80\n  token: x\n"))
	wantLines(t, errs,
		`web.yaml:2: services[0].Name: unknown key; did you mean "name"?`,
		`web.yaml:4: services[0].token: unknown key; valid are address, cgroup, checks, id, meta, name, pid, port, protocol, proxy_protocol, service_port, tags, weight`,
		`web.yaml:2: services[0].name: is missing; give the service a name`,
	)
	_, errs = ParseServices("web.json", []byte(`{"services": [{"name": "my_svc", "port": 80}]}`))
	wantLines(t, errs, `web.json:1: services[0].name: "my_svc" is no DNS label: '_' is not one of a-z, 0-9 and -`)
}

// The tables of keys are those of Consul, folded; ours must not be among them, or our own files
// would be taken for Consul's.
func TestConsulKeysAreNotOurs(t *testing.T) {
	check := newCheck()
	for what, both := range map[string][2][]string{
		"service": {keys(consulKeys), serviceKeys()},
		"check":   {keys(consulCheckKeys), keys(check.fields())},
	} {
		for _, ours := range both[1] {
			if slices.Contains(both[0], consulKey(ours)) {
				t.Errorf("%s: %s is ours", what, ours)
			}
		}
		for _, key := range both[0] {
			if key != consulKey(key) {
				t.Errorf("%s: %s is not folded", what, key)
			}
		}
	}
}
