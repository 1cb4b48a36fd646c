//go:build linux

package lab

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// benchFigure is one thing that is measured.
type benchFigure struct {
	key    string
	name   string
	unit   string
	digits int // after the point
}

// benchSample is what one peer reached in one round, by the key of the figure.
type benchSample map[string]float64

// benchResults holds all samples: by peer, one per round, nil for a round that failed.
type benchResults struct {
	peers  []string // in the order of the table
	rounds map[string][]benchSample
}

// add stores a peer's sample of a round.
func (r *benchResults) add(peer string, round int, s benchSample) {
	if r.rounds == nil {
		r.rounds = map[string][]benchSample{}
	}
	if !slices.Contains(r.peers, peer) {
		r.peers = append(r.peers, peer)
	}
	for len(r.rounds[peer]) <= round {
		r.rounds[peer] = append(r.rounds[peer], nil)
	}
	r.rounds[peer][round] = s
}

// values lists a figure of a peer over the rounds that have it.
func (r *benchResults) values(peer, key string) (all []float64) {
	for _, s := range r.rounds[peer] {
		if v, ok := s[key]; ok {
			all = append(all, v)
		}
	}
	return all
}

// pairs lists f(peer's value, base's value) of the rounds in which both have it.
func (r *benchResults) pairs(peer, base, key string, f func(a, b float64) float64) (all []float64) {
	for i, s := range r.rounds[peer] {
		if i >= len(r.rounds[base]) {
			break
		}
		a, okA := s[key]
		b, okB := r.rounds[base][i][key]
		if v := f(a, b); okA && okB && !math.IsNaN(v) && !math.IsInf(v, 0) {
			all = append(all, v)
		}
	}
	return all
}

// spread writes "median (min–max)", or a dash.
func spread(values []float64, digits int) string {
	if len(values) == 0 {
		return "–"
	}
	values = slices.Sorted(slices.Values(values))
	text := func(v float64) string { return fmt.Sprintf("%.*f", digits, v) }
	if len(values) == 1 {
		return text(values[0])
	}
	return fmt.Sprintf("%s (%s–%s)", text(median(values)), text(values[0]), text(values[len(values)-1]))
}

// median expects sorted values, at least one.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// table writes all figures of all peers.
func (r *benchResults) table(figures []benchFigure) string {
	t := newBenchTable(append([]string{""}, r.peers...)...)
	for _, f := range figures {
		row := []string{f.title()}
		for _, p := range r.peers {
			row = append(row, spread(r.values(p, f.key), f.digits))
		}
		t.row(row...)
	}
	return t.String()
}

// others lists all peers but one.
func (r *benchResults) others(peer string) []string {
	return slices.DeleteFunc(slices.Clone(r.peers), func(p string) bool { return p == peer })
}

// compare writes the ratios of a peer to the others, where there are any.
func (r *benchResults) compare(peer string, figures []benchFigure) string {
	bases := r.others(peer)
	t := newBenchTable(append([]string{peer + " ÷"}, bases...)...)
	for _, f := range figures {
		row, known := []string{f.name}, false
		for _, base := range bases {
			ratios := r.pairs(peer, base, f.key, func(a, b float64) float64 { return a / b })
			known = known || len(ratios) > 0
			row = append(row, spread(ratios, 2))
		}
		if known {
			t.row(row...)
		}
	}
	return t.String()
}

func (f benchFigure) title() string {
	if f.unit == "" {
		return f.name
	}
	return f.name + ", " + f.unit
}

// benchTable is a table in Markdown.
type benchTable struct{ b strings.Builder }

func newBenchTable(head ...string) *benchTable {
	t := &benchTable{}
	t.row(head...)
	t.b.WriteString("|---" + strings.Repeat("|---:", len(head)-1) + "|\n")
	return t
}

func (t *benchTable) row(cells ...string) {
	t.b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func (t *benchTable) String() string { return t.b.String() }

func TestBenchTables(t *testing.T) {
	var r benchResults
	for i, v := range []float64{2, 4, 1} {
		r.add("x", i, benchSample{"speed": v})
	}
	r.add("base", 0, benchSample{"speed": 1, "other": 7})
	r.add("base", 2, benchSample{"speed": 2})
	figures := []benchFigure{{"speed", "speed", "Gbit/s", 1}, {"other", "other", "", 0}}
	want := `|  | x | base |
|---|---:|---:|
| speed, Gbit/s | 2.0 (1.0–4.0) | 1.5 (1.0–2.0) |
| other | – | 7 |
`
	if got := r.table(figures); got != want {
		t.Errorf("table =\n%swant\n%s", got, want)
	}
	want = "| x ÷ | base |\n|---|---:|\n| speed | 1.25 (0.50–2.00) |\n"
	if got := r.compare("x", figures); got != want {
		t.Errorf("compare =\n%swant\n%s", got, want)
	}
}
