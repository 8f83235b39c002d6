package config

import (
	"fmt"
	"io"
	"sort"
	"strings"
)

// Problem is one thing wrong with a configuration.
type Problem struct {
	File    string
	Line    int // from 1; 0: the file as a whole
	Column  int // from 1, in characters
	Warning bool
	Message string
}

// String is the line an editor can jump by.
func (p Problem) String() string {
	kind := "error"
	if p.Warning {
		kind = "warning"
	}
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s: %s", p.File, kind, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, kind, p.Message)
}

// Problems is everything found wrong, in the order of the files. As an error it
// holds at least one Problem that is not a warning.
type Problems struct {
	Files int // how many files were read, or ought to have been
	List  []Problem
}

// Errors is how many of the problems make the configuration unusable.
func (p *Problems) Errors() int { return len(p.List) - p.Warnings() }

// Warnings is how many do not.
func (p *Problems) Warnings() int {
	n := 0
	for _, each := range p.List {
		if each.Warning {
			n++
		}
	}
	return n
}

// Error is the problems, one a line, and the summary.
func (p *Problems) Error() string {
	var b strings.Builder
	p.WriteTo(&b)
	return strings.TrimSuffix(b.String(), "\n")
}

// WriteTo prints the problems, one a line, and the summary; nothing at all when
// there are none.
func (p *Problems) WriteTo(w io.Writer) (int64, error) {
	if len(p.List) == 0 {
		return 0, nil
	}
	var b strings.Builder
	for _, each := range p.List {
		b.WriteString(each.String())
		b.WriteByte('\n')
	}
	b.WriteString(p.Summary())
	b.WriteByte('\n')
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Summary counts, in one line: "2 files, 3 errors, 1 warning — configuration not usable".
func (p *Problems) Summary() string {
	verdict := "configuration usable"
	if p.Errors() > 0 {
		verdict = "configuration not usable"
	}
	return fmt.Sprintf("%s, %s, %s — %s",
		count(p.Files, "file"), count(p.Errors(), "error"), count(p.Warnings(), "warning"), verdict)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// sortBy puts the problems in the order of files, then of lines; those found at
// one place stay in the order they were found.
func (p *Problems) sortBy(files []string) {
	order := make(map[string]int, len(files))
	for i, f := range files {
		order[f] = i
	}
	sort.SliceStable(p.List, func(i, j int) bool {
		a, b := p.List[i], p.List[j]
		if a.File != b.File {
			return order[a.File] < order[b.File]
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
}
