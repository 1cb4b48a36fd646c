package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/osenv"
)

// asProgram makes the test binary behave as the program: the simulator starts itself again.
const asProgram = "MICRO_NET_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// simulator runs the program with real files and child processes, in a folder of its own.
func simulator(t *testing.T) func(args ...string) result {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv(asProgram, "1")
	w := newWorld(t)
	return func(args ...string) result {
		var out, errs output
		a := w.app(&out, &errs)
		a.env = osenv.Fill(micronet.Env{})
		code := a.run(t.Context(), append([]string{"sim"}, args...))
		return result{out: out.String(), err: errs.String(), code: code}
	}
}

const tinyScenario = `name: three nodes
nodes: 3
network: {latency: 5ms}
services: [{name: web, instances: 1, protocol: tcp}]
expect:
  - {at: 8s, converged: true}
  - status: {nodes: 2, seen_by: 1, is: alive, at: 9s}
duration: 10s
`

func TestSimRun(t *testing.T) {
	sim := simulator(t)
	write(t, "tiny.yaml", tinyScenario)
	write(t, "wrong.yaml", strings.Replace(tinyScenario, "is: alive", "is: dead", 1))

	r := sim("run", "tiny.yaml", "--seeds", "3..4", "--junit", "out.xml", "--report", "reports")
	if r.code != 0 || !strings.Contains(r.out, "pass  three nodes, seed 3: 3 nodes, 10s in") || !strings.Contains(r.out, "2 passed, 0 failed") {
		t.Errorf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	for _, file := range []string{"report.html", "run.json", "events.log", "sequence.mmd", "scenario.yaml", "nodes/n2.json"} {
		if _, err := os.Stat(filepath.Join("reports", "three-nodes-4", file)); err != nil {
			t.Error(err)
		}
	}
	if xml, err := os.ReadFile("out.xml"); err != nil || strings.Count(string(xml), "<testcase") != 2 {
		t.Errorf("%s %v", xml, err)
	}

	r = sim("run", "wrong.yaml", "--seed", "7")
	for _, want := range []string{
		"FAIL  three nodes, seed 7", "BROKEN  status", "n1 shows n2 as alive", "again: micro-net sim run wrong.yaml --seed 7",
		"report: micro-net-sim/three-nodes-7",
	} {
		if r.code != micronet.ExitFailed || !strings.Contains(r.out, want) {
			t.Errorf("exit %d, want %q in\n%s%s", r.code, want, r.out, r.err)
		}
	}
	if again := sim("replay", "micro-net-sim/three-nodes-7"); again.code != micronet.ExitFailed || !strings.Contains(again.out, "seed 7") {
		t.Errorf("replay: exit %d\n%s%s", again.code, again.out, again.err)
	}
	if until := sim("run", "wrong.yaml", "--until-fail", "--jobs", "1"); until.code != micronet.ExitFailed || strings.Count(until.out, "FAIL") != 1 {
		t.Errorf("until it fails: exit %d\n%s", until.code, until.out)
	}
}

func TestSimPrintsData(t *testing.T) {
	sim := simulator(t)
	write(t, "tiny.yaml", tinyScenario)
	r := sim("run", "tiny.yaml", "--json")
	var got []simResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || len(got) != 1 || !got[0].Passed || got[0].Nodes != 3 || len(got[0].Expectations) != 2 || !strings.Contains(r.out, `"revoked_s": []`) {
		t.Errorf("%+v, %v\n%s%s", got, err, r.out, r.err)
	}
	if r := sim("list"); r.code != 0 || !strings.Contains(r.out, "short-split") {
		t.Errorf("list: %+v", r)
	}
	r = sim("swarm", "--seeds", "5", "--nodes", "3", "--faults", "2", "--time", "20s")
	if r.code != 0 || !strings.Contains(r.out, "pass  swarm 5, seed 5: 3 nodes") {
		t.Errorf("swarm: %+v", r)
	}
}

func TestSimRefusesWrongInput(t *testing.T) {
	sim := simulator(t)
	write(t, "gossip.yaml", "name: x\nfidelity: gossip\nnodes: 3\nservices: [{name: web, instances: 1}]\ntraffic: [{from: all, to: web, rate: 1/s}]\nduration: 5s\n")
	write(t, "bad.yaml", "name: x\nnodes: 3\nduraton: 5s\n")
	for want, args := range map[string][]string{
		`bad.yaml:3: duraton: unknown key; did you mean "duration"?`: {"run", "bad.yaml"},
		"fidelity gossip has no traffic":                             {"run", "gossip.yaml"},
		`"nosuch" is neither a file nor a scenario of this program`:  {"run", "nosuch"},
		"none.yaml: no such file":                                    {"run", "./none.yaml"},
		`--seeds "9..1" is no range of seeds`:                        {"run", "short-split", "--seeds", "9..1"},
		"--jobs 0 is not above 0":                                    {"run", "short-split", "--jobs", "0"},
		"which seeds?":                                               {"swarm"},
		"run.json: no such file":                                     {"replay", "nowhere"},
		"usage: micro-net sim run FILE":                              {"run"},
	} {
		if r := sim(args...); r.code != micronet.ExitUsage || !strings.Contains(r.err, want) {
			t.Errorf("sim %v: exit %d, %q, want %q", args, r.code, r.err, want)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
