package micronet

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fence is one fenced block of a Markdown file.
type fence struct{ lang, text string }

func fences(t *testing.T, file string) []fence {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []fence
	open := false
	for _, line := range strings.Split(string(raw), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```") && !open:
			out, open = append(out, fence{lang: strings.TrimPrefix(trimmed, "```")}), true
		case strings.HasPrefix(trimmed, "```"):
			open = false
		case open:
			out[len(out)-1].text += line + "\n"
		}
	}
	return out
}

// command finds the uses of our binary in a line of a console block: "$ sudo micro-net up --join @token".
var command = regexp.MustCompile(`micro-net ([a-z][a-z ]*[a-z]?)((?: +[^|>&;)` + "`" + `]+)*)`)

func buildBinary(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "micro-net")
	if out, err := exec.Command("go", "build", "-o", bin, "./cmd/micro-net").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// TestReadmeCommandsExist runs the help of each command that the README shows, and demands the
// flags it uses. The commands themselves run in the end-to-end tests.
func TestReadmeCommandsExist(t *testing.T) {
	bin := buildBinary(t)
	seen := 0
	for _, f := range fences(t, "README.md") {
		if f.lang != "console" {
			continue
		}
		for _, line := range strings.Split(f.text, "\n") {
			for _, m := range command.FindAllStringSubmatch(line, -1) {
				seen++
				checkCommand(t, bin, strings.Fields(m[1])[0], strings.Fields(m[0]))
			}
		}
	}
	if seen < 5 {
		t.Errorf("found %d commands in the README, there must be more: is the pattern right?", seen)
	}
}

func checkCommand(t *testing.T, bin, verb string, words []string) {
	t.Helper()
	help, err := exec.Command(bin, verb, "--help").CombinedOutput()
	if err != nil {
		t.Errorf("%v: micro-net %s --help: %v\n%s", words, verb, err, help)
		return
	}
	for _, w := range words {
		if strings.HasPrefix(w, "--") {
			name, _, _ := strings.Cut(w, "=")
			if !strings.Contains(string(help), name) {
				t.Errorf("%v: the help of %s does not know %s", words, verb, name)
			}
		}
	}
}

// TestReadmeVerbs demands that each verb in the README's table exists and has an example.
func TestReadmeVerbs(t *testing.T) {
	bin := buildBinary(t)
	raw, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(raw), "| verb | what it does |")
	if !ok {
		t.Fatal("the README has no table of verbs")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for _, row := range strings.Split(table, "\n") {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, m := range regexp.MustCompile("`([a-z]+)").FindAllStringSubmatch(cell, -1) {
			help, err := exec.Command(bin, m[1], "--help").CombinedOutput()
			if err != nil || !strings.Contains(string(help), "Example") {
				t.Errorf("micro-net %s --help: %v, or no example:\n%s", m[1], err, help)
			}
		}
	}
}

// TestReadmeFiles validates the service files that the README shows, with the real binary.
func TestReadmeFiles(t *testing.T) {
	bin := buildBinary(t)
	seen := 0
	for _, f := range fences(t, "README.md") {
		if f.lang != "yaml" {
			continue
		}
		seen++
		file := filepath.Join(t.TempDir(), "web.yaml")
		if err := os.WriteFile(file, []byte(unindent(f.text)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(bin, "validate", file).CombinedOutput(); err != nil {
			t.Errorf("micro-net validate: %v\n%s\n%s", err, out, f.text)
		}
	}
	if seen == 0 {
		t.Error("the README shows no service file")
	}
}

// unindent removes the indentation of a block inside a list.
func unindent(s string) string {
	lines := strings.Split(s, "\n")
	indent := len(lines[0]) - len(strings.TrimLeft(lines[0], " "))
	for i, l := range lines {
		lines[i] = strings.TrimPrefix(l, strings.Repeat(" ", indent))
	}
	return strings.Join(lines, "\n")
}

// TestDocuments demands that links lead to files, make targets exist, and each file has one title.
func TestDocuments(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, more...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(raw), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			}
		}
		for _, m := range regexp.MustCompile("(?:`|\\$ )make ([a-z0-9]+)").FindAllStringSubmatch(string(raw), -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s names `make %s`: there is no such target", file, m[1])
			}
		}
		if n := len(regexp.MustCompile(`(?m)^# `).FindAllString(withoutFences(string(raw)), -1)); n != 1 {
			t.Errorf("%s has %d titles, want 1", file, n)
		}
	}
}

func withoutFences(s string) string {
	return regexp.MustCompile("(?s)```.*?```").ReplaceAllString(s, "")
}
