package micronet

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// SECURITY.md lists the requirements Q1 to Q44 of the threat model and the hostile inputs H1 to H36.
const (
	requirements  = 44
	hostileInputs = 36
)

// securityRow is a row of the table: an id, what is checked, and by which tests or why by none.
var securityRow = regexp.MustCompile(`(?m)^\| ([QH][0-9]+) \| ([^|]+) \| ([^|]+) \|$`)

// noTest begins a cell that names no test, and says why.
var noTest = regexp.MustCompile(`^(does not apply|not yet): .{20,}`)

// numbered is a test that is named after an id.
var numbered = regexp.MustCompile(`^Test([QH][0-9]+)_`)

// checkTable compares the table with the tests that there are.
func checkTable(text string, tests map[string]bool) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	want := map[string][]string{} // by id, the tests that are named after it
	for name := range tests {
		if m := numbered.FindStringSubmatch(name); m != nil {
			want[m[1]] = append(want[m[1]], name)
		}
	}
	rows := map[string]bool{}
	for _, m := range securityRow.FindAllStringSubmatch(text, -1) {
		id, cell := m[1], m[3]
		if rows[id] {
			fault("%s has two rows", id)
		}
		rows[id] = true
		checkRow(id, cell, want[id], tests, fault)
	}
	for _, id := range allIDs() {
		if !rows[id] {
			fault("%s has no row", id)
		}
		delete(want, id)
	}
	for id, names := range want {
		fault("%s is no id of the table: %v", id, names)
	}
	slices.Sort(faults)
	return faults
}

func checkRow(id, cell string, own []string, tests map[string]bool, fault func(string, ...any)) {
	var named []string
	for _, m := range regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(cell, -1) {
		named = append(named, m[1])
		if !tests[m[1]] {
			fault("%s names %s: there is no such test", id, m[1])
		}
	}
	slices.Sort(own)
	for _, name := range own {
		if !slices.Contains(named, name) {
			fault("%s does not name %s; the row needs: `%s`", id, name, strings.Join(own, "` `"))
		}
	}
	switch {
	case len(own) == 0 && !noTest.MatchString(cell):
		fault("%s names no Test%s_… and gives no reason: %q", id, id, cell)
	case len(own) > 0 && noTest.MatchString(cell):
		fault("%s has tests and a reason not to have any", id)
	}
}

func allIDs() (ids []string) {
	for i := range requirements {
		ids = append(ids, "Q"+strconv.Itoa(i+1))
	}
	for i := range hostileInputs {
		ids = append(ids, "H"+strconv.Itoa(i+1))
	}
	return ids
}

// testFunctions are all tests and fuzz targets of the module.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && strings.HasPrefix(d.Name(), ".") && path != "." {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && regexp.MustCompile(`^(Test|Fuzz)[A-Z]`).MatchString(fn.Name.Name) {
				out[fn.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func document(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

var update = flag.Bool("update", false, "write the names of tests into the table of SECURITY.md")

// withTests is the text with all tests that are named after an id in its row. Fuzz targets stay.
func withTests(text string, tests map[string]bool) string {
	return securityRow.ReplaceAllStringFunc(text, func(row string) string {
		m := securityRow.FindStringSubmatch(row)
		var names []string
		for name := range tests {
			if n := numbered.FindStringSubmatch(name); n != nil && n[1] == m[1] {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return row
		}
		slices.Sort(names)
		names = append(names, regexp.MustCompile("Fuzz[A-Za-z0-9]+").FindAllString(m[3], -1)...)
		return fmt.Sprintf("| %s | %s | `%s` |", m[1], m[2], strings.Join(names, "` `"))
	})
}

// TestSecurityTable holds the table of SECURITY.md against the tests that there are.
func TestSecurityTable(t *testing.T) {
	if *update {
		if err := os.WriteFile("SECURITY.md", []byte(withTests(document(t, "SECURITY.md"), testFunctions(t))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range checkTable(document(t, "SECURITY.md"), testFunctions(t)) {
		t.Error("SECURITY.md: " + f)
	}
}

// TestSecurityTableCatches proves that the check can fail.
func TestSecurityTableCatches(t *testing.T) {
	var rows []string
	tests := map[string]bool{"FuzzX": true}
	for _, id := range allIDs() {
		tests["Test"+id+"_A"] = true
		rows = append(rows, fmt.Sprintf("| %s | what | `Test%s_A` `FuzzX` |", id, id))
	}
	good := strings.Join(rows, "\n")
	if f := checkTable(good, tests); f != nil {
		t.Fatalf("a good table: %v", f)
	}
	more := maps.Clone(tests)
	more["TestQ1_B"], more["TestQ45_A"] = true, true
	less := maps.Clone(tests)
	delete(less, "TestQ1_A")
	if f := checkTable(withTests(strings.ReplaceAll(good, "`Test", "`Testx"), tests), tests); f != nil {
		t.Errorf("a table that was brought up to date: %v", f)
	}
	for name, c := range map[string]struct {
		text  string
		tests map[string]bool
		want  int
	}{
		"a row is missing":            {strings.Replace(good, "| Q7 |", "| 7 |", 1), tests, 1},
		"a row twice":                 {good + "\n" + rows[0], tests, 1},
		"a test that is not named":    {good, more, 2},
		"a test that does not exist":  {good, less, 2},
		"a fuzz target alone":         {strings.Replace(good, "`TestQ1_A` ", "", 1), less, 1},
		"a reason, and a test":        {strings.Replace(good, "| `TestQ1_A` ", "| does not apply: there is nothing to be tested `TestQ1_A` ", 1), tests, 1},
		"a reason that is none":       {strings.Replace(good, "`TestQ1_A` `FuzzX`", "does not apply: no", 1), less, 1},
		"a reason":                    {strings.Replace(good, "`TestQ1_A` `FuzzX`", "does not apply: there are no relays in this version", 1), less, 0},
		"a reason where a test could": {strings.Replace(good, "`TestQ1_A` `FuzzX`", "not yet: nobody has found the time to do it", 1), tests, 2},
	} {
		if f := checkTable(c.text, c.tests); len(f) != c.want {
			t.Errorf("%s: %d faults, want %d: %v", name, len(f), c.want, f)
		}
	}
}

// mentioned finds the verbs of our binary that a text names: "node root export" in `micro-net node root export FILE`.
func mentioned(text string) (verbs []string) {
	for _, m := range regexp.MustCompile("(?:`|\\$ (?:sudo )?)micro-net((?: [a-z]+)+)(?:`|[ \n])").FindAllStringSubmatch(text, -1) {
		verbs = append(verbs, strings.TrimSpace(m[1]))
	}
	slices.Sort(verbs)
	return slices.Compact(verbs)
}

// TestSecurityVerbs demands that the verbs which the pages on security rely on exist, or are said not to, and not both.
func TestSecurityVerbs(t *testing.T) {
	bin := buildBinary(t)
	page := document(t, "SECURITY.md")
	promises, rest, listed := strings.Cut(page, "## Not in this version yet")
	list, rest, _ := strings.Cut(rest, "\n## ")
	missing := map[string]bool{}
	for _, verb := range mentioned(list) {
		if missing[verb] = true; hasVerb(t, bin, verb) {
			t.Errorf("SECURITY.md lists `micro-net %s` as missing: it is there", verb)
		}
	}
	if listed && len(missing) == 0 {
		t.Error("SECURITY.md has a list of what is missing, and nothing is in it")
	}
	used := mentioned(promises + rest + document(t, "docs/security.md"))
	if len(used) < 10 {
		t.Errorf("only %v are named: is the pattern right?", used)
	}
	for _, verb := range used {
		first, _, _ := strings.Cut(verb, " ")
		if !missing[verb] && !missing[first] && !hasVerb(t, bin, verb) {
			t.Errorf("`micro-net %s` does not exist, and SECURITY.md does not say so", verb)
		}
	}
}

func hasVerb(t *testing.T, bin, verb string) bool {
	t.Helper()
	help, err := exec.Command(bin, append(strings.Fields(verb), "--help")...).CombinedOutput()
	if err != nil {
		return false
	}
	return regexp.MustCompile(`(?m)^  micro-net ` + verb + `( |$)`).Match(help)
}

// fixedVersions are the oldest versions that have the fixes of what is known about the libraries that read bytes
// of strangers. memberlist has no entry in the vulnerability database: only this list keeps it.
var fixedVersions = []struct{ module, version, why string }{
	{"github.com/hashicorp/memberlist", "v0.7.0", "panics on short and empty messages, unbounded decompression (issues 357, 361, 363, 368, 369)"},
	{"github.com/quic-go/quic-go", "v0.37.7", "CVE-2023-46239: panic in the handshake"},
	{"github.com/quic-go/quic-go", "v0.40.1", "CVE-2023-49295: memory by path validation"},
	{"github.com/quic-go/quic-go", "v0.42.0", "CVE-2024-22189: memory by NEW_CONNECTION_ID"},
	{"github.com/quic-go/quic-go", "v0.48.2", "CVE-2024-53259: forged ICMP packet too big"},
	{"github.com/quic-go/quic-go", "v0.50.1", "CVE-2025-29785: panic in path probing"},
	{"github.com/quic-go/quic-go", "v0.54.1", "CVE-2025-59530: panic on an early HANDSHAKE_DONE"},
	{"github.com/quic-go/quic-go", "v0.57.0", "CVE-2025-64702: memory by HTTP/3 headers"},
	{"github.com/quic-go/quic-go", "v0.59.1", "CVE-2026-40898: memory by HTTP/3 trailers"},
	{"github.com/miekg/dns", "v1.1.25", "CVE-2017-15133, CVE-2018-17419, CVE-2019-19794: idle TCP, zone parser, predictable ids"},
}

// required reads the versions of a go.mod, and which are direct.
func required(t *testing.T, gomod string) (versions map[string]string, direct []string) {
	t.Helper()
	versions = map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^(?:require)?\s+(\S+\.\S+/\S+) (v\S+)( // indirect)?$`).FindAllStringSubmatch(gomod, -1) {
		versions[m[1]] = m[2]
		if m[3] == "" {
			direct = append(direct, m[1])
		}
	}
	return versions, direct
}

// older compares two versions of the form v1.2.3; what follows a hyphen makes one older than without.
func older(a, b string) bool {
	parse := func(v string) (n [4]int) {
		core, _, pre := strings.Cut(strings.TrimPrefix(v, "v"), "-")
		for i, s := range strings.SplitN(core, ".", 3) {
			n[i], _ = strconv.Atoi(s)
		}
		if !pre {
			n[3] = 1
		}
		return n
	}
	x, y := parse(a), parse(b)
	return slices.Compare(x[:], y[:]) < 0
}

func lacking(t *testing.T, gomod, module string) (faults []string) {
	t.Helper()
	versions, _ := required(t, gomod)
	for _, f := range fixedVersions {
		if module != "" && f.module != module {
			continue
		}
		if have := versions[f.module]; have == "" || older(have, f.version) {
			faults = append(faults, fmt.Sprintf("%s %s lacks %s (%s)", f.module, cmp.Or(have, "is not there and"), f.why, f.version))
		}
	}
	return faults
}

// TestQ41_DependenciesHaveTheFixes: nobody goes back behind a fix unseen. The module is also used as go.mod says
// it, without a replacement.
func TestQ41_DependenciesHaveTheFixes(t *testing.T) {
	gomod := document(t, "go.mod")
	for _, f := range lacking(t, gomod, "") {
		t.Error(f)
	}
	if strings.Contains(gomod, "replace") {
		t.Error("go.mod replaces a module")
	}
	for name, bad := range map[string]string{
		"an old memberlist": regexp.MustCompile(`memberlist v\S+`).ReplaceAllString(gomod, "memberlist v0.6.9"),
		"a pre-release":     regexp.MustCompile(`memberlist v\S+`).ReplaceAllString(gomod, "memberlist v0.7.0-rc1"),
		"no quic-go":        regexp.MustCompile(`.*quic-go/quic-go.*\n`).ReplaceAllString(gomod, ""),
		"an old miekg/dns":  regexp.MustCompile(`miekg/dns v\S+`).ReplaceAllString(gomod, "miekg/dns v1.1.9"),
	} {
		if bad == gomod || lacking(t, bad, "") == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
	if !strings.Contains(document(t, "SECURITY.md"), "govulncheck") {
		t.Error("SECURITY.md does not say how to look for known vulnerabilities")
	}
}

// TestH5_QUICHasTheFixes: floods of frames and early frames inside QUIC are quic-go's to bear.
func TestH5_QUICHasTheFixes(t *testing.T) {
	for _, f := range lacking(t, document(t, "go.mod"), "github.com/quic-go/quic-go") {
		t.Error(f)
	}
}

// TestQ29_NoHTTP3: two of quic-go's vulnerabilities were in HTTP/3, which nobody needs here.
func TestQ29_NoHTTP3(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./cmd/micro-net").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "github.com/quic-go/quic-go\n") {
		t.Fatal("quic-go is not linked at all: is the list right?")
	}
	for _, dep := range strings.Fields(string(out)) {
		if strings.HasPrefix(dep, "github.com/quic-go/") && strings.Contains(dep, "http3") {
			t.Errorf("the program links %s", dep)
		}
	}
}

// TestQ43_DependenciesAreFewAndExplained: at most 25, each with a reason in ARCHITECTURE.md.
func TestQ43_DependenciesAreFewAndExplained(t *testing.T) {
	_, direct := required(t, document(t, "go.mod"))
	if len(direct) < 10 || len(direct) > 25 {
		t.Errorf("%d direct dependencies, want 10 to 25", len(direct))
	}
	_, table, ok := strings.Cut(document(t, "ARCHITECTURE.md"), "## Direct dependencies")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no list of dependencies")
	}
	for _, module := range direct {
		name := strings.TrimPrefix(module, "github.com/")
		if x, ok := strings.CutPrefix(module, "golang.org/x/"); ok {
			name = "x/" + x
		}
		name = regexp.MustCompile(`/v[0-9]+$`).ReplaceAllString(name, "")
		if !strings.Contains(table, name) {
			t.Errorf("ARCHITECTURE.md does not say why %s is needed", module)
		}
	}
}

// TestQ44_HowToReport: what somebody who has found something needs to know.
func TestQ44_HowToReport(t *testing.T) {
	text := document(t, "SECURITY.md")
	for _, want := range []string{"## Reporting", "security/advisories", "90 days", "## Supported versions", "GHSA"} {
		if !strings.Contains(text, want) {
			t.Errorf("SECURITY.md does not say %q", want)
		}
	}
}

// unitOfREADME is the systemd unit that the README shows.
func unitOfREADME(t *testing.T) string {
	t.Helper()
	for _, f := range fences(t, "README.md") {
		if strings.Contains(f.text, "[Service]") {
			return f.text
		}
	}
	t.Fatal("the README shows no unit")
	return ""
}

// TestQ39_Unit: the unit of the README takes from the daemon what it does not need.
func TestQ39_Unit(t *testing.T) {
	unit := unitOfREADME(t)
	for _, want := range []string{
		"\nNoNewPrivileges=yes\n", "\nProtectSystem=strict\n", "\nCapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE\n", "\nMemoryMax=",
		"\nSystemCallFilter=@system-service\n", "\nStateDirectoryMode=0700\n", "\nUMask=0077\n", "\nRuntimeDirectory=micro-net\n",
	} {
		if !strings.Contains(unit, want) {
			t.Errorf("the unit has no line %q", strings.TrimSpace(want))
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("no systemd-analyze here: its opinion of the unit is not known")
	}
	file := filepath.Join(t.TempDir(), "micro-net.service")
	unit = strings.Replace(unit, "/usr/local/bin/micro-net", "/bin/true", 1)
	if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=30", file).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze finds the unit exposed above 3.0: %v\n%s", err, out)
	}
}
