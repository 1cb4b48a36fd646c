package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net"
)

// element is a tag of a page with the text right inside it.
type element struct {
	name  string
	attr  map[string]string
	text  string
	inner []*element
}

// find returns all elements below e for which ok is true.
func (e *element) find(ok func(*element) bool) (all []*element) {
	for _, c := range e.inner {
		if ok(c) {
			all = append(all, c)
		}
		all = append(all, c.find(ok)...)
	}
	return all
}

func (e *element) named(name string) []*element {
	return e.find(func(c *element) bool { return c.name == name })
}

// parse reads a page and fails when its tags are not well nested.
func parse(t *testing.T, page []byte) *element {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	root := &element{}
	stack := []*element{root}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			top.inner, stack = append(top.inner, e), append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(token)
		}
	}
	return root
}

func render(t *testing.T, r *Run) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func texts(all []*element) (out []string) {
	for _, e := range all {
		out = append(out, e.text)
	}
	return out
}

func TestHTMLHasItsParts(t *testing.T) {
	page := parse(t, render(t, splitRun()))
	if got := page.named("title")[0].text; got != "failed: a long partition heals, seed 7" {
		t.Errorf("title %q", got)
	}
	want := []string{
		"What failed", "Expectations", "Faults", "The mesh over time", "Traffic", "Topology at the end", "Each node", "Last events",
		"What the nodes believed at the end",
	}
	if got := texts(page.named("h2")); !slices.Equal(got, want) {
		t.Errorf("sections %q, want %q", got, want)
	}
	want = []string{
		"Agreement with the truth", "What the average node sees", "Gossip sent per node and second", "Memory of the process",
		"Goroutines of the process", "web: requests that went well", "web: latency", "ledger: requests that went well", "ledger: latency",
	}
	if got := texts(page.named("h3")); !slices.Equal(got, want) {
		t.Errorf("charts %q, want %q", got, want)
	}
	if got := page.named("code")[0].text; got != splitRun().Command {
		t.Errorf("command %q", got)
	}
	if n := len(page.named("figure")); n != len(want)+2 {
		t.Errorf("%d figures, want the charts, the timeline and the topology", n)
	}
}

// TestHTMLIsAccessible demands a title, a description and a table of figures for each picture.
func TestHTMLIsAccessible(t *testing.T) {
	page := parse(t, render(t, splitRun()))
	for _, f := range page.named("figure") {
		pictures := f.find(func(e *element) bool { return e.name == "svg" && e.attr["role"] == "img" })
		if len(pictures) != 1 {
			t.Errorf("a figure has %d pictures", len(pictures))
			continue
		}
		p := pictures[0]
		title, desc := p.inner[0], p.inner[1]
		if title.name != "title" || desc.name != "desc" || title.text == "" || desc.text == "" {
			t.Errorf("a picture begins with %s %q, %s %q", title.name, title.text, desc.name, desc.text)
		}
		if want := title.attr["id"] + " " + desc.attr["id"]; p.attr["aria-labelledby"] != want {
			t.Errorf("%q is named by %q, want %q", title.text, p.attr["aria-labelledby"], want)
		}
		if rows := f.named("tr"); len(rows) < 2 {
			t.Errorf("%q has no table of figures", title.text)
		}
	}
	if page.named("html")[0].attr["lang"] != "en" {
		t.Error("the page has no language")
	}
}

func TestHTMLDescribesTheSplit(t *testing.T) {
	page := parse(t, render(t, splitRun()))
	descs := texts(page.named("desc"))
	for _, want := range []string{
		"partition eu1-eu10 | us1-us10 · 30s to 10m. slow us3 ×100 · 3m20s to 4m20s. flap eu1 – eu2 · 2 times, 5m to 5m30s. kill us7 · 10m40s. restart us7, disk lost · 10m40s to 11m5s. 2 failures.",
		"members: 47.37 % to 100 %, at the end 100 %. catalog: 50 % to 100 %, at the end 100 %.",
		"20 nodes on a circle; 187 direct paths, 2 over a relay, 1 down.",
	} {
		if !slices.Contains(descs, want) {
			t.Errorf("no picture is described as %q; there are %q", want, descs)
		}
	}
}

// TestHTMLShadesTheSplit finds the band of the partition behind each chart: 30 s to 600 s of 720 s.
func TestHTMLShadesTheSplit(t *testing.T) {
	page := parse(t, render(t, splitRun()))
	charts := page.find(func(e *element) bool { return e.attr["class"] == "chart" })[1:] // after the timeline
	for _, c := range charts {
		shade := c.find(func(e *element) bool { return e.attr["class"] == "band" })
		if len(shade) != 1 || !strings.HasPrefix(shade[0].attr["d"], "M41.67 0h791.67v100h-791.67z") {
			t.Errorf("%q does not show the partition", c.inner[0].text)
		}
	}
	if len(charts) != 9 {
		t.Errorf("%d charts, want 9", len(charts))
	}
}

func TestHTMLLoadsNothing(t *testing.T) {
	page := parse(t, render(t, nastyRun()))
	for _, e := range page.find(func(*element) bool { return true }) {
		for _, a := range []string{"src", "href", "srcset", "action", "data", "onclick", "onload"} {
			if v, ok := e.attr[a]; ok {
				t.Errorf("<%s %s=%q>", e.name, a, v)
			}
		}
		if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "base", "form"}, e.name) {
			t.Errorf("there is a <%s>", e.name)
		}
	}
	for _, bad := range []string{"url(", "@import", "expression("} {
		if strings.Contains(style, bad) {
			t.Errorf("the style has %s", bad)
		}
	}
	policy := page.find(func(e *element) bool { return e.attr["http-equiv"] == "Content-Security-Policy" })
	if len(policy) != 1 || policy[0].attr["content"] != "default-src 'none'; style-src 'unsafe-inline'" {
		t.Error("the policy of the page is missing")
	}
}

// TestHTMLEscapes puts syntax into every text and finds it again as text.
func TestHTMLEscapes(t *testing.T) {
	raw := render(t, nastyRun())
	page := parse(t, raw)
	for _, bad := range []string{"\x00", "\x1b", "\u202e", "<script", "NaN", "Inf", "%!", "<img"} {
		if bytes.Contains(raw, []byte(bad)) {
			t.Errorf("the page contains %q", bad)
		}
	}
	const want = `</title></style><script>alert(1)</script><img src=http://evil/>"'&;#%%{init}%% end`
	for _, name := range []string{"title", "h1", "h3", "td", "code", "pre", "text", "summary", "desc", "dd"} {
		if !slices.ContainsFunc(texts(page.named(name)), func(s string) bool { return strings.Contains(s, want[:30]) }) {
			t.Errorf("no <%s> shows the text that was given", name)
		}
	}
}

func TestHTMLOfNothing(t *testing.T) {
	raw := render(t, &Run{})
	page := parse(t, raw)
	if got := texts(page.named("h2")); !slices.Equal(got, []string{"Faults"}) {
		t.Errorf("sections %q", got)
	}
	if bytes.Contains(raw, []byte("NaN")) {
		t.Error("the page contains NaN")
	}
}

// TestHTMLIsBounded renders 100,000 of everything.
func TestHTMLIsBounded(t *testing.T) {
	raw := render(t, longRun(100_000))
	if n := len(raw); n > 2_000_000 {
		t.Errorf("the page has %d bytes", n)
	}
	page := parse(t, raw)
	if last := page.find(func(e *element) bool { return e.attr["class"] == "log" })[0].named("tr"); len(last) < 10 {
		t.Errorf("only %d of the last events are left", len(last))
	}
}

// TestHTMLKeepsTheOneBadSample looks for one dip among 100,000 samples in the line itself.
func TestHTMLKeepsTheOneBadSample(t *testing.T) {
	r := &Run{Virtual: 100_000 * second}
	for i := range 100_000 {
		r.Samples = append(r.Samples, Sample{At: time.Duration(i) * second, Members: 1, Catalog: 1})
	}
	r.Samples[61_803].Members = 0.25
	page := parse(t, render(t, r))
	lines := page.find(func(e *element) bool { return e.attr["class"] == "l l1" && strings.Contains(e.attr["d"], "L") })
	if !strings.Contains(lines[0].attr["d"], "L618.03 112.5L") { // three quarters down of 150 pixels
		t.Error("the dip at 61.8 % of the time is not in the line of the members")
	}
	if n := strings.Count(lines[0].attr["d"], "L"); n > 2*maxColumns {
		t.Errorf("the line has %d points", n)
	}
}

func TestHTMLIsRepeatable(t *testing.T) {
	if !bytes.Equal(render(t, splitRun()), render(t, splitRun())) {
		t.Error("two pages of one run differ")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, os.ErrPermission }

func TestWritersReportErrors(t *testing.T) {
	r := splitRun()
	for name, write := range map[string]func(io.Writer) error{
		"html":    func(w io.Writer) error { return HTML(w, r) },
		"junit":   func(w io.Writer) error { return JUnit(w, []*Run{r}) },
		"log":     func(w io.Writer) error { return Log(w, r) },
		"mermaid": func(w io.Writer) error { return Mermaid(w, r, 10) },
		"json":    func(w io.Writer) error { return JSON(w, r) },
	} {
		err := write(brokenWriter{})
		if !errors.Is(err, os.ErrPermission) || micronet.KindOf(err) != micronet.Refused {
			t.Errorf("%s: %v, want the error of the writer", name, err)
		}
	}
}
