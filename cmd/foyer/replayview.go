package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"foyer/acd/whatif"
)

// replayView is what a day comes to, times in seconds.
type replayView struct {
	Name      string        `json:"name"` // recorded, unchanged, what-if
	Agents    int           `json:"agents"`
	Decisions int           `json:"decisions"`
	Total     replayFigures `json:"total"`
	Queues    []replayQueue `json:"queues"`
}

type replayQueue struct {
	Queue string `json:"queue"`
	replayFigures
}

// replayFigures are those of a queue or of all. Shares are absent where there is
// nothing to divide by.
type replayFigures struct {
	Offered    int      `json:"offered"`
	Answered   int      `json:"answered"`
	Abandoned  int      `json:"abandoned"`
	Short      int      `json:"short_abandoned"`
	Moved      int      `json:"moved"`
	Refused    int      `json:"refused"`
	Callbacks  int      `json:"callbacks"`
	CalledBack int      `json:"called_back"`
	Level      *float64 `json:"service_level,omitempty"`
	ASA        float64  `json:"asa_s"`
	P90        float64  `json:"wait_p90_s"`
	Longest    float64  `json:"wait_longest_s"`
	Occupancy  *float64 `json:"occupancy,omitempty"`
	AgentHours float64  `json:"agent_hours"`
	Handling   float64  `json:"handling_hours"`
	Cost       *float64 `json:"cost,omitempty"`
}

// add takes in the figures of a day. The cost is that of the agents' time; a queue
// bears it by its share of the work, for agents serve several.
func (p *replaying) add(name string, f whatif.Figures) {
	v := replayView{Name: name, Agents: f.Agents, Decisions: f.Decisions, Total: figuresView(&f.Total), Queues: []replayQueue{}}
	all := v.Total.AgentHours * p.PerHour
	if p.PerHour > 0 {
		v.Total.Cost = &all
	}
	for i := range f.Queues {
		q := replayQueue{string(f.Queues[i].Queue), figuresView(&f.Queues[i])}
		if p.PerHour > 0 && v.Total.Handling > 0 {
			share := all * q.Handling / v.Total.Handling
			q.Cost = &share
		}
		v.Queues = append(v.Queues, q)
	}
	p.Days = append(p.Days, v)
}

func figuresView(q *whatif.QueueFigures) replayFigures {
	v := replayFigures{
		Offered: q.Offered, Answered: q.Answered, Abandoned: q.Abandoned, Short: q.Short, Moved: q.Moved, Refused: q.Refused,
		Callbacks: q.Callbacks, CalledBack: q.CalledBk,
		ASA: seconds(q.Mean), P90: seconds(q.P90), Longest: seconds(q.Longest),
		AgentHours: q.LoggedIn.Hours(), Handling: q.Handling.Hours(),
	}
	if share, ok := q.ServiceLevel(); ok {
		v.Level = &share
	}
	if share, ok := q.Occupancy(); ok {
		v.Occupancy = &share
	}
	return v
}

// replayRow is a line of the table: a figure, how it and a difference are written,
// and whether it is left out when it is zero everywhere.
type replayRow struct {
	name   string
	of     func(*replayFigures) *float64
	format string
	rare   bool
}

func replayRows() []replayRow {
	number := func(f func(*replayFigures) float64) func(*replayFigures) *float64 {
		return func(v *replayFigures) *float64 { n := f(v); return &n }
	}
	count := func(f func(*replayFigures) int) func(*replayFigures) *float64 {
		return number(func(v *replayFigures) float64 { return float64(f(v)) })
	}
	percent := func(f func(*replayFigures) *float64) func(*replayFigures) *float64 {
		return func(v *replayFigures) *float64 {
			if f(v) == nil {
				return nil
			}
			n := 100 * *f(v)
			return &n
		}
	}
	return []replayRow{
		{"offered", count(func(v *replayFigures) int { return v.Offered }), "%.0f", false},
		{"answered", count(func(v *replayFigures) int { return v.Answered }), "%.0f", false},
		{"abandoned", count(func(v *replayFigures) int { return v.Abandoned }), "%.0f", false},
		{"moved on", count(func(v *replayFigures) int { return v.Moved }), "%.0f", true},
		{"refused", count(func(v *replayFigures) int { return v.Refused }), "%.0f", true},
		{"chose a callback", count(func(v *replayFigures) int { return v.Callbacks }), "%.0f", true},
		{"called back", count(func(v *replayFigures) int { return v.CalledBack }), "%.0f", true},
		{"service level", percent(func(v *replayFigures) *float64 { return v.Level }), "%.1f%%", false},
		{"mean wait (ASA)", number(func(v *replayFigures) float64 { return v.ASA }), "%.1fs", false},
		{"90% wait", number(func(v *replayFigures) float64 { return v.P90 }), "%.1fs", false},
		{"longest wait", number(func(v *replayFigures) float64 { return v.Longest }), "%.1fs", false},
		{"occupancy", percent(func(v *replayFigures) *float64 { return v.Occupancy }), "%.1f%%", false},
		{"agent hours", number(func(v *replayFigures) float64 { return v.AgentHours }), "%.1f", false},
		{"cost", func(v *replayFigures) *float64 { return v.Cost }, "%.2f", true},
	}
}

func (p *replaying) print(out io.Writer) error {
	fmt.Fprintf(out, "%s: %d events in %d lives from %s to %s replayed, %d decisions: the same again (hash %s)\n",
		p.Journal, p.Events, p.Lives, p.moment(p.From), p.moment(p.To), p.Decisions, p.Hash)
	if !p.from.IsZero() || !p.to.IsZero() {
		fmt.Fprintf(out, "counted: calls that arrived %s\n", p.between())
	}
	fmt.Fprintf(out, "service level: %s\n", p.Level)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	column := func(of func(*replayView) *replayFigures) []*replayFigures {
		var all []*replayFigures
		for i := range p.Days {
			all = append(all, of(&p.Days[i]))
		}
		return all
	}
	p.block(w, "ALL QUEUES", column(func(v *replayView) *replayFigures { return &v.Total }))
	for _, id := range p.queues() {
		p.block(w, "QUEUE "+id, column(func(v *replayView) *replayFigures {
			for i := range v.Queues {
				if v.Queues[i].Queue == id {
					return &v.Queues[i].replayFigures
				}
			}
			return nil
		}))
	}
	return w.Flush()
}

func (p *replaying) between() string {
	switch {
	case p.to.IsZero():
		return "from " + p.moment(p.from) + " on"
	case p.from.IsZero():
		return "before " + p.moment(p.to)
	}
	return "from " + p.moment(p.from) + " to " + p.moment(p.to)
}

// queues are those of any of the days, as configured.
func (p *replaying) queues() []string {
	var ids []string
	seen := map[string]bool{}
	for _, d := range p.Days {
		for _, q := range d.Queues {
			if !seen[q.Queue] {
				seen[q.Queue] = true
				ids = append(ids, q.Queue)
			}
		}
	}
	return ids
}

// wide is how wide the first column is, which alone begins on the left.
func (p *replaying) wide() int {
	n := 0
	for _, r := range replayRows() {
		n = max(n, len(r.name))
	}
	for _, id := range p.queues() {
		n = max(n, len("QUEUE "+id))
	}
	return n
}

// block is the table of a queue, a column a day; the last but one and the last are
// compared.
func (p *replaying) block(w io.Writer, title string, days []*replayFigures) {
	fmt.Fprintf(w, "\n%-*s\t", p.wide(), title)
	for _, name := range []string{"RECORDED", "UNCHANGED", "WHAT-IF"}[:len(days)] {
		fmt.Fprintf(w, "%s\t", name)
	}
	if len(days) > 1 {
		fmt.Fprint(w, "DIFFERENCE\t")
	}
	fmt.Fprintln(w)
	for _, r := range replayRows() {
		values, some := make([]*float64, len(days)), false
		for i, v := range days {
			if v != nil {
				values[i] = r.of(v)
			}
			some = some || values[i] != nil && *values[i] != 0
		}
		if r.rare && !some {
			continue
		}
		fmt.Fprintf(w, "%-*s\t", p.wide(), r.name)
		for _, n := range values {
			fmt.Fprintf(w, "%s\t", written(r.format, n))
		}
		if n := len(values); n > 1 {
			fmt.Fprintf(w, "%s\t", difference(r.format, values[n-2], values[n-1]))
		}
		fmt.Fprintln(w)
	}
}

func written(format string, n *float64) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprintf(format, *n)
}

// difference of two shares is in points of a hundred.
func difference(format string, before, after *float64) string {
	if before == nil || after == nil {
		return "-"
	}
	text := fmt.Sprintf("%+"+format[1:], *after-*before)
	if plain := fmt.Sprintf(format, 0.0); text == "+"+plain || text == "-"+plain {
		return "="
	}
	return strings.Replace(text, "%", "pt", 1)
}
