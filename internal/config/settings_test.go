package config

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// environ is an environment for tests: pairs of name and value.
func environ(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func user(pairs ...string) func(string) string { return environ(append(pairs, "HOME", "/home/ann")...) }

func TestDefaults(t *testing.T) {
	got, err := Load(Input{Getenv: user(), UID: 1000})
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Cluster: "main", DataDir: "/home/ann/.local/state/micro-net", ConfigDir: "/home/ann/.config/micro-net",
		APISocket: "/home/ann/.local/state/micro-net/api.sock", APIWrite: "services", Capture: "auto", Relay: "auto", PortMap: "auto", Lane: "auto",
		Domain: "micro.internal", LogLevel: "info", LogFormat: "text",
		Listen: netip.MustParseAddrPort("[::]:8085"), APIAddr: netip.MustParseAddrPort("127.0.0.1:8500"),
		DNSAddr: netip.MustParseAddrPort("127.0.0.1:8600"), ProxyAddr: netip.MustParseAddrPort("127.0.0.1:8081"),
		VIPs: netip.MustParsePrefix("127.80.0.0/12"), ExpiredGrace: 720 * time.Hour,
	}
	if !reflect.DeepEqual(got.Settings, want) {
		t.Errorf("got  %+v\nwant %+v", got.Settings, want)
	}
	for _, o := range got.Origins {
		if o.Origin != "default" || o.Value == nil {
			t.Errorf("%+v", o)
		}
	}
}

func TestSpecsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Specs() {
		if seen[s.Key] || s.Help == "" || s.Key != strings.ToLower(s.Key) || strings.ContainsAny(s.Key, "_ ") {
			t.Errorf("%+v", s)
		}
		if (s.Kind == KindBool) != (s.Default == "false") || (s.Kind == KindBool) != (s.Value == "") {
			t.Errorf("%s: the kind does not fit default and value", s.Key)
		}
		seen[s.Key] = true
	}
	// The flags that the command line promises.
	for _, key := range strings.Fields("join name cluster listen advertise data-dir api-addr api-socket dns-addr proxy-addr vip-cidr capture domain service config-dir tcp-addr port-map lane gateway relay overlay dev log-level log-format allow-from proxy-pass api-write alt-domain upstream expired-grace") {
		if !seen[key] {
			t.Errorf("--%s is missing", key)
		}
	}
}

// origin finds the origin of a setting.
func origin(t *testing.T, l *Loaded, key string) Origin {
	t.Helper()
	i := slices.IndexFunc(l.Origins, func(o Origin) bool { return o.Key == key })
	if i < 0 {
		t.Fatalf("no origin of %s", key)
	}
	return l.Origins[i]
}

// Each setting is given in all four ways; the strongest wins.
func TestPrecedence(t *testing.T) {
	values := map[string][3]string{ // file, environment, flag
		"join": {"f", "e", "x"}, "name": {"nf", "ne", "nx"}, "cluster": {"cf", "ce", "cx"},
		"listen": {":1", ":2", ":3"}, "advertise": {"1.1.1.1", "1.1.1.2", "1.1.1.3"}, "data-dir": {"/f", "/e", "/x"},
		"config-dir": {"/f", "/e", "/x"}, "api-addr": {"127.0.0.1:11", "127.0.0.1:12", "127.0.0.1:13"}, "api-socket": {"/f.s", "/e.s", "/x.s"},
		"api-write": {"none", "services", "none"}, "dns-addr": {"127.0.0.1:21", "127.0.0.1:22", "127.0.0.1:23"},
		"proxy-addr": {"127.0.0.1:31", "127.0.0.1:32", "127.0.0.1:33"}, "proxy-pass": {"false", "true", "true"},
		"vip-cidr": {"127.81.0.0/16", "127.82.0.0/16", "127.83.0.0/16"}, "capture": {"on", "off", "auto"}, "domain": {"f.internal", "e.internal", "x.internal"},
		"alt-domain": {"fa", "ea", "xa"}, "upstream": {"9.9.9.1", "9.9.9.2", "9.9.9.3"}, "allow-from": {"10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"},
		"service": {"sf:1", "se:2", "sx:3"}, "gateway": {"false", "false", "false"}, "relay": {"on", "auto", "off"}, "overlay": {"false", "false", "false"},
		"dev": {"false", "true", "true"}, "log-level": {"debug", "warn", "error"}, "log-format": {"json", "text", "json"},
		"expired-grace": {"1h", "2h", "0"}, "tcp-addr": {":443", "off", "auto"}, "port-map": {"off", "auto", "off"}, "lane": {"off", "auto", "off"},
	}
	for _, s := range Specs() {
		v, ok := values[s.Key]
		if !ok {
			t.Errorf("%s is not tested", s.Key)
			continue
		}
		line := s.fileKey() + ": "
		switch s.Kind {
		case KindList:
			line += fmt.Sprintf("[%q]\n", v[0])
		case KindBool:
			line += v[0] + "\n"
		default:
			line += fmt.Sprintf("%q\n", v[0])
		}
		in := Input{Getenv: user(), UID: 1000, File: "/c/config.yaml", Data: []byte(line)}
		wantOrigin(t, s, in, v[0], "file:/c/config.yaml")
		in.Getenv = user(s.variable(), v[1])
		wantOrigin(t, s, in, v[1], "env:"+s.variable())
		in.Flags = map[string][]string{s.Key: {v[2]}}
		wantOrigin(t, s, in, v[2], "flag")
	}
}

func wantOrigin(t *testing.T, s Spec, in Input, value, from string) {
	t.Helper()
	l, err := Load(in)
	if err != nil {
		t.Errorf("%s from %s: %v", s.Key, from, err)
		return
	}
	want := Origin{Key: s.Key, Value: value, Origin: from}
	switch {
	case s.Key == "join":
		want.Value = "(redacted)"
		if l.Settings.Join != value {
			t.Errorf("join from %s: %q", from, l.Settings.Join)
		}
	case s.Kind == KindBool:
		want.Value = value == "true"
	case s.Kind == KindList:
		want.Value = []string{value}
	}
	if got := origin(t, &l, s.Key); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLists(t *testing.T) {
	l, err := Load(Input{
		Getenv: user("MICRO_NET_ADVERTISE", " 1.2.3.4 , [2001:db8::1]:90,,", "MICRO_NET_SERVICE", "web:80/http,dns:53/udp"), UID: 1000,
		Flags: map[string][]string{"allow-from": {"10.0.0.5/8", "192.168.1.7", "2001:db8::/32"}, "name": {"a", "b"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := l.Settings
	wantValue(t, s.Advertise, []netip.AddrPort{netip.MustParseAddrPort("1.2.3.4:8085"), netip.MustParseAddrPort("[2001:db8::1]:90")})
	wantValue(t, s.AllowFrom, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.168.1.7/32"), netip.MustParsePrefix("2001:db8::/32")})
	wantValue(t, s.Name, "b") // the last flag counts
	if len(s.Services) != 2 || s.Services[0].ID != "web" || s.Services[1].Protocol != "udp" {
		t.Errorf("services %+v", s.Services)
	}
	if got := origin(t, &l, "advertise").Value; !reflect.DeepEqual(got, []string{"1.2.3.4", "[2001:db8::1]:90"}) {
		t.Errorf("shown as %v", got)
	}
}

func wantValue(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestListeners(t *testing.T) {
	for _, test := range []struct{ key, value, want string }{
		{"api-addr", "off", "invalid AddrPort"},
		{"dns-addr", "off", "invalid AddrPort"},
		{"proxy-addr", "off", "invalid AddrPort"},
		{"api-addr", "127.0.0.1:0", "127.0.0.1:0"},
		{"api-addr", ":9000", "127.0.0.1:9000"},
		{"api-addr", "localhost:9000", "127.0.0.1:9000"},
		{"api-addr", "[::1]:9000", "[::1]:9000"},
		{"api-addr", "[::ffff:127.0.0.1]:9000", "127.0.0.1:9000"},
		{"dns-addr", "127.0.0.53:53", "127.0.0.53:53"},
		{"listen", ":9000", "[::]:9000"},
		{"listen", ":0", "[::]:0"},
		{"listen", "0.0.0.0", "0.0.0.0:8085"},
		{"listen", "10.0.0.1", "10.0.0.1:8085"},
		{"listen", "10.0.0.1:1", "10.0.0.1:1"},
		{"listen", "[::]", "[::]:8085"},
		{"listen", "::1", "[::1]:8085"},
	} {
		l, err := Load(Input{Getenv: user(), UID: 1000, Flags: map[string][]string{test.key: {test.value}}})
		if err != nil {
			t.Errorf("--%s %s: %v", test.key, test.value, err)
		}
		s := l.Settings
		got := map[string]netip.AddrPort{"api-addr": s.APIAddr, "dns-addr": s.DNSAddr, "proxy-addr": s.ProxyAddr, "listen": s.Listen}[test.key]
		if got.String() != test.want {
			t.Errorf("--%s %s: %s, want %s", test.key, test.value, got, test.want)
		}
	}
	l, err := Load(Input{Getenv: user(), UID: 1000, Flags: map[string][]string{"proxy-addr": {"0.0.0.0:8081"}, "allow-from": {"172.17.0.0/16"}}})
	if err != nil || l.Settings.ProxyAddr.String() != "0.0.0.0:8081" {
		t.Errorf("with --allow-from: %s %v", l.Settings.ProxyAddr, err)
	}
}

func TestRefusedSettings(t *testing.T) {
	const noAddress = "; write it like 127.0.0.1:8500, with port 0 for any free port, or off"
	for _, test := range []struct{ key, value, want string }{
		{"api-addr", "0.0.0.0:8500", `0.0.0.0:8500 can be reached from other hosts; say who may use it with --allow-from CIDR, or use a loopback address`},
		{"dns-addr", "[::]:53", `[::]:53 can be reached from other hosts; say who may use it with --allow-from CIDR, or use a loopback address`},
		{"proxy-addr", "10.0.0.1:0", `10.0.0.1:0 can be reached from other hosts; say who may use it with --allow-from CIDR, or use a loopback address`},
		{"api-addr", "[::ffff:10.0.0.1]:80", `10.0.0.1:80 can be reached from other hosts; say who may use it with --allow-from CIDR, or use a loopback address`},
		{"api-addr", "", `"" is no address:port` + noAddress},
		{"api-addr", "Off", `"Off" is no address:port` + noAddress},
		{"api-addr", "127.0.0.1", `"127.0.0.1" is no address:port` + noAddress},
		{"api-addr", "127.0.0.1:70000", `"127.0.0.1:70000" is no address:port` + noAddress},
		{"api-addr", "example.org:80", `"example.org:80" is no address:port` + noAddress},
		{"api-addr", "127.80.0.1:80", `127.80.0.1:80 is one of the addresses that stand for services (127.80.0.0/12); use 127.0.0.1, or another --vip-cidr`},
		{"listen", "off", `"off" is no address to listen on; write it like [::]:8085 or 10.0.0.1:8085, with port 0 for any free port`},
		{"listen", "[::]:70000", `"[::]:70000" is no address to listen on; write it like [::]:8085 or 10.0.0.1:8085, with port 0 for any free port`},
		{"listen", "224.0.0.1:80", `"224.0.0.1:80" is no address to listen on; write it like [::]:8085 or 10.0.0.1:8085, with port 0 for any free port`},
		{"vip-cidr", "10.0.0.0/8", `"10.0.0.0/8" is no part of 127.0.0.0/8 with at least 256 addresses; write it like 127.80.0.0/12`},
		{"vip-cidr", "127.80.0.0/25", `"127.80.0.0/25" is no part of 127.0.0.0/8 with at least 256 addresses; write it like 127.80.0.0/12`},
		{"vip-cidr", "127.0.0.0/7", `"127.0.0.0/7" is no part of 127.0.0.0/8 with at least 256 addresses; write it like 127.80.0.0/12`},
		{"vip-cidr", "127.80.0.0", `"127.80.0.0" is no part of 127.0.0.0/8 with at least 256 addresses; write it like 127.80.0.0/12`},
		{"vip-cidr", "127.0.0.0/8", `127.0.0.0/8 holds addresses that the host uses itself, of 127.0.0.0/16; write it like 127.80.0.0/12`},
		{"vip-cidr", "127.0.1.0/24", `127.0.1.0/24 holds addresses that the host uses itself, of 127.0.0.0/16; write it like 127.80.0.0/12`},
		{"allow-from", "everyone", `"everyone" is no CIDR; write it like 10.0.0.0/8`},
		{"allow-from", "10.0.0.0/40", `"10.0.0.0/40" is no CIDR; write it like 10.0.0.0/8`},
		{"advertise", "0.0.0.0", `"0.0.0.0" is no address that can be used; write it like 203.0.113.7 or 203.0.113.7:8085`},
		{"advertise", "169.254.1.1", `"169.254.1.1" is no address that can be used; write it like 203.0.113.7 or 203.0.113.7:8085`},
		{"advertise", "1.2.3.4:0", `"1.2.3.4:0" is no address that can be used; write it like 203.0.113.7 or 203.0.113.7:8085`},
		{"advertise", "host.example", `"host.example" is no address that can be used; write it like 203.0.113.7 or 203.0.113.7:8085`},
		{"upstream", "dns.example", `"dns.example" is no address that can be used; write it like 203.0.113.7 or 203.0.113.7:53`},
		{"capture", "yes", `"yes" is not one of auto, on, off`},
		{"expired-grace", "30", `"30" is no duration that can be used; write it like 240h, at most 720h, or 0`},
		{"expired-grace", "721h", `"721h" is no duration that can be used; write it like 240h, at most 720h, or 0`},
		{"expired-grace", "-1h", `"-1h" is no duration that can be used; write it like 240h, at most 720h, or 0`},
		{"api-write", "service", `"service" is not one of services, none; did you mean "services"?`},
		{"log-level", "warning", `"warning" is not one of debug, info, warn, error; did you mean "warn"?`},
		{"log-level", "loud", `"loud" is not one of debug, info, warn, error`},
		{"join", "", "no token is given; make one with `micro-net invite`, or leave --join out to start a new cluster"},
		{"join", " \n", "no token is given; make one with `micro-net invite`, or leave --join out to start a new cluster"},
		{"log-format", "xml", `"xml" is not one of text, json`},
		{"name", "My Host", `"My Host" is no DNS label: 'M' is not one of a-z, 0-9 and -; use "my-host"`},
		{"cluster", "any", `"any" is reserved and cannot name a service or a cluster; use a DNS label like eu-west`},
		{"cluster", "", `the name is empty; use a DNS label like eu-west`},
		{"domain", "", `"" is no domain: the name is empty; write it like micro.internal`},
		{"domain", ".internal", `".internal" is no domain: the name is empty; write it like micro.internal`},
		{"domain", "a b", `"a b" is no domain: "a b" is no DNS label: ' ' is not one of a-z, 0-9 and -; write it like micro.internal`},
		{"alt-domain", "Micro.Internal.", `"micro.internal" is the domain already; remove it`},
		{"service", "web", `"web" is not NAME:PORT[/PROTO]; write it like web:8080/http`},
		{"service", "web:80:90", `"web:80:90" is not NAME:PORT[/PROTO]; write it like web:8080/http`},
		{"data-dir", "", `"" is no path; give a path, or leave it out`},
		{"api-socket", " ", `" " is no path; give a path, or leave it out`},
		{"proxy-pass", "maybe", `"maybe" is neither true nor false`},
		{"gateway", "true", `this version cannot do this; leave it out`},
		{"overlay", "1", `this version cannot do this; leave it out`},
		{"relay", "never", `"never" is not one of auto, on, off`},
	} {
		_, err := Load(Input{Getenv: user(), UID: 1000, Flags: map[string][]string{test.key: {test.value}}})
		if err == nil {
			t.Errorf("--%s %q is taken", test.key, test.value)
			continue
		}
		wantLines(t, unjoin(err), "--"+test.key+": "+test.want)
		if kind := micronet.KindOf(err); kind.ExitCode() != micronet.ExitUsage {
			t.Errorf("--%s %q: the kind is %s", test.key, test.value, kind)
		}
		if strings.TrimSpace(test.value) == "" { // an empty variable is one that is not set
			continue
		}
		s := Spec{Key: test.key}
		_, err = Load(Input{Getenv: user(s.variable(), test.value), UID: 1000})
		wantLines(t, unjoin(err), s.variable()+": "+test.want)
	}
}

func TestLinkLocalUpstream(t *testing.T) {
	l, err := Load(Input{Getenv: user(), UID: 1000, Flags: map[string][]string{"upstream": {"169.254.169.253", "127.0.0.53:53"}}})
	if err != nil || len(l.Settings.Upstreams) != 2 || l.Settings.Upstreams[0].String() != "169.254.169.253:53" {
		t.Errorf("%v %v", l.Settings.Upstreams, err)
	}
}

func TestClashes(t *testing.T) {
	for _, test := range []struct {
		flags map[string][]string
		want  []string
	}{
		{map[string][]string{"api-addr": {"127.0.0.1:8081"}}, []string{"--proxy-addr: 127.0.0.1:8081 is taken by --api-addr 127.0.0.1:8081; give one of them another port"}},
		{map[string][]string{"dns-addr": {"127.0.0.1:8085"}}, []string{"--dns-addr: 127.0.0.1:8085 is taken by --listen [::]:8085; give one of them another port"}},
		{map[string][]string{"api-addr": {"0.0.0.0:8600"}, "allow-from": {"10.0.0.0/8"}}, []string{"--dns-addr: 127.0.0.1:8600 is taken by --api-addr 0.0.0.0:8600; give one of them another port"}},
		{map[string][]string{"api-addr": {"127.0.0.1:8085"}}, nil}, // TCP beside UDP
		{map[string][]string{"api-addr": {"127.0.0.2:8081"}}, nil},
		{map[string][]string{"api-addr": {":0"}, "dns-addr": {":0"}, "proxy-addr": {":0"}, "listen": {":0"}}, nil},
		{map[string][]string{"api-addr": {"off"}, "dns-addr": {"off"}, "proxy-addr": {"off"}}, nil},
		{map[string][]string{"service": {"web:80", "web:81"}}, []string{`--service: the service "web" stands twice; give each its own name, or use a service file`}},
	} {
		_, err := Load(Input{Getenv: user(), UID: 1000, Flags: test.flags})
		var got []error
		if err != nil {
			got = unjoin(err)
		}
		wantLines(t, got, test.want...)
	}
}

func TestConfigFile(t *testing.T) {
	l, err := Load(Input{Getenv: user(), UID: 1000, File: "/c/config.yaml", Data: []byte(`
# all of one kind nested, others flat
name: alpha
api:
  addr: "off"
  write: none
proxy: {addr: 127.0.0.1:0, pass: true}
log:
  level: debug
allow_from: [10.0.0.0/8]
services:
  - name: web
    port: 8080
`)})
	if err != nil {
		t.Fatal(err)
	}
	s := l.Settings
	if s.Name != "alpha" || s.APIAddr.IsValid() || s.APIWrite != "none" || s.ProxyAddr.String() != "127.0.0.1:0" || !s.ProxyPass || s.LogLevel != "debug" {
		t.Errorf("%+v", s)
	}
	if !reflect.DeepEqual(l.Services, []Service{web()}) {
		t.Errorf("services %+v", l.Services)
	}
	if got := origin(t, &l, "proxy-pass"); got != (Origin{"proxy-pass", true, "file:/c/config.yaml"}) {
		t.Errorf("%+v", got)
	}
	for _, empty := range []string{"", "# nothing yet\n", "---\n", "services:\n"} {
		if _, err := Load(Input{Getenv: user(), UID: 1000, File: "config.yaml", Data: []byte(empty)}); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestQ40_ConfigFileMistakes(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"lisen: \":1\"\n", `config.yaml:1: lisen: unknown key; did you mean "listen"?`},
		{"data-dir: /x\n", `config.yaml:1: data-dir: unknown key; did you mean "data_dir"?`},
		{"api:\n  adr: x\n", `config.yaml:2: api.adr: unknown key; did you mean "api_addr"?`},
		{"tracing: {addr: x}\n", `config.yaml:1: tracing: unknown key; valid are advertise, allow_from, alt_domain, api_addr, api_socket, api_write, capture, cluster, config_dir, data_dir, dev, dns_addr, domain, expired_grace, gateway, join, lane, listen, log_format, log_level, name, overlay, port_map, proxy_addr, proxy_pass, relay, service, services, tcp_addr, upstream, vip_cidr`},
		{"api_addr: \"off\"\napi: {addr: \"off\"}\n", `config.yaml:2: api.addr: api_addr stands in line 1 already; remove one`},
		{"name:\n", `config.yaml:1: name: has no value; give one or remove the key`},
		{"name: 7\n", `config.yaml:1: name: want text, found 7; put it in quotes: "7"`},
		{"api_addr: false\n", `config.yaml:1: api_addr: want text, found false; put it in quotes: "false"`},
		{"listen: 9000\n", `config.yaml:1: listen: want text, found 9000; put it in quotes: "9000"`},
		{"proxy_pass: \"true\"\n", `config.yaml:1: proxy_pass: want true or false, found "true"`},
		{"advertise: 1.2.3.4\n", `config.yaml:1: advertise: want a list of texts, found "1.2.3.4"; write [1.2.3.4]`},
		{"name: a\napi_addr: 0.0.0.0:80\n", `config.yaml:2: api_addr: 0.0.0.0:80 can be reached from other hosts; say who may use it with --allow-from CIDR, or use a loopback address`},
		{"api:\n  addr: 0.0.0.0:80\n", `config.yaml:2: api.addr: 0.0.0.0:80 can be reached from other hosts; say who may use it with --allow-from CIDR, or use a loopback address`},
		{"services: web\n", `config.yaml:1: services: want a list of services, found "web"`},
		{"services:\n- nam: web\n  port: 80\n", `config.yaml:2: services[0].nam: unknown key; did you mean "name"?|config.yaml:2: services[0].name: is missing; give the service a name`},
		{"- a\n", `config.yaml:1: want a mapping of settings, found a list`},
		{"hello\n", `config.yaml:1: want a mapping of settings, found "hello"`},
		{"overlay: true\n", `config.yaml:1: overlay: this version cannot do this; leave it out`},
	} {
		_, err := Load(Input{Getenv: user(), UID: 1000, File: "config.yaml", Data: []byte(test.file)})
		if err == nil {
			t.Errorf("%q is taken", test.file)
			continue
		}
		wantLines(t, unjoin(err), strings.Split(test.want, "|")...)
	}
}

// All mistakes are told at once, whichever way they came, and what is right is there.
func TestAllMistakesAtOnce(t *testing.T) {
	l, err := Load(Input{
		Getenv: user("MICRO_NET_LOG_LEVEL", "loud"), UID: 1000, File: "config.yaml",
		Data:  []byte("nam: a\ncapture: maybe\nservices:\n- {name: web, port: 80}\n- {name: api}\n"),
		Flags: map[string][]string{"api-addr": {"nowhere"}, "cluster": {"east"}, "service": {"web:81"}},
	})
	wantLines(t, unjoin(err),
		`config.yaml:1: nam: unknown key; did you mean "name"?`,
		`config.yaml:5: services[1].port: is missing; name the port the program listens on`,
		`config.yaml:2: capture: "maybe" is not one of auto, on, off`,
		`MICRO_NET_LOG_LEVEL: "loud" is not one of debug, info, warn, error`,
		`--api-addr: "nowhere" is no address:port; write it like 127.0.0.1:8500, with port 0 for any free port, or off`,
		`--service: the service "web" stands in config.yaml too; remove one, or give the one in the file another id`,
	)
	if l.Settings.Cluster != "east" || len(l.Services) != 1 {
		t.Errorf("%+v", l)
	}
}

func TestUnknownVariables(t *testing.T) {
	l, err := Load(Input{Getenv: user(), UID: 1000, Environ: []string{
		"PATH=/bin", "MICRO_NET_NAME=a", "MICRO_NET_API=unix:///x", "MICRO_NET_JOIN=t", "MICRO_NET_LISEN=:1", "MICRO_NET_\x1bX=1", "MICRO_NETWORK=1",
	}})
	if err != nil || len(l.Warnings) != 2 {
		t.Fatalf("%q %v", l.Warnings, err)
	}
	if want := `the environment variable MICRO_NET_LISEN means nothing; did you mean "MICRO_NET_LISTEN"?`; l.Warnings[0] != want {
		t.Errorf("got %s", l.Warnings[0])
	}
	if !strings.HasPrefix(l.Warnings[1], `the environment variable MICRO_NET_\x1bX means nothing; `) {
		t.Errorf("got %s", l.Warnings[1])
	}
}

func TestDirectories(t *testing.T) {
	type want struct{ data, config, socket string }
	for name, test := range map[string]struct {
		env  []string
		uid  int
		want want
	}{
		"root": {[]string{"HOME", "/root", "XDG_RUNTIME_DIR", "/run/user/0"}, 0, want{"/var/lib/micro-net", "/etc/micro-net", "/run/micro-net/api.sock"}},
		"user": {[]string{"HOME", "/home/ann"}, 1000, want{"/home/ann/.local/state/micro-net", "/home/ann/.config/micro-net", "/home/ann/.local/state/micro-net/api.sock"}},
		"XDG": {
			[]string{"HOME", "/home/ann", "XDG_STATE_HOME", "/s", "XDG_CONFIG_HOME", "/c", "XDG_RUNTIME_DIR", "/run/user/1000"},
			1000,
			want{"/s/micro-net", "/c/micro-net", "/run/user/1000/micro-net/api.sock"},
		},
		"relative XDG": {
			[]string{"HOME", "/home/ann", "XDG_STATE_HOME", "s", "XDG_CONFIG_HOME", "./c", "XDG_RUNTIME_DIR", "run"},
			1000,
			want{"/home/ann/.local/state/micro-net", "/home/ann/.config/micro-net", "/home/ann/.local/state/micro-net/api.sock"},
		},
		"no home": {nil, 1000, want{"/var/lib/micro-net", "/etc/micro-net", "/var/lib/micro-net/api.sock"}},
		"systemd": {
			[]string{"HOME", "/home/ann", "STATE_DIRECTORY", "/var/lib/mn", "CONFIGURATION_DIRECTORY", "/etc/mn", "RUNTIME_DIRECTORY", "/run/mn"},
			1000,
			want{"/var/lib/mn", "/etc/mn", "/run/mn/api.sock"},
		},
		"systemd, several": {
			[]string{"STATE_DIRECTORY", "/var/lib/a:/var/lib/b", "CONFIGURATION_DIRECTORY", "/etc/a:/etc/b", "RUNTIME_DIRECTORY", "/run/a:/run/b"},
			0,
			want{"/var/lib/a", "/etc/a", "/run/a/api.sock"},
		},
		"variables": {
			[]string{"HOME", "/home/ann", "STATE_DIRECTORY", "/var/lib/mn", "MICRO_NET_DATA_DIR", "/d", "MICRO_NET_CONFIG_DIR", "/c", "MICRO_NET_API_SOCKET", "/s"},
			1000,
			want{"/d", "/c", "/s"},
		},
	} {
		env := environ(test.env...)
		l, err := Load(Input{Getenv: env, UID: test.uid})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := (want{l.Settings.DataDir, l.Settings.ConfigDir, l.Settings.APISocket}); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
		if got := ConfigDir("", env, test.uid); got != test.want.config {
			t.Errorf("%s: ConfigDir %s", name, got)
		}
		// A client in the same environment finds the daemon.
		if got := SocketCandidates(env, test.uid); got[0] != test.want.socket {
			t.Errorf("%s: a client looks at %v first", name, got)
		}
	}
	if got := ConfigDir("/flag", environ("MICRO_NET_CONFIG_DIR", "/c"), 0); got != "/flag" {
		t.Errorf("ConfigDir of a flag is %s", got)
	}
	l, err := Load(Input{Getenv: user(), UID: 1000, Flags: map[string][]string{"data-dir": {"/data"}}})
	if err != nil || l.Settings.APISocket != "/data/api.sock" {
		t.Errorf("the socket does not follow --data-dir: %s %v", l.Settings.APISocket, err)
	}
}

func TestSocketCandidates(t *testing.T) {
	for _, test := range []struct {
		env  []string
		uid  int
		want []string
	}{
		{nil, 0, []string{"/run/micro-net/api.sock", "/var/lib/micro-net/api.sock"}},
		{[]string{"HOME", "/home/ann"}, 1000, []string{"/home/ann/.local/state/micro-net/api.sock", "/run/micro-net/api.sock"}},
		{[]string{"HOME", "/home/ann", "XDG_RUNTIME_DIR", "/r"}, 1000, []string{"/r/micro-net/api.sock", "/home/ann/.local/state/micro-net/api.sock", "/run/micro-net/api.sock"}},
	} {
		if got := SocketCandidates(environ(test.env...), test.uid); !slices.Equal(got, test.want) {
			t.Errorf("uid %d, %v: %v", test.uid, test.env, got)
		}
	}
}

// What a file may say is exactly what flags may say.
func TestFileKeysAreFlags(t *testing.T) {
	got := map[string]bool{}
	for _, s := range Specs() {
		got[s.fileKey()] = true
	}
	if got[servicesKey] {
		t.Error("a setting is called services")
	}
	for key := range maps.Keys(got) {
		for other := range maps.Keys(got) {
			if key != other && strings.HasPrefix(other, key+"_") {
				t.Errorf("%s would be a setting and a group of %s", key, other)
			}
		}
	}
}

func TestTCPAddr(t *testing.T) {
	for value, want := range map[string]string{
		"auto": "invalid AddrPort false", "": "invalid AddrPort false", "off": "invalid AddrPort true", ":443": "[::]:443 false", "10.0.0.1": "10.0.0.1:8085 false",
	} {
		l, err := Load(Input{Getenv: user(), UID: 1000, Flags: map[string][]string{"tcp-addr": {value}}})
		if got := fmt.Sprint(l.Settings.TCP, l.Settings.NoTCP); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", value, got, err, want)
		}
	}
	_, err := Load(Input{Getenv: user(), UID: 1000, Flags: map[string][]string{"tcp-addr": {"yes"}}})
	const want = `--tcp-addr: "yes" is no address to listen on; write it like [::]:8085 or 10.0.0.1:8085, with port 0 for any free port, auto or off`
	if err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}
