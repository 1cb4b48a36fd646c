package config

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

const examples = "../../testdata/services"

// files lists the examples in a folder, golden files left out.
func files(t *testing.T, folder string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(examples, folder, "*.*"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no examples in %s: %v", folder, err)
	}
	var out []string
	for _, path := range all {
		if filepath.Ext(path) != ".golden" {
			out = append(out, path)
		}
	}
	return out
}

// golden compares with the file beside an example.
func golden(t *testing.T, path, got string) {
	t.Helper()
	path += ".golden"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", path, got, want)
	}
}

func parseExample(t *testing.T, path string) ([]Service, []error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return ParseServices(filepath.Base(path), data)
}

func TestGoodExamples(t *testing.T) {
	for _, path := range files(t, "good") {
		services, errs := parseExample(t, path)
		if len(errs) > 0 {
			t.Errorf("%s: %v", path, errors.Join(errs...))
			continue
		}
		roundTrip(t, services)
		text, err := json.MarshalIndent(services, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, path, string(text)+"\n")
	}
}

func TestBadExamples(t *testing.T) {
	for _, path := range files(t, "bad") {
		services, errs := parseExample(t, path)
		if len(errs) == 0 {
			t.Errorf("%s is taken", path)
		}
		var b strings.Builder
		for _, err := range errs {
			b.WriteString(err.(*Fault).Picture() + "\n")
		}
		for i := range services {
			b.WriteString("taken: " + services[i].ID + "\n")
		}
		golden(t, path, b.String())
	}
}
