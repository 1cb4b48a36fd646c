package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// daemon starts `up` with a fake daemon in place of a node.
func (w *world) daemon(d daemonFunc, terminal bool, args ...string) result {
	w.t.Helper()
	var out, errs output
	a := w.app(&out, &errs)
	a.daemon, a.outTerminal = d, terminal
	a.environ = []string{"MICRO_NET_LOG_LEVLE=debug", "HOME=" + w.dir}
	code := a.run(w.t.Context(), append([]string{"up"}, args...))
	return result{code, w.plain(out.String()), w.plain(errs.String())}
}

func TestUpSettings(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(w.dir, "conf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w.file("conf/config.yaml", "cluster: eu\ndomain: file.internal\nservices:\n  - {name: db, port: 5432}\n")
	w.vars["MICRO_NET_DOMAIN"] = "env.internal"
	w.vars["MICRO_NET_NAME"] = "from-env"
	token := w.file("token", " mnj1_x \n")
	var got config.Loaded
	r := w.daemon(func(_ context.Context, _ micronet.Env, l config.Loaded, version string, _ func(api.Status)) error {
		got = l
		if version != "v1.2.3" {
			t.Errorf("version %q", version)
		}
		return nil
	}, false, "--config-dir", dir, "--name", "flag", "--join", "@"+token, "--advertise", "192.0.2.1", "--advertise", "192.0.2.2:99",
		"--service", "web:80/http", "--dev", "--api-addr", "127.0.0.1:0", "--dns-addr", "off")
	s := got.Settings
	if r.code != 0 {
		t.Fatalf("exit %d, %s", r.code, r.err)
	}
	if s.Name != "flag" || s.Domain != "env.internal" || s.Cluster != "eu" || s.Join != "mnj1_x" || !s.Dev || s.DNSAddr.IsValid() ||
		len(s.Advertise) != 2 || len(s.Services) != 1 || len(got.Services) != 1 || s.APIAddr.String() != "127.0.0.1:0" {
		t.Errorf("settings %+v, services %+v", s, got.Services)
	}
	if !strings.Contains(r.err, "MICRO_NET_LOG_LEVLE means nothing") {
		t.Errorf("the unknown variable is not named: %q", r.err)
	}
}

func TestUpRefusesSettings(t *testing.T) {
	never := func(context.Context, micronet.Env, config.Loaded, string, func(api.Status)) error {
		t.Error("the daemon was started")
		return nil
	}
	for _, args := range [][]string{
		{"--api-addr", "0.0.0.0:8500"},
		{"--log-level", "loud"},
		{"--service", "web"},
		{"--dev=maybe"},
		{"--nmae", "x"},
		{"extra"},
		{"--join", "@/nonexistent/token"},
		{"--join", ""},
		{"--join", " "},
	} {
		if r := newWorld(t).daemon(never, false, args...); r.code != micronet.ExitUsage || !strings.HasPrefix(r.err, "micro-net: up: ") {
			t.Errorf("up %v: exit %d, %q, want 2", args, r.code, r.err)
		}
	}
}

func TestUpStopsPolitely(t *testing.T) {
	w := newWorld(t)
	polite := func(ctx context.Context, _ micronet.Env, _ config.Loaded, _ string, _ func(api.Status)) error {
		w.exec.signals <- syscall.SIGTERM
		<-ctx.Done()
		return nil
	}
	if r := w.daemon(polite, false); r.code != 0 {
		t.Errorf("exit %d, %s", r.code, r.err)
	}
	stuck := func(ctx context.Context, _ micronet.Env, _ config.Loaded, _ string, _ func(api.Status)) error {
		w.exec.signals <- syscall.SIGINT
		<-ctx.Done()
		w.exec.signals <- syscall.SIGINT
		<-t.Context().Done() // it never ends
		return nil
	}
	if r := w.daemon(stuck, false); r.code != micronet.ExitInterrupted {
		t.Errorf("second signal: exit %d, %s", r.code, r.err)
	}
}

func TestUpFails(t *testing.T) {
	for kind, want := range map[micronet.Kind]int{micronet.Refused: 4, micronet.Unreachable: 5, micronet.Internal: 1} {
		r := newWorld(t).daemon(func(context.Context, micronet.Env, config.Loaded, string, func(api.Status)) error {
			return micronet.E("node.join", kind, "no").WithFix("fix it")
		}, false)
		if r.code != want || !strings.HasSuffix(r.err, "micro-net: up: no; fix it\n") {
			t.Errorf("%v: exit %d, %q, want %d", kind, r.code, r.err, want)
		}
	}
}

// TestUpHint: only a terminal, only a founder, only as long as it is alone.
func TestUpHint(t *testing.T) {
	for name, c := range map[string]struct {
		terminal bool
		nodes    int
		args     []string
		want     bool
	}{
		"alone on a terminal": {true, 1, nil, true},
		"piped":               {false, 1, nil, false},
		"not alone":           {true, 2, nil, false},
		"joined":              {true, 1, []string{"--join", "mnj1_x"}, false},
	} {
		r := newWorld(t).daemon(func(_ context.Context, _ micronet.Env, _ config.Loaded, _ string, started func(api.Status)) error {
			started(api.Status{Node: api.StatusNode{Name: "a", Cluster: "main"}, Nodes: api.NodeCounts{Alive: c.nodes}})
			return nil
		}, c.terminal, c.args...)
		if got := strings.Contains(r.out, "micro-net invite"); got != c.want || r.code != 0 {
			t.Errorf("%s: exit %d, printed %q", name, r.code, r.out)
		}
	}
}

func TestUpHelpHasEverySetting(t *testing.T) {
	r := newWorld(t).run("up", "--help")
	for _, s := range config.Specs() {
		if !strings.Contains(r.out, "--"+s.Key+" ") {
			t.Errorf("--%s is not in the help", s.Key)
		}
	}
}

func TestLogFormat(t *testing.T) {
	var b output
	log := newLog(&b, "warn", "json")
	log.Info("no")
	log.Warn("yes")
	if got := b.String(); !strings.HasPrefix(got, "{") || strings.Count(got, "\n") != 1 || !strings.Contains(got, `"msg":"yes"`) {
		t.Errorf("the log is %q", got)
	}
}

// Services of config.yaml may have checks that run commands: nobody else may write the file.
func TestH32_ConfigOfOthers(t *testing.T) {
	w := newWorld(t)
	file := w.file("config.yaml", "name: a\n")
	started := false
	daemon := func(context.Context, micronet.Env, config.Loaded, string, func(api.Status)) error {
		started = true
		return nil
	}
	for _, c := range []struct {
		mode os.FileMode
		code int
	}{{0o666, micronet.ExitRefused}, {0o602, micronet.ExitRefused}, {0o644, 0}, {0o664, 0}} {
		if err := os.Chmod(file, c.mode); err != nil {
			t.Fatal(err)
		}
		started = false
		r := w.daemon(daemon, false, "--config-dir", w.dir)
		if r.code != c.code || started != (c.code == 0) || (c.code != 0 && !strings.Contains(r.err, "chmod 0")) {
			t.Errorf("mode %o: exit %d, started %v, %s", c.mode, r.code, started, r.err)
		}
	}
}

// A daemon whose memory may end up in a file says so, and runs.
func TestQ38_CoreFilesAreTold(t *testing.T) {
	w := newWorld(t)
	w.unhardened = syscall.EPERM
	r := w.daemon(func(context.Context, micronet.Env, config.Loaded, string, func(api.Status)) error { return nil }, false)
	if r.code != 0 || !strings.Contains(r.err, "core files") {
		t.Errorf("exit %d, %s", r.code, r.err)
	}
}
