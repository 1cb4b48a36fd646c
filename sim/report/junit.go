package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/micro/micro-net"
)

// maxJUnitText bounds the text of one failed test case, in bytes: what reads these files shows a
// screen of it, and the whole story is in the page and the log.
const maxJUnitText = 32 << 10

type junitSuites struct {
	XMLName  xml.Name      `xml:"testsuites"`
	Name     string        `xml:"name,attr"`
	Tests    int           `xml:"tests,attr"`
	Failures int           `xml:"failures,attr"`
	Time     string        `xml:"time,attr"`
	Suites   []*junitSuite `xml:"testsuite"`
	wall     time.Duration
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
	wall     time.Duration
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the verdicts in the XML of JUnit, in the part of it that GitLab and GitHub read: one
// testsuite per scenario, one testcase per seed, times in seconds of the machine. A failure holds the
// seed, the command that repeats it, what failed and which expectations did not hold.
func JUnit(w io.Writer, runs []*Run) error {
	all := junitSuites{Name: "micro-net simulator"}
	index := map[string]*junitSuite{}
	for _, r := range runs {
		suite := index[r.Scenario]
		if suite == nil {
			suite = &junitSuite{Name: oneLine(r.Scenario)}
			index[r.Scenario] = suite
			all.Suites = append(all.Suites, suite)
		}
		suite.add(r)
		all.add(r)
	}
	return all.write(w)
}

func (s *junitSuite) add(r *Run) {
	s.Cases = append(s.Cases, junitCase{Class: s.Name, Name: caseName(r), Time: wallSeconds(r.Wall), Failure: failureOf(r)})
	s.Tests++
	s.wall += r.Wall
	s.Time = wallSeconds(s.wall)
	if !r.Passed {
		s.Failures++
	}
}

func (s *junitSuites) add(r *Run) {
	s.Tests++
	s.wall += r.Wall
	if !r.Passed {
		s.Failures++
	}
}

func (s *junitSuites) write(w io.Writer) error {
	s.Time = wallSeconds(s.wall)
	b := bytes.NewBufferString(xml.Header)
	enc := xml.NewEncoder(b)
	enc.Indent("", "  ")
	if err := enc.Encode(s); err != nil {
		return micronet.E("report.junit", micronet.Internal, "encode: %w", err)
	}
	b.WriteByte('\n')
	return flush(w, "report.junit", b)
}

// caseName is "seed 7": readers of the file follow a test case over time by its name. Full fidelity
// is what is meant when nothing is said.
func caseName(r *Run) string {
	name := "seed " + strconv.FormatUint(r.Seed, 10)
	if r.Fidelity != "" && r.Fidelity != "full" {
		name += " (" + oneLine(r.Fidelity) + ")"
	}
	return name
}

func wallSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

func failureOf(r *Run) *junitFailure {
	if r.Passed {
		return nil
	}
	first, kind := "the run failed and named no failure", "failed"
	if len(r.Failures) > 0 {
		f := &r.Failures[0]
		first, kind = failureLine(f), f.Invariant
	}
	return &junitFailure{Message: clip(oneLine(first), 300), Type: clip(oneLine(kind), 100), Text: failureText(r)}
}

func failureText(r *Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "scenario %s, seed %d\nrepeat: %s\n", oneLine(r.Scenario), r.Seed, oneLine(r.Command))
	for i := range r.Failures {
		if b.Len() > maxJUnitText {
			fmt.Fprintf(&b, "and %d more\n", len(r.Failures)-i)
			break
		}
		fmt.Fprintf(&b, "%s\n", failureLine(&r.Failures[i]))
	}
	for i := range r.Expectations {
		if e := &r.Expectations[i]; !e.Held && b.Len() <= maxJUnitText {
			fmt.Fprintf(&b, "expected %s: %s\n", e.Text, e.Measured)
		}
	}
	return clip(clean(b.String()), 2*maxJUnitText)
}

// failureLine is "12m30s n7 no_ghosts: what was seen".
func failureLine(f *Failure) string {
	var words []string
	for _, s := range []string{clock(f.At), f.Node, f.Invariant} {
		if s != "" {
			words = append(words, s)
		}
	}
	return strings.Join(words, " ") + ": " + f.Text
}
