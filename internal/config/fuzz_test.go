package config

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

// seeds are files of all forms, good and bad.
func seeds() []string {
	return []string{
		"", "# nothing\n", "---\n", "null", "services:\n", "services: []\n",
		"services:\n  - name: web\n    port: 8080\n    tags: [v2]\n    meta: {version: \"2.1\"}\n    checks: none\n",
		"- name: a\n  port: 1\n- name: a\n  port: 2\n",
		"name: dns\nport: 53\nprotocol: udp\nservice_port: 5353\n",
		"name: a\nport: 80\nchecks:\n  - http: http://localhost/health\n    interval: 500ms\n  - script: [\"/bin/true\", \"-x\"]\n    timeout: 3s\n",
		`{"service":{"name":"my_svc","port":80,"checks":[{"args":["/bin/x"],"interval":"10s"}]}}`,
		`{"services":[{"ID":"a1","Name":"go.micro.srv.x","Port":1,"Tags":["a b"],"Weights":{"Passing":3}}]}`,
		`[{"Name":"my_svc","port":80,"checks":[{"tcp":"[::1]:80"}]},{"name":"x","port":2}]`,
		`{"service":{"name":"a","port":1},"checks":[{"service_id":"a","tcp":"127.0.0.1:9","interval":"3s"}]}`,
		"a: &x [1]\nb: *x\n", "<<: {name: a}\n", "name: !!str a\n", "? [a]\n: b\n", "name: a\nname: b\n", "%YAML 1.2\n---\na: b\n",
		strings.Repeat("[", 99), strings.Repeat("- ", 99), strings.Repeat("{a: ", 40), "\x00", "\xff\xfe", "name: \"\\0\"\nport: 1\n",
		`{"name":"a","port":1e3}`, `{"name":"a","port":99999999999999999999}`, `{"name":"\ud800","port":1}`, "name: |\n  a\nport: 0x50\n",
		"listen: \":9000\"\napi: {addr: \"off\"}\nallow_from: [10.0.0.0/8]\nservices:\n  - {name: web, port: 80}\n",
		"relay: on\ngateway: true\ndomain: \"\"\nvip_cidr: 127.0.0.0/8\n",
	}
}

// FuzzServices: no input makes the reader panic or return what it would not take again; each
// mistake is one line of the kind Invalid.
func FuzzServices(f *testing.F) {
	for _, s := range seeds() {
		f.Add("web.yaml", []byte(s))
	}
	f.Fuzz(func(t *testing.T, file string, data []byte) {
		services, errs := ParseServices(file, data)
		for _, err := range errs {
			checkLine(t, err)
		}
		seen := map[string]bool{}
		for i := range services {
			if seen[services[i].ID] {
				t.Fatalf("the id %q stands twice", services[i].ID)
			}
			seen[services[i].ID] = true
			if _, err := services[i].Instance(micronet.Passing); err != nil {
				t.Fatal(err)
			}
		}
		if len(services) > 0 {
			roundTrip(t, services)
		}
	})
}

// FuzzSettings: config.yaml and variables of any content give settings or mistakes, never both
// silently.
func FuzzSettings(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s), "api-addr", "off")
	}
	f.Add([]byte(nil), "advertise", "1.2.3.4,[::1]:0,,")
	f.Add([]byte(nil), "service", "web:80/http,web:80")
	f.Add([]byte(nil), "vip-cidr", "127.80.0.0/33")
	f.Add([]byte(nil), "listen", "[fe80::1%eth0]:1")
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		env := func(name string) string {
			if name == "HOME" {
				return "/home/ann"
			}
			if spec := (Spec{Key: key}); name == spec.variable() {
				return value
			}
			return ""
		}
		out, err := Load(Input{Getenv: env, UID: 1000, File: "config.yaml", Data: data})
		if err != nil {
			for _, one := range unjoin(err) {
				checkLine(t, one)
			}
			return
		}
		checkSettings(t, &out.Settings)
		if len(out.Origins) != len(Specs()) {
			t.Fatalf("%d origins, want %d", len(out.Origins), len(Specs()))
		}
		if len(out.Services) > 0 {
			roundTrip(t, out.Services)
		}
	})
}

func checkSettings(t *testing.T, s *Settings) {
	t.Helper()
	if !s.Listen.IsValid() || !s.VIPs.IsValid() || s.DataDir == "" || s.ConfigDir == "" || s.APISocket == "" || s.Domain == "" {
		t.Fatalf("something is missing: %+v", s)
	}
	if len(s.AllowFrom) > 0 {
		return
	}
	if a := s.APIAddr.Addr(); a.IsValid() && !a.IsLoopback() {
		t.Fatalf("the API is open to the world at %s", s.APIAddr)
	}
	if a := s.ProxyAddr.Addr(); a.IsValid() && !a.IsLoopback() {
		t.Fatalf("the proxy is open to the world at %s", s.ProxyAddr)
	}
}

// checkLine demands one printable line of bounded length, and the kind that means exit code 2.
func checkLine(t *testing.T, err error) {
	t.Helper()
	if line := err.Error(); line != visible(line) || strings.ContainsAny(line, "\n\r") {
		t.Fatalf("an error that is no printable line: %q", line)
	}
	if micronet.KindOf(err) != micronet.Invalid {
		t.Fatalf("%v is %s, want invalid", err, micronet.KindOf(err))
	}
	if fault, ok := errors.AsType[*Fault](err); ok {
		if len(fault.What)+len(fault.Fix)+len(fault.Key) > 4<<10 {
			t.Fatalf("an error of %d bytes", len(fault.Error()))
		}
		fault.Picture()
	}
}

func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		if _, own := err.(*micronet.Error); !own {
			return joined.Unwrap()
		}
	}
	return []error{err}
}

// roundTrip demands that services read what is written of them.
func roundTrip(t *testing.T, services []Service) {
	t.Helper()
	body, err := json.Marshal(services)
	if err != nil {
		t.Fatal(err)
	}
	again, errs := ParseServices("body", body)
	if len(errs) > 0 {
		t.Fatalf("%s\nis refused: %v", body, errs[0])
	}
	if !reflect.DeepEqual(services, again) {
		t.Fatalf("%s\nwas %+v\n is %+v", body, services, again)
	}
	var plain []Service
	if err := json.Unmarshal(body, &plain); err != nil || !reflect.DeepEqual(services, plain) {
		t.Fatalf("%s\nunmarshals to %+v (%v)", body, plain, err)
	}
}
