package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/micro/micro-net/sim/overlay"
)

// pinned is the version of Go that the changes were made for.
const pinned = "go1.26"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: simdet FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "simdet:", err)
		os.Exit(1)
	}
}

// write writes the changed files, and overlay.json, into a folder.
func write(dir string) error {
	if v := runtime.Version(); v != pinned && !strings.HasPrefix(v, pinned+".") {
		return fmt.Errorf("this is %s, and the changes were made for %s: look at each of them again", v, pinned)
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("where is Go: %w", err)
	}
	files := map[string][]overlay.Edit{}
	for name, edits := range changes() {
		files[filepath.Join(strings.TrimSpace(string(out)), "src", "runtime", name)] = edits
	}
	_, err = overlay.Write(dir, files)
	return err
}
