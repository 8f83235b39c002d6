package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// row is one line of the table: a figure of ours, of what was measured beside it
// in the same run, and of what was measured before.
type row struct {
	figure, unit string
	ours         string
	beside       string // measured in the same run, with its name
	known        known
}

// table is printed once, at the end.
type table struct{ rows []row }

func (t *table) add(key, figure, unit, ours string) *row {
	t.rows = append(t.rows, row{figure: figure, unit: unit, ours: ours, known: peers[key]})
	return &t.rows[len(t.rows)-1]
}

func (t *table) print(w io.Writer) {
	if len(t.rows) == 0 {
		return
	}
	lines := [][]string{{"figure", "unit", "Foyer", "beside it, same run", "Asterisk 22.10.1 *", "FreeSWITCH 1.11.1 *", "to reach"}}
	for _, r := range t.rows {
		lines = append(lines, []string{r.figure, r.unit, r.ours, r.beside, r.known.asterisk, r.known.freeswitch, r.known.goal})
	}
	width := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, c := range l {
			width[i] = max(width[i], len(c))
		}
	}
	for n, l := range lines {
		for i, c := range l {
			l[i] = c + strings.Repeat(" ", width[i]-len(c))
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(l, "  "), " "))
		if n == 0 {
			for i := range l {
				l[i] = strings.Repeat("-", width[i])
			}
			fmt.Fprintln(w, strings.Join(l, "  "))
		}
	}
	fmt.Fprintf(w, "* %s, not in this run\n", measuredWhere)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }

func kb(b int64) string { return fmt.Sprintf("%d KB", b>>10) }
