package scenario

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocsParse: the scenarios that the documentation shows are in order, and so is every word it
// names.
func TestDocsParse(t *testing.T) {
	raw, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, m := range regexp.MustCompile("(?s)```yaml\n(name:.*?)```").FindAllStringSubmatch(string(raw), -1) {
		found++
		if _, err := Parse("docs/simulator.md", []byte(m[1])); err != nil {
			t.Error(err)
		}
	}
	if found == 0 {
		t.Error("the documentation shows no scenario")
	}
	for verb := range verbs() {
		if !strings.Contains(string(raw), "`"+verb+"`") {
			t.Errorf("the documentation does not name the verb %s", verb)
		}
	}
}
