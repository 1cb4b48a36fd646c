package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Name is the file that Write leaves for `go build -overlay`.
const Name = "overlay.json"

// Edit replaces a piece of text that a file has exactly once.
type Edit struct{ Old, New string }

// Write writes a changed copy of each file, and overlay.json, into a folder, which it makes if it must. It returns
// the path of overlay.json.
func Write(dir string, files map[string][]Edit) (path string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for i, file := range slices.Sorted(maps.Keys(files)) {
		from, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(file)))
		if err := change(from, to, files[file]); err != nil {
			return "", err
		}
		replace[from] = to
	}
	list, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "  ")
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, Name)
	return path, os.WriteFile(path, list, 0o644)
}

// change copies a file with edits.
func change(from, to string, edits []Edit) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	text, err := Apply(string(raw), edits)
	if err != nil {
		return fmt.Errorf("%s %w", from, err)
	}
	return os.WriteFile(to, []byte(text), 0o644)
}

// Apply makes edits, one after another. The error names every piece of text that is not there exactly once.
func Apply(text string, edits []Edit) (string, error) {
	var errs []error
	for _, e := range edits {
		if n := strings.Count(text, e.Old); n != 1 {
			errs = append(errs, fmt.Errorf("has %q %d times, not once: the source has moved on", e.Old, n))
			continue
		}
		text = strings.Replace(text, e.Old, e.New, 1)
	}
	return text, errors.Join(errs...)
}
