package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/micro-net/sim/overlay"
)

// The anchors are all there in the toolchain that runs the tests.
func TestOverlay(t *testing.T) {
	dir := t.TempDir()
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(filepath.Join(dir, overlay.Name))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rand.go", "select.go", "time.go", "sema.go", "proc.go"} {
		if !strings.Contains(string(list), "/runtime/"+name) {
			t.Errorf("%s is not changed:\n%s", name, list)
		}
	}
}
