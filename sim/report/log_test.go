package report

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/micro/micro-net"
)

func writeLog(t *testing.T, events []Event) string {
	t.Helper()
	var b bytes.Buffer
	if err := Log(&b, &Run{Scenario: "s", Seed: 7, Command: "do it", Log: events}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLogColumns(t *testing.T) {
	got := writeLog(t, []Event{
		{30 * second, "eu10", "suspect", "us7", "no ack in 1.5s"},
		{30*second + 250, "", "heal", "", ""},
		{math.MaxInt64, "my node", "-", "\"x\"", " spaces "},
	})
	want := `# scenario "s", seed 7, failed
# repeat: do it
#            seconds node      kind    peer    detail
        30.000000000 eu10      suspect us7     no ack in 1.5s
        30.000000250 -         heal    -       -
9223372036.854775807 "my node" "-"     "\"x\"" " spaces "
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLogReadsBack(t *testing.T) {
	events := append(splitRun().Log, nastyRun().Log...)
	events = append(events, Event{math.MinInt64, "#a", "\\n", "\u00a0", "\"quoted\" at both \"ends\""}, Event{At: -1, Detail: "\n# comment"})
	got, err := ReadLog(strings.NewReader(writeLog(t, events)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, events) {
		for i := range min(len(got), len(events)) {
			if got[i] != events[i] {
				t.Errorf("line %d: %q, want %q", i, got[i], events[i])
			}
		}
		t.Errorf("%d events, want %d", len(got), len(events))
	}
}

func TestLogCutsLongFields(t *testing.T) {
	long := strings.Repeat("\xff", 100_000)
	got, err := ReadLog(strings.NewReader(writeLog(t, []Event{{0, long, long, long, long}})))
	if err != nil || len(got) != 1 {
		t.Fatalf("%d events, %v", len(got), err)
	}
	if d := got[0].Detail; len(d) != maxField || !strings.HasSuffix(d, ellipsis) {
		t.Errorf("the detail has %d bytes and ends in %q", len(d), d[len(d)-5:])
	}
}

func TestReadLogRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"x n k p d":                       `"x" is no time`,
		"1.5 n k p d":                     `"1.5" is no time`,
		"-1.+00000000 n k p d":            "is no time",
		"99999999999.000000000 n k p d":   "is no time",
		"9223372036.854775808 n k p d":    "more time than there is",
		"1.000000000":                     "a field is missing",
		"1.000000000 n k":                 "a field is missing",
		"1.000000000 n k p":               "a field is missing",
		`1.000000000 "n k p d`:            "do not end",
		`1.000000000 n k p "d" e`:         "are wrong",
		strings.Repeat("#", maxLogLine*2): "longer than 131072 bytes",
	} {
		_, err := ReadLog(strings.NewReader("# first\n" + in + "\n"))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 2: ") {
			t.Errorf("%.40q: %v, want line 2: %s", in, err, want)
		}
		if micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%.40q: the kind is %v", in, micronet.KindOf(err))
		}
	}
}

// FuzzReadLog: what can be read is written in one form that reads as the same events.
func FuzzReadLog(f *testing.F) {
	f.Add("# c\n   30.000000250 n1 \"su spect\" - it is late\n")
	f.Add("-0.000000001 \"\\xff\" k \"-\" \" \"\n")
	f.Add("1.000000000 n k p")
	f.Fuzz(func(t *testing.T, in string) {
		first, err := ReadLog(strings.NewReader(in))
		if err != nil {
			return
		}
		text := writeLog(t, first)
		again, err := ReadLog(strings.NewReader(text))
		if err != nil {
			t.Fatalf("our own form is refused: %v\n%s", err, text)
		}
		if len(again) != len(first) || writeLog(t, again) != text {
			t.Fatalf("the form changes:\n%s", text)
		}
	})
}
