package config

import "fmt"

// maxWord is the longest word worth a guess, in bytes.
const maxWord = 64

// meant is the end of a sentence about a word that is not known: " — did you
// mean "x"?", or nothing when no known word is near.
func meant(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, distance := "", min(len(word)/3+2, len(word))
	for _, k := range known {
		if d := edits(word, k); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" — did you mean %q?", best)
}

// edits is how many letters must be changed, added, left out or swapped with
// their neighbour to make b of a.
func edits(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, last, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(t)]
}
