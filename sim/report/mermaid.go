package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Bounds of a diagram: Mermaid refuses a text of more than 50,000 characters, and a diagram with
// more columns than a screen helps nobody.
const (
	maxMermaid      = 48_000 // bytes
	maxMessages     = 400
	maxParticipants = 40
	maxMermaidLabel = 80 // bytes of a label before it is escaped
)

// Mermaid writes a sequence diagram of the last n events that have a node and a peer, at most 400 of
// them, over at most 40 nodes. Where that is too much the oldest events are left out. The text is for
// a Markdown block with the language mermaid.
func Mermaid(w io.Writer, r *Run, n int) error {
	events := lastMessages(r.Log, min(n, maxMessages))
	var b bytes.Buffer
	for {
		b.Reset()
		diagram(&b, r, events)
		if b.Len() <= maxMermaid || len(events) == 0 {
			return flush(w, "report.mermaid", &b)
		}
		events = events[len(events)/8+1:]
	}
}

// lastMessages returns the last n events between two nodes, oldest first.
func lastMessages(log []Event, n int) []*Event {
	var found []*Event
	names := map[string]bool{}
	for i := len(log) - 1; i >= 0 && len(found) < n; i-- {
		e := &log[i]
		if e.Node == "" || e.Peer == "" {
			continue
		}
		names[e.Node], names[e.Peer] = true, true
		if len(names) > maxParticipants {
			break
		}
		found = append(found, e)
	}
	slices.Reverse(found)
	return found
}

func diagram(b *bytes.Buffer, r *Run, events []*Event) {
	b.WriteString("sequenceDiagram\n")
	fmt.Fprintf(b, "  %%%% %s, seed %d, the last %d events between nodes\n", mermaidComment(r.Scenario), r.Seed, len(events))
	if len(events) == 0 {
		b.WriteString("  participant none as no events between nodes\n")
	}
	id := participants(b, events)
	for _, e := range events {
		text := seconds(e.At) + " " + e.Kind
		if e.Detail != "" {
			text += ": " + e.Detail
		}
		fmt.Fprintf(b, "  %s->>%s: %s\n", id[e.Node], id[e.Peer], mermaidText(text))
	}
}

// participants declares the nodes under ids of ours, so that no name can be read as syntax.
func participants(b *bytes.Buffer, events []*Event) map[string]string {
	id := map[string]string{}
	for _, e := range events {
		for _, name := range []string{e.Node, e.Peer} {
			if id[name] == "" {
				id[name] = fmt.Sprintf("p%d", len(id)+1)
				fmt.Fprintf(b, "  participant %s as %s\n", id[name], mermaidText(name))
			}
		}
	}
	return id
}

// mermaidText writes each character that could mean something to Mermaid as "#code;", its own escape.
// The word "end" closes blocks wherever it stands, so that its first letter is escaped as well.
func mermaidText(s string) string {
	var b strings.Builder
	words := strings.Fields(clip(oneLine(s), maxMermaidLabel))
	for i, word := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		for j, r := range word {
			if harmless(r) && (j > 0 || !strings.HasPrefix(strings.ToLower(word), "end")) {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, "#%d;", r)
			}
		}
	}
	if b.Len() == 0 {
		return "#45;"
	}
	return b.String()
}

func harmless(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._/,=+…", r)
}

// mermaidComment keeps a name inside its comment: the parser reads directives such as %%{init}.
func mermaidComment(s string) string {
	return strings.Map(func(r rune) rune {
		if harmless(r) || r == ' ' || r == '-' {
			return r
		}
		return '.'
	}, clip(oneLine(s), maxMermaidLabel))
}
