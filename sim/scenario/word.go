package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	// maxWord bounds the words whose distance is computed: longer ones are no typing mistakes.
	maxWord = 32
	// maxListed is how many valid words a mistake lists.
	maxListed = 40
)

// suggest is the remedy for a word that is not among the valid ones.
func suggest(word string, valid []string) string {
	if n := nearest(word, valid); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(valid) == 0 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(valid))
	more := ""
	if len(sorted) > maxListed {
		sorted, more = sorted[:maxListed], ", …"
	}
	return "valid are " + strings.Join(sorted, ", ") + more
}

// nearest returns the valid word that was probably meant, "" when none is near: at most a third
// of the letters, rounded up, may be wrong.
func nearest(word string, valid []string) string {
	fold := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "-", "_") }
	best, least := "", (len(word)+2)/3+1
	for _, v := range valid {
		if d := distance(fold(word), fold(v)); d < least {
			best, least = v, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that turn a
// into b (optimal string alignment).
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return max(len(a), len(b))
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := range len(a) {
		before, above, row := rows[(i+2)%3], rows[i%3], rows[(i+1)%3]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
