package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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

// write writes the changed files and overlay.json into a folder.
func write(dir string) error {
	if v := runtime.Version(); v != pinned && !strings.HasPrefix(v, pinned+".") {
		return fmt.Errorf("this is %s, and the changes were made for %s: look at each of them again", v, pinned)
	}
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("where is Go: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	replace := map[string]string{}
	for name, edits := range changes() {
		from := filepath.Join(strings.TrimSpace(string(out)), "src", "runtime", name)
		to := filepath.Join(dir, name)
		if err := change(from, to, edits); err != nil {
			return err
		}
		replace[from] = to
	}
	overlay, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644)
}

// change copies a file with edits.
func change(from, to string, edits []edit) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	text := string(raw)
	var errs []error
	for _, e := range edits {
		if n := strings.Count(text, e.old); n != 1 {
			errs = append(errs, fmt.Errorf("%s has %q %d times, not once: Go has moved on", from, e.old, n))
			continue
		}
		text = strings.Replace(text, e.old, e.new, 1)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.WriteFile(to, []byte(text), 0o644)
}
