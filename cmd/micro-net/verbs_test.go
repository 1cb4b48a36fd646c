package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// TestVerbsThatPrint compares exit code and output of what needs one question to the daemon.
func TestVerbsThatPrint(t *testing.T) {
	for name, args := range map[string][]string{
		"status":                {"status"},
		"nodes":                 {"nodes"},
		"services":              {"services"},
		"services-web":          {"services", "web"},
		"services-nope":         {"services", "nope"},
		"routes":                {"routes"},
		"connections":           {"connections"},
		"graph":                 {"graph"},
		"graph-dot":             {"graph", "--format", "dot"},
		"graph-mermaid":         {"graph", "--format", "mermaid"},
		"graph-bad":             {"graph", "--format", "svg"},
		"invite":                {"invite", "--ttl", "1h", "--uses", "3", "--name", "b", "--address", "vpn.example.com"},
		"invite-json":           {"invite", "--json"},
		"invite-no-uses":        {"invite", "--uses", "0"},
		"leave":                 {"leave"},
		"node-log":              {"node", "log"},
		"node-log-last":         {"node", "log", "--last", "1"},
		"node-log-verify":       {"node", "log", "--verify"},
		"node-log-json":         {"node", "log", "--json"},
		"node-revoke":           {"node", "revoke", "b", "--reason", "stolen", "--disavow", "--force"},
		"node-revoke-two":       {"node", "revoke", "b", "c"},
		"node-forget":           {"node", "forget", "b", "--json"},
		"node-promote":          {"node", "promote", "b"},
		"node-promote-json":     {"node", "promote", "b", "--json"},
		"node-demote":           {"node", "demote", "b", "--force"},
		"node-root-rotate":      {"node", "root", "rotate"},
		"node-root-rotate-json": {"node", "root", "rotate", "--json"},
		"node-root-status":      {"node", "root", "rotate", "--status"},
		"node-root-retire":      {"node", "root", "rotate", "--retire"},
		"help-rotate":           {"node", "root", "rotate", "--help"},
		"help-node":             {"node", "--help"},
		"help-revoke":           {"node", "revoke", "--help"},
		"help-root":             {"node", "root", "export", "--help"},
		"deregister":            {"deregister", "web-1"},
		"resolve":               {"resolve", "web"},
		"ping":                  {"ping", "b", "-c", "2", "-i", "1ms"},
		"ping-json":             {"ping", "b", "-c", "1", "--json"},
		"trace":                 {"trace", "web"},
		"trace-json":            {"trace", "web", "--json"},
		"ping-none":             {"ping", "b", "-c", "0"},
		"config-show":           {"config", "show"},
		"config-origin":         {"config", "show", "--origin"},
		"version":               {"version"},
		"version-json":          {"version", "-o", "json"},
		"nodes-yaml":            {"nodes", "-o", "yaml"},
		"unknown-verb":          {"statsu"},
		"unknown-flag":          {"status", "--wiat"},
		"bad-number":            {"invite", "--uses", "many"},
		"bad-port":              {"register", "--service", "web", "--port", "99999999999999999999"},
		"bad-duration":          {"status", "--timeout", "5"},
		"unknown-output":        {"nodes", "-o", "xml"},
		"too-many":              {"nodes", "x"},
		"wait-bad":              {"status", "--wait", "nodes=many"},
		"api-bad":               {"nodes", "--api", "tcp://1.2.3.4"},
		"help":                  {"--help"},
		"help-status":           {"status", "--help"},
		"help-unknown":          {"help", "statsu"},
		"config-unknown":        {"config", "shwo"},
		"completion-what":       {"completion", "tcsh"},
		"policy-list":           {"policy", "list"},
		"policy-yaml":           {"policy", "list", "-o", "yaml"},
		"policy-test":           {"policy", "test", "a", "web"},
		"policy-denied":         {"policy", "test", "c", "web"},
		"policy-delete":         {"policy", "delete", "no-c"},
		"policy-json":           {"policy", "test", "a", "web", "--json"},
		"explain":               {"explain", "web", "--as", "shop"},
		"explain-json":          {"explain", "web", "--json"},
		"help-policy":           {"policy", "--help"},
		"help-apply":            {"policy", "apply", "--help"},
		"node-names":            {"node", "names"},
		"node-names-open":       {"node", "names", "open", "--force"},
		"node-grants":           {"node", "grants"},
		"node-grant":            {"node", "grant", "b", "web", "api-*"},
		"node-grant-none":       {"node", "grant", "b", "--none"},
		"node-grant-what":       {"node", "grant", "b"},
		"register-held":         {"register", "--service", "payments", "--port", "80"},
		"help-grant":            {"node", "grant", "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, newWorld(t).start().run(args...).text())
		})
	}
}

// TestExitCodes maps every kind of error that a daemon answers with.
func TestExitCodes(t *testing.T) {
	for kind, want := range map[micronet.Kind]int{
		micronet.Internal: 1, micronet.Invalid: 2, micronet.NotFound: 3, micronet.Refused: 4, micronet.Unauthorized: 4,
		micronet.Unreachable: 5, micronet.Timeout: 5, micronet.Overloaded: 5, micronet.Closed: 1,
	} {
		w := newWorld(t).start()
		w.backend.fail = micronet.E("test.op", kind, "the cause").WithFix("the remedy")
		for _, args := range [][]string{
			{"services"},
			{"routes"},
			{"invite"},
			{"join", "mnj1_x"},
			{"deregister", "x"},
			{"resolve", "web"},
			{"register", "--service", "web", "--port", "80"},
			{"call", "web"},
			{"dial", "web"},
			{"forward", "web"},
			{"leave"},
			{"ping", "b", "-c", "1"},
			{"explain", "web"},
		} {
			r := w.run(args...)
			if wantErr := "micro-net: " + args[0] + ": the cause; the remedy\n"; r.code != want || !strings.HasSuffix(r.err, wantErr) {
				t.Errorf("%v with %v: exit %d, %q, want %d, %q", args, kind, r.code, r.err, want, wantErr)
			}
		}
		if r := w.run("run", "--service", "web", "--port", "80", "--", "true"); r.code != exitOwnFailure {
			t.Errorf("run with %v: exit %d, want %d", kind, r.code, exitOwnFailure)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	w := newWorld(t)
	for _, args := range [][]string{
		{"status"},
		{"nodes"},
		{"services"},
		{"routes"},
		{"connections"},
		{"graph"},
		{"invite"},
		{"join", "x"},
		{"leave"},
		{"register", "--service", "web", "--port", "80"},
		{"deregister", "x"},
		{"call", "x"},
		{"dial", "x"},
		{"forward", "x"},
		{"resolve", "x"},
		{"ping", "x"},
		{"explain", "x"},
	} {
		r := w.run(args...)
		want := "micro-net: " + args[0] + ": no daemon answers on unix://$DIR/api.sock; start one with `micro-net up`, or name it with --api\n"
		if r.code != micronet.ExitNoDaemon || r.err != want || r.out != "" {
			t.Errorf("%v: exit %d, %q, want 6, %q", args, r.code, r.err, want)
		}
	}
}

// TestEmptyTables: a header alone for people, an empty list for programs.
func TestEmptyTables(t *testing.T) {
	w := newWorld(t)
	w.backend.nodes, w.backend.services, w.backend.routes, w.backend.links, w.backend.settings = nil, nil, nil, nil, nil
	w.start()
	for _, args := range [][]string{{"nodes"}, {"services"}, {"routes"}, {"connections"}, {"config", "show"}} {
		if r := w.run(args...); r.code != 0 || strings.Count(r.out, "\n") != 1 || strings.ToUpper(r.out) != r.out {
			t.Errorf("%v: exit %d, %q, want a header alone", args, r.code, r.out)
		}
		if r := w.run(append(args, "--json")...); r.code != 0 || r.out != "[]\n" {
			t.Errorf("%v --json: exit %d, %q, want []", args, r.code, r.out)
		}
	}
}

// A node that others refuse is shown with the reason.
func TestNodesSayWhy(t *testing.T) {
	w := newWorld(t)
	w.backend.nodes = []api.Node{{ID: "aaaaaaaaaaaaaaaa", Name: "a", Status: micronet.Alive, Reason: "its certificate does not count"}}
	w.start()
	if r := w.run("nodes"); r.code != 0 || !strings.Contains(r.out, "aaaaaaaa  its certificate does not count\n") {
		t.Errorf("exit %d, %q", r.code, r.out)
	}
}

// evil is a name that clears the screen, ends its line, and turns the rest around.
const evil = "evil\x1b[2J\nweb\tx\u202e\u009b1m\u200b"

// TestH36_NamesDriveNoTerminal: what other hosts announce, and how they refuse, neither moves the cursor nor
// breaks a line, in tables and in errors.
func TestH36_NamesDriveNoTerminal(t *testing.T) {
	w := newWorld(t)
	w.backend.services = []api.Service{{Name: evil, Protocol: "tcp", Tags: []string{evil}, Instances: []api.Instance{{ID: evil, Node: evil}}}}
	w.backend.routes = []api.Route{{Service: evil, Instance: evil, Node: evil, Reason: evil}}
	w.backend.nodes = []api.Node{{Name: evil, ID: evil, Version: evil, Reason: evil}}
	w.start()
	harmless := func(what, text string, lines int) {
		t.Helper()
		if strings.ContainsAny(text, "\x1b\t\u202e\u009b\u200b") || strings.Count(text, "\n") != lines {
			t.Errorf("%s printed %q", what, text)
		}
	}
	for _, args := range [][]string{{"services"}, {"routes"}, {"nodes"}} {
		r := w.run(args...)
		harmless(strings.Join(args, " "), r.out, 2)
		if !strings.Contains(r.out, "evil") {
			t.Errorf("%v shows nothing: %q %q", args, r.out, r.err)
		}
	}
	w.backend.fail = micronet.E("call", micronet.Refused, "the node says: %s", evil)
	r := w.run("routes")
	harmless("an error", r.err, 1)
	if r.code != 4 || !strings.Contains(r.err, "evil") {
		t.Errorf("exit %d, %q", r.code, r.err)
	}
}

// TestEveryVerbHasHelp: text and example for each, and the flags that the contract gives it.
func TestEveryVerbHasHelp(t *testing.T) {
	root := newWorld(t).app(nil, nil).root()
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s has no example or no text", c.CommandPath())
		}
		if c.Flags().Lookup("output") != nil && c.Flags().Lookup("json") == nil {
			t.Errorf("%s has -o but no --json", c.CommandPath())
		}
		for _, child := range c.Commands() {
			visit(child)
		}
	}
	visit(root)
	for _, verb := range strings.Fields(`up invite join leave status nodes services routes connections graph register deregister run call dial
		forward resolve ping trace explain policy doctor validate config version completion demo`) {
		if c, _, err := root.Find([]string{verb}); err != nil || c.Name() != verb {
			t.Errorf("there is no verb %s", verb)
		}
	}
}

func TestCompletion(t *testing.T) {
	w := newWorld(t).start()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := w.run("completion", shell); r.code != 0 || !strings.Contains(r.out, "micro-net") {
			t.Errorf("completion %s: exit %d, %d bytes", shell, r.code, len(r.out))
		}
	}
	for line, want := range map[string]string{"call ": "redis\nweb\n", "ping ": "a\nb\nc\n", "deregister ": "web-1\n"} {
		if r := w.run("__complete", strings.TrimSpace(line), ""); !strings.HasPrefix(r.out, want+":4") {
			t.Errorf("completion of %q: %q, want %q", line, r.out, want)
		}
	}
	w.stop()
	if r := w.run("__complete", "call", ""); r.code != 0 || !strings.HasPrefix(r.out, ":4") {
		t.Errorf("completion without a daemon: exit %d, %q", r.code, r.out)
	}
}

// TestWhereTheDaemonIs: flag beats variable beats the user's socket.
func TestWhereTheDaemonIs(t *testing.T) {
	w := newWorld(t).start()
	w.vars[apiVariable] = "unix://" + w.dir + "/nowhere.sock"
	if r := w.run("nodes", "--api", "unix://"+w.socket()); r.code != 0 {
		t.Errorf("--api: exit %d, %s", r.code, r.err)
	}
	if r := w.run("nodes"); r.code != micronet.ExitNoDaemon || !strings.Contains(r.err, "nowhere.sock;") {
		t.Errorf("$MICRO_NET_API: exit %d, %s", r.code, r.err)
	}
	delete(w.vars, apiVariable)
	w.vars["RUNTIME_DIRECTORY"] = w.dir
	if r := w.run("nodes"); r.code != 0 {
		t.Errorf("the user's socket: exit %d, %s", r.code, r.err)
	}
}
