package config

import (
	"fmt"
	"regexp"
)

// unquoted matches a line whose value begins with what is punctuation to YAML: an IPv6 address in
// brackets with a port, a star with a port, or an @.
var unquoted = regexp.MustCompile(`^\s*(?:-\s+)*(?:[\w.-]+:\s+)?(\[[0-9A-Fa-f:.%]*\]:\d*|\*:\d*|@\S*)\s*(?:#.*)?$`)

// withQuotes adds to a fault what is probably missing on its line. Other faults stay as they are.
func withQuotes(src *source, err error) error {
	f, ok := err.(*Fault)
	if !ok || f.Line == 0 {
		return err
	}
	if m := unquoted.FindStringSubmatch(src.line(f.Line)); m != nil {
		f.Fix = fmt.Sprintf("put the value in quotes: %q", shorten(m[1]))
	}
	return f
}
