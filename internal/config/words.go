package config

import (
	"fmt"
	"slices"
	"strings"
)

// maxWord bounds the words whose distance is computed: longer ones are no typing mistakes.
const maxWord = 64

// suggest is the remedy for a word that is not among the valid ones.
func suggest(word string, valid []string) string {
	if n := nearest(word, valid); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return "valid are " + strings.Join(slices.Sorted(slices.Values(valid)), ", ")
}

// Nearest returns the name that was probably meant, "" when none is near or has a letter in common.
func Nearest(word string, names []string) string {
	n := nearest(word, names)
	if editDistance(strings.ToLower(word), strings.ToLower(n)) >= len(word) {
		return ""
	}
	return n
}

// nearest returns the candidate that word was probably meant to be, "" when none is near: at
// most half of its letters, rounded up, may be wrong.
func nearest(word string, candidates []string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, bestDistance := "", (len(word)+1)/2+1
	for _, c := range candidates {
		if d := editDistance(word, strings.ReplaceAll(strings.ToLower(c), "-", "_")); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions and substitutions between two words (Levenshtein).
func editDistance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
