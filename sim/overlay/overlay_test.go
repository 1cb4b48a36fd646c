package overlay

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a", "x.go"), filepath.Join(dir, "b", "x.go")
	for _, f := range []string{a, b} {
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, []byte("one two in "+f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := Write(filepath.Join(dir, "out"), map[string][]Edit{a: {{"one", "1"}, {"1 two", "2"}}, b: {{"two", "3"}}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list struct{ Replace map[string]string }
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{a: "2 in " + a, b: "one 3 in " + b} {
		got, err := os.ReadFile(list.Replace[from])
		if err != nil || string(got) != want {
			t.Errorf("%s became %q, %v, want %q", from, got, err, want)
		}
	}
}

func TestMissingAnchors(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "a.go")
	if err := os.WriteFile(from, []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Write(dir, map[string][]Edit{from: {{"one", "1"}, {"two", "2"}, {"three", "3"}}})
	if err == nil || !strings.Contains(err.Error(), `"two" 2 times`) || !strings.Contains(err.Error(), `"three" 0 times`) {
		t.Errorf("%v", err)
	}
	if _, err := Write(dir, map[string][]Edit{filepath.Join(dir, "none.go"): nil}); err == nil {
		t.Error("a file that is not there was changed")
	}
}
