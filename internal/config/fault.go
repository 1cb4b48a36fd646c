package config

import (
	"fmt"
	"slices"
)

// Fault is one mistake in a file: where it is, what is wrong, and what would be right.
type Fault struct {
	File string
	Line int    // from 1; 0 when the whole file is meant
	Key  string // "services[2].port", "" for the file
	What string
	Fix  string
}

// Error prints "file:line: key: what; fix" on one line.
func (f *Fault) Error() string {
	s := f.File
	if f.Line > 0 {
		s = fmt.Sprintf("%s:%d", s, f.Line)
	}
	if f.Key != "" {
		s += ": " + f.Key
	}
	s += ": " + f.What
	if f.Fix != "" {
		s += "; " + f.Fix
	}
	return s
}

// nearest returns the candidate that word was probably meant to be, "" when none is near.
func nearest(word string, candidates []string) string {
	best, bestDistance := "", len(word)/2+2
	for _, c := range candidates {
		if d := editDistance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// maxWord bounds the words whose distance is computed: longer ones are no typing mistakes.
const maxWord = 64

// editDistance counts the insertions, deletions and substitutions between two words (Levenshtein).
func editDistance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
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

// suggest is the remedy for a word that is not among the valid ones.
func suggest(word string, valid []string) string {
	if n := nearest(word, valid); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	sorted := slices.Clone(valid)
	slices.Sort(sorted)
	return fmt.Sprintf("valid are %v", sorted)
}
