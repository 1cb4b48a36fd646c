package report

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

func junitOf(t *testing.T, runs ...*Run) (parsed junitSuites, raw string) {
	t.Helper()
	var b bytes.Buffer
	if err := JUnit(&b, runs); err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(b.Bytes(), &parsed); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return parsed, b.String()
}

func TestJUnit(t *testing.T) {
	got, raw := junitOf(
		t,
		&Run{Scenario: "split", Seed: 1, Passed: true, Wall: 1500 * time.Millisecond, Fidelity: "full"},
		splitRun(),
		&Run{Scenario: "split", Seed: 2, Wall: time.Second, Fidelity: "gossip", Command: "run 2"},
	)
	if !strings.HasPrefix(raw, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<testsuites name="micro-net simulator" tests="3" failures="2" time="10.713">`) {
		t.Errorf("it begins with %.200s", raw)
	}
	if len(got.Suites) != 2 {
		t.Fatalf("%d suites, want one per scenario", len(got.Suites))
	}
	split := got.Suites[0]
	if split.Name != "split" || split.Tests != 2 || split.Failures != 1 || split.Time != "2.500" {
		t.Errorf("suite %+v", split)
	}
	passed, bare := split.Cases[0], split.Cases[1]
	if passed.Class != "split" || passed.Name != "seed 1" || passed.Time != "1.500" || passed.Failure != nil {
		t.Errorf("the case that passed: %+v", passed)
	}
	if bare.Name != "seed 2 (gossip)" || bare.Failure == nil || bare.Failure.Message != "the run failed and named no failure" {
		t.Errorf("the case without a failure: %+v", bare)
	}
}

func TestJUnitFailure(t *testing.T) {
	got, _ := junitOf(t, splitRun())
	f := got.Suites[0].Cases[0].Failure
	if f == nil {
		t.Fatal("no failure")
	}
	if f.Type != "success_rate" || !strings.HasPrefix(f.Message, "33s us4 success_rate: web: 12 requests failed") {
		t.Errorf("type %q, message %q", f.Type, f.Message)
	}
	for _, want := range []string{
		"scenario a long partition heals, seed 7\n", "repeat: go run ./cmd/micro-net-sim run testdata/scenarios/partition.yaml --seed 7\n",
		"12m success_rate: web: 99.82 %", "expected success rate of web at least 99.9% outside of 30s to 45s: 99.82 %",
	} {
		if !strings.Contains(f.Text, want) {
			t.Errorf("the text lacks %q:\n%s", want, f.Text)
		}
	}
	if strings.Contains(f.Text, "no_loops") {
		t.Error("the text names an expectation that held")
	}
}

func TestJUnitIsCleanAndBounded(t *testing.T) {
	got, raw := junitOf(t, nastyRun(), longRun(5000))
	if strings.ContainsAny(raw, "\x00\x1b\u202e\ufffd") {
		t.Error("control characters are left")
	}
	if name := got.Suites[0].Name; !strings.HasPrefix(name, "</title></style><script>") {
		t.Errorf("the name was changed: %q", name)
	}
	f := got.Suites[1].Cases[0].Failure
	if len(f.Text) > 2*maxJUnitText || len(f.Message) > 300 {
		t.Errorf("the text has %d bytes, the message %d", len(f.Text), len(f.Message))
	}
}
