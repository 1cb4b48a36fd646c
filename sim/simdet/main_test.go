package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The anchors are all there in the toolchain that runs the tests.
func TestOverlay(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"overlay.json", "rand.go", "select.go", "time.go", "proc.go"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestMissingAnchors(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(dir, "a.go")
	if err := os.WriteFile(from, []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := change(from, filepath.Join(dir, "b.go"), []edit{{"one", "1"}, {"two", "2"}, {"three", "3"}})
	if err == nil || !strings.Contains(err.Error(), `"two" 2 times`) || !strings.Contains(err.Error(), `"three" 0 times`) {
		t.Errorf("%v", err)
	}
}
