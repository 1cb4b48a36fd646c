package report

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func mermaidOf(t *testing.T, r *Run, n int) string {
	t.Helper()
	var b bytes.Buffer
	if err := Mermaid(&b, r, n); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMermaid(t *testing.T) {
	r := &Run{Scenario: "split", Seed: 7, Log: []Event{
		{1 * second, "n0", "ping", "n9", "too old"},
		{2 * second, "n1", "ping", "web-2", "seq 4; late"},
		{3 * second, "", "heal", "", ""},
		{4 * second, "web-2", "ack", "n1", ""},
	}}
	want := `sequenceDiagram
  %% split, seed 7, the last 2 events between nodes
  participant p1 as n1
  participant p2 as web#45;2
  p1->>p2: 2.000000000 ping#58; seq 4#59; late
  p2->>p1: 4.000000000 ack
`
	if got := mermaidOf(t, r, 2); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// safeLine is every line that a diagram may have.
var safeLine = regexp.MustCompile(`^(sequenceDiagram|  %% [\pL\pN ._/,=+…-]*, seed \d+, the last \d+ events between nodes|` +
	`  participant (none|p\d+) as ([\pL\pN ._/,=+…]|#\d+;)+|  p\d+->>p\d+: ([\pL\pN ._/,=+…]|#\d+;)+)$`)

func TestMermaidIsSafeAndBounded(t *testing.T) {
	for name, r := range map[string]*Run{"nasty": nastyRun(), "long": longRun(2000), "split": splitRun(), "empty": {}} {
		got := mermaidOf(t, r, 100_000)
		if len(got) > maxMermaid {
			t.Errorf("%s: %d bytes", name, len(got))
		}
		for _, line := range strings.Split(strings.TrimSuffix(got, "\n"), "\n") {
			if !safeLine.MatchString(line) {
				t.Errorf("%s: the line %q could be read as syntax", name, line)
			}
		}
	}
	if got := mermaidOf(t, nastyRun(), 10); !strings.Contains(got, "#101;nd#58; #101;nd") {
		t.Errorf("the word end stands in the diagram:\n%s", got)
	}
}

func TestMermaidKeepsTheNewest(t *testing.T) {
	r := splitRun()
	got := mermaidOf(t, r, 5)
	if n := strings.Count(got, "->>"); n != 5 {
		t.Errorf("%d events, want 5", n)
	}
	if newest := r.Log[len(r.Log)-2]; !strings.Contains(got, seconds(newest.At)) {
		t.Errorf("the newest event, %v, is not there:\n%s", newest, got)
	}
	for _, n := range []int{0, -3} {
		if got := mermaidOf(t, r, n); strings.Contains(got, "->>") {
			t.Errorf("of %d events there are some", n)
		}
	}
}
