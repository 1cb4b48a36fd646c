package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

func (w *world) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func TestTokenForms(t *testing.T) {
	w := newWorld(t).start()
	file := w.file("token", "mnj1_file\n")
	w.vars[joinVariable] = "mnj1_env"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"join", "mnj1_word"}, "join mnj1_word"},
		{[]string{"join", "@" + file}, "join mnj1_file"},
		{[]string{"join", "-"}, "join mnj1_stdin"},
		{[]string{"join"}, "join mnj1_env"},
	} {
		w.stdin, w.backend.calls = strings.NewReader("mnj1_stdin\n"), nil
		if r := w.run(c.args...); r.code != 0 || w.backend.noted() != c.want {
			t.Errorf("%v: exit %d, %q, the daemon was asked %q, want %q", c.args, r.code, r.err, w.backend.noted(), c.want)
		}
	}
	w.backend.calls, w.vars[joinVariable] = nil, ""
	for _, args := range [][]string{{"join"}, {"join", "@" + w.dir + "/none"}, {"join", "@" + w.file("empty", "\n")}, {"join", "a", "b"}} {
		if r := w.run(args...); r.code != micronet.ExitUsage || w.backend.noted() != "" {
			t.Errorf("%v: exit %d, asked %q", args, r.code, w.backend.noted())
		}
	}
}

func TestInviteRequest(t *testing.T) {
	w := newWorld(t).start()
	w.run("invite")
	w.run("invite", "--ttl", "1h", "--uses", "3", "--name", "b", "--address", "x:1", "--address", "y")
	want := "invite {TTL:15m0s Uses:1 Name: Addresses:[]}\ninvite {TTL:1h0m0s Uses:3 Name:b Addresses:[x:1 y]}"
	if got := w.backend.noted(); got != want {
		t.Errorf("the daemon was asked\n%s, want\n%s", got, want)
	}
}

func TestRegister(t *testing.T) {
	w := newWorld(t).start()
	file := w.file("web.yaml", "services:\n  - {name: web, port: 8080, tags: [v2]}\n  - {name: api, port: 9000, protocol: grpc, service_port: 443}\n")
	bad := w.file("bad.yaml", "services:\n  - {name: web, prt: 1, port: 8080}\n  - {name: UP, port: 80}\n")
	for name, c := range map[string]struct {
		args []string
		code int
		out  string
		want string
	}{
		"flags": {
			[]string{"--service", "web", "--port", "8080", "--service-port", "80", "--protocol", "http", "--tag", "a", "--tag", "b", "--id", "w1", "--address", "127.0.0.2", "--meta", "k=v=w"},
			0, "w1\n", "register web w1 127.0.0.2:80->8080 http [a b] map[k:v=w]",
		},
		"defaults": {[]string{"--service", "web", "--port", "8080"}, 0, "web\n", "register web web 127.0.0.1:8080->8080 tcp [] map[]"},
		"file": {
			[]string{file},
			0, "web\napi\n",
			"register web web 127.0.0.1:8080->8080 tcp [v2] map[]\nregister api api 127.0.0.1:443->9000 grpc [] map[]",
		},
		"stdin":      {[]string{"-"}, 0, "typed\n", "register typed typed 127.0.0.1:1->1 tcp [] map[]"},
		"json":       {[]string{file, "-o", "json"}, 0, "{\n  \"ids\": [\n    \"web\",\n    \"api\"\n  ],\n  \"replaced\": [],\n  \"withheld\": [],\n  \"warnings\": []\n}\n", "register web web 127.0.0.1:8080->8080 tcp [v2] map[]\nregister api api 127.0.0.1:443->9000 grpc [] map[]"},
		"bad file":   {[]string{bad}, 2, "", ""},
		"no file":    {[]string{w.dir + "/none"}, 2, "", ""},
		"empty file": {[]string{w.file("none.yaml", "")}, 2, "", ""},
		"both":       {[]string{file, "--service", "web"}, 2, "", ""},
		"neither":    {nil, 2, "", ""},
		"bad meta":   {[]string{"--service", "web", "--port", "1", "--meta", "novalue"}, 2, "", ""},
		"bad port":   {[]string{"--service", "web", "--port", "70000"}, 2, "", ""},
		"bad name":   {[]string{"--service", "service", "--port", "1"}, 2, "", ""},
	} {
		w.stdin, w.backend.calls = strings.NewReader("name: typed\nport: 1\n"), nil
		r := w.run(append([]string{"register"}, c.args...)...)
		if r.code != c.code || r.out != c.out || w.backend.noted() != c.want {
			t.Errorf("%s: exit %d, %q, %s; the daemon was asked %q, want %d, %q, %q", name, r.code, r.out, r.err, w.backend.noted(), c.code, c.out, c.want)
		}
		if r.code != 0 {
			for line := range strings.Lines(r.err) {
				if !strings.HasPrefix(line, "micro-net: register: ") {
					t.Errorf("%s: stderr says %q", name, line)
				}
			}
		}
	}
}

func TestValidate(t *testing.T) {
	w := newWorld(t)
	w.vars["MICRO_NET_API_ADDR"] = "nonsense" // only the files matter
	good := w.file("web.yaml", "name: web\nport: 80\n")
	consul := w.file("consul.json", `{"service": {"Name": "my_svc", "Port": 80, "Check": {"HTTP": "http://localhost/", "Interval": "10s"}}}`)
	conf := w.file("config.yaml", "log_level: debug\nservices:\n  - {name: db, port: 5432}\n")
	bad := w.file("bad.yaml", "services:\n  - name: web\n    prot: 1\n    port: 80\n  - name: x\n    port: 7000\n    protocol: htp\n")
	golden(t, "validate-good", w.run("validate", good, consul, conf).text())
	golden(t, "validate-json", w.run("validate", good, "--json").text())
	r := w.run("validate", good, bad, w.dir+"/none")
	wantLines(t, r, "$DIR/bad.yaml:3: services[0].prot: unknown key; did you mean", "$DIR/bad.yaml:7: services[1].protocol: ", "$DIR/none: no such file")
	if r.out != "$DIR/web.yaml is valid, 1 service\n" {
		t.Errorf("validate printed %q", r.out)
	}
	w.file("config.yaml", "log_levle: debug\napi_addr: 0.0.0.0:1\n")
	wantLines(t, w.run("validate", conf), "$DIR/config.yaml:1: log_levle: unknown key; did you mean", "$DIR/config.yaml:2: api_addr: ")
	if r := w.run("validate"); r.code != micronet.ExitUsage {
		t.Errorf("validate of nothing: exit %d", r.code)
	}
}

// TestConfigWithoutDaemon shows what a start would find.
func TestConfigWithoutDaemon(t *testing.T) {
	w := newWorld(t)
	w.vars["XDG_CONFIG_HOME"] = w.dir
	w.vars["MICRO_NET_LOG_LEVEL"] = "warn"
	if err := os.Mkdir(filepath.Join(w.dir, "micro-net"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.file("micro-net/config.yaml", "cluster: eu\n")
	r := w.run("config", "show", "--origin")
	for _, want := range []string{"cluster eu file:$DIR/micro-net/config.yaml", "log-level warn env:MICRO_NET_LOG_LEVEL", "domain micro.internal default"} {
		if !strings.Contains(strings.Join(strings.Fields(r.out), " "), want) {
			t.Errorf("exit %d, no %q in\n%s%s", r.code, want, r.out, r.err)
		}
	}
	if r.code != 0 || !strings.HasPrefix(r.err, "No daemon answers") {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
}

// wantLines compares how the lines of an invalid file's report begin.
func wantLines(t *testing.T, r result, begin ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.err, "\n"), "\n")
	if r.code != micronet.ExitUsage || len(lines) != len(begin) {
		t.Errorf("exit %d, %d lines, want 2 and %d:\n%s", r.code, len(lines), len(begin), r.err)
		return
	}
	for i, want := range begin {
		if !strings.HasPrefix(lines[i], "micro-net: validate: "+want) {
			t.Errorf("line %d is %q, want it to begin with %q", i+1, lines[i], want)
		}
	}
}
