//go:build linux

package lab

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var allPlaces = flag.Bool("all-places", false, "TestE2ENATGrid looks at all pairs of places, not at a part of them")

// natPlace is where a host of the grid is.
type natPlace struct {
	name  string
	boxes []Boxing
	part  bool // of what is looked at without -all-places
}

var natPlaces = []natPlace{
	{"open", nil, false},
	{"firewall", []Boxing{Firewall}, false},
	{"full-cone", []Boxing{FullCone}, false},
	{"restricted", []Boxing{Restricted}, true},
	{"port-restricted", []Boxing{PortRestricted}, true},
	{"symmetric", []Boxing{Symmetric}, true},
	{"two-port-restricted", []Boxing{PortRestricted, PortRestricted}, false},
	{"two-symmetric", []Boxing{Symmetric, Symmetric}, false},
}

// meets reports whether two hosts can send to each other: not where one's port is another one for each destination
// and the other lets in only the port that it sent to.
func (p natPlace) meets(o natPlace) bool {
	moves := func(p natPlace) bool { return slices.Contains(p.boxes, Symmetric) }
	minds := func(p natPlace) bool {
		return moves(p) || slices.Contains(p.boxes, Firewall) || slices.Contains(p.boxes, PortRestricted)
	}
	return (!moves(p) || !minds(o)) && (!moves(o) || !minds(p))
}

// TestE2ENATGrid: wherever two hosts are, a call gets through at once, over a relay at first, and directly within ten
// seconds where that is possible at all.
func TestE2ENATGrid(t *testing.T) {
	w := New(t).Wan()
	link := Link{Delay: 7 * time.Millisecond}
	first := w.Host("cloud1", Place{Link: link}).up(t)
	var places []natPlace
	for _, p := range natPlaces {
		if p.part || *allPlaces {
			places = append(places, p)
		}
	}
	token := first.token("--uses", fmt.Sprint(1+2*len(places)))
	w.Host("cloud2", Place{Link: link}).up(t, "--join", token)
	var callers, servers []*daemon
	for i, p := range places {
		at := Place{Boxes: p.boxes, Link: link}
		callers = append(callers, w.Host("a-"+p.name, at).up(t, "--join", token))
		servers = append(servers, w.Host("b-"+p.name, at).up(t, "--join", token))
		servers[i].web("at-"+p.name, 8080)
	}
	for _, d := range callers {
		d.await(2 + 2*len(places))
		for _, p := range places {
			d.awaitService("at-"+p.name, 1, "passing")
		}
	}
	table := [][]string{append([]string{"from \\ to"}, names(places)...)}
	for i, a := range places {
		row := []string{a.name}
		for j, b := range places {
			row = append(row, callers[i].meet(servers[j], "at-"+b.name, a.meets(b)))
		}
		table = append(table, row)
	}
	for i, a := range places { // what is impossible stays so
		for j, b := range places {
			if got := callers[i].pathTo(servers[j].Name); (got == "direct") != a.meets(b) {
				t.Errorf("at the end %s reaches %s by %q", callers[i].Name, servers[j].Name, got)
			}
		}
	}
	t.Logf("first answer, and how soon the path was direct:\n%s", columns(table))
}

func names(places []natPlace) (out []string) {
	for _, p := range places {
		out = append(out, p.name)
	}
	return out
}

// meet calls a service until the path is as good as it can be, and says how that went.
func (d *daemon) meet(server *daemon, service string, meets bool) string {
	d.t.Helper()
	begin := time.Now()
	if out, err := d.runInput("GET / HTTP/1.0\r\n\r\n", "dial", service); err != nil || !strings.Contains(out, server.Name) {
		d.t.Errorf("the first call from %s to %s failed after %v: %q, %v", d.Name, server.Name, time.Since(begin), out, err)
	}
	answered := time.Since(begin).Round(10 * time.Millisecond)
	if answered > 2*time.Second {
		d.t.Errorf("the first call from %s to %s took %v", d.Name, server.Name, answered)
	}
	if !meets {
		return fmt.Sprintf("%v relay", answered)
	}
	eventually(d.t, 10*time.Second, d.Name+" reaches "+server.Name+" directly", func() bool {
		return d.calls(service, server.Name) && d.pathTo(server.Name) == "direct"
	})
	return fmt.Sprintf("%v direct %v", answered, time.Since(begin).Round(10*time.Millisecond))
}

// columns lines a table up.
func columns(table [][]string) string {
	var out strings.Builder
	for _, row := range table {
		for i, cell := range row {
			width := 0
			for _, r := range table {
				width = max(width, len(r[i]))
			}
			fmt.Fprintf(&out, "%-*s  ", width, cell)
		}
		out.WriteString("\n")
	}
	return out.String()
}
