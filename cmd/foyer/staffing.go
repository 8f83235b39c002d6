package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"foyer/ledger"
)

// staffing is the answer: what was asked, the fewest agents, and the numbers around.
type staffing struct {
	CallsPerHour float64    `json:"calls_per_hour"`
	AHT          float64    `json:"aht_s"`
	Patience     float64    `json:"patience_s,omitempty"`
	Erlangs      float64    `json:"erlangs"`
	Target       float64    `json:"target"`
	Within       float64    `json:"within_s"`
	MaxOccupancy float64    `json:"max_occupancy,omitempty"`
	Shrinkage    float64    `json:"shrinkage,omitempty"`
	Decides      string     `json:"decides"` // erlang_a or erlang_c
	Agents       int        `json:"agents"`  // the fewest at work that will do
	Roster       int        `json:"roster"`  // how many to pay for that
	ByErlangC    int        `json:"agents_by_erlang_c"`
	Given        int        `json:"given,omitempty"`
	Rows         []staffRow `json:"rows"`

	work    ledger.Work
	goal    ledger.Goal
	byLevel int // the fewest for the service level alone, however busy they are
}

// staffRow is one number of agents. Without patience there is no A; with no more
// agents than erlangs there is no C.
type staffRow struct {
	Agents int           `json:"agents"`
	Roster int           `json:"roster"`
	A      *forecastView `json:"erlang_a,omitempty"`
	C      *forecastView `json:"erlang_c,omitempty"`
}

type forecastView struct {
	OfOffered  float64 `json:"service_level"`
	OfAnswered float64 `json:"service_level_of_answered"`
	ASA        float64 `json:"asa_s"`
	MeanWait   float64 `json:"mean_wait_s"`
	Abandoned  float64 `json:"abandoned"`
	Occupancy  float64 `json:"occupancy"`
	Waiting    float64 `json:"waiting"`
	Queue      float64 `json:"queue"`
}

// around is how many numbers of agents are shown on either side.
const around = 4

// solve finds the fewest agents, and how those around do.
func (p *staffing) solve() error {
	w, g := p.work, p.goal
	model := ledger.Model(ledger.ErlangC)
	p.Decides = "erlang_c"
	if w.Patience > 0 {
		model, p.Decides = ledger.ErlangA, "erlang_a"
	}
	byLevel := g
	byLevel.Occupancy = 0
	for _, q := range []struct {
		model ledger.Model
		goal  ledger.Goal
		into  *int
	}{{model, g, &p.Agents}, {ledger.ErlangC, g, &p.ByErlangC}, {model, byLevel, &p.byLevel}} {
		f, err := ledger.Staff(q.model, w, q.goal)
		if err != nil {
			return err
		}
		*q.into = f.Agents
	}
	p.Roster = g.Roster(p.Agents)
	p.CallsPerHour, p.Erlangs = w.Calls/w.Per.Hours(), w.Erlangs()
	p.AHT, p.Patience = w.Handle.Seconds(), w.Patience.Seconds()
	p.Target, p.Within, p.MaxOccupancy, p.Shrinkage = g.Share, g.Within.Seconds(), g.Occupancy, g.Shrinkage
	middle := cmp.Or(p.Given, p.Agents)
	for n := max(1, middle-around); n <= min(middle+around, ledger.MostAgents); n++ {
		r, err := p.row(n)
		if err != nil {
			return err
		}
		p.Rows = append(p.Rows, r)
	}
	return nil
}

func (p *staffing) row(agents int) (staffRow, error) {
	r := staffRow{Agents: agents, Roster: p.goal.Roster(agents)}
	if p.work.Patience > 0 {
		f, err := ledger.ErlangA(p.work, agents, p.goal.Within)
		if err != nil {
			return r, err
		}
		r.A = viewOf(f)
	}
	f, err := ledger.ErlangC(p.work, agents, p.goal.Within)
	switch {
	case err == nil:
		r.C = viewOf(f)
	case !errors.Is(err, ledger.ErrOverloaded):
		return r, err
	}
	return r, nil
}

func viewOf(f ledger.Forecast) *forecastView {
	return &forecastView{f.OfOffered, f.OfAnswered, f.ASA.Seconds(), f.MeanWait.Seconds(), f.Abandoned, f.Occupancy, f.Waiting, f.Queue}
}

// deciding is the forecast that counts: Erlang A's when callers are known to
// leave. Nil where Erlang C has none.
func (p *staffing) deciding(r staffRow) *forecastView {
	if p.work.Patience > 0 {
		return r.A
	}
	return r.C
}

func (p *staffing) print(out io.Writer) error {
	fmt.Fprintln(out, p.sentence())
	fmt.Fprintln(out, p.reason())
	if p.goal.Occupancy > 0 && p.byLevel < p.Agents {
		fmt.Fprintf(out, "The service level alone takes %d; more are needed to keep agents below %s busy.\n", p.byLevel, percent(p.goal.Occupancy))
	}
	if p.goal.Shrinkage > 0 {
		fmt.Fprintf(out, "To have %d at work with %s shrinkage, put %d on the roster.\n", p.Agents, percent(p.goal.Shrinkage), p.Roster)
	}
	fmt.Fprintln(out)
	if err := p.table(out); err != nil {
		return err
	}
	fmt.Fprintln(out)
	p.chart(out)
	return nil
}

// sentence is the answer.
func (p *staffing) sentence() string {
	asked := fmt.Sprintf("the goal of %s within %s", percent(p.goal.Share), trimmed(p.goal.Within))
	n := cmp.Or(p.Given, p.Agents)
	agents, answer, are := fmt.Sprintf("%d agents", n), "answer", "are"
	if n == 1 {
		agents, answer, are = "1 agent", "answers", "is"
	}
	var f *forecastView
	for _, r := range p.Rows {
		if r.Agents == n {
			f = p.deciding(r)
		}
	}
	if f == nil {
		return fmt.Sprintf("%s %s too few for %.1f erlangs: the queue grows for ever; %s takes %d.", agents, are, p.Erlangs, asked, p.Agents)
	}
	does := fmt.Sprintf("%s at work %s %.1f%% of the calls within %s", agents, answer, 100*f.OfOffered, trimmed(p.goal.Within))
	switch {
	case p.Given == 0:
		return fmt.Sprintf("%s, and no fewer reach %s.", does, asked)
	case n < p.Agents:
		return fmt.Sprintf("%s: too few, %s takes %d.", does, asked, p.Agents)
	case n > p.Agents:
		return fmt.Sprintf("%s: more than needed, %s takes %d.", does, asked, p.Agents)
	}
	return fmt.Sprintf("%s: just enough for %s.", does, asked)
}

// reason says which model decides, and why.
func (p *staffing) reason() string {
	if p.work.Patience == 0 {
		return "Erlang C decides: without --patience nobody is expected to leave the queue."
	}
	other := fmt.Sprintf("asks for %d", p.ByErlangC)
	if p.ByErlangC == p.Agents {
		other = "asks for as many"
	}
	return fmt.Sprintf("Erlang A decides: callers leave after %s on average, which makes room for the others. Erlang C, where nobody leaves, %s.",
		trimmed(p.work.Patience), other)
}

func (p *staffing) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	impatient := p.work.Patience > 0
	groups, columns := "\t", "AGENTS\t"
	if p.goal.Shrinkage > 0 {
		groups, columns = groups+"\t", columns+"ROSTER\t"
	}
	if impatient {
		groups, columns = groups+"ERLANG A\t\t\t\t\t", columns+"SL\tASA\tABANDON\tOCCUPANCY\tWAIT\t"
	}
	fmt.Fprintf(w, "%sERLANG C\n%sSL\tASA\tOCCUPANCY\tWAIT\n", groups, columns)
	for _, r := range p.Rows {
		mark := ""
		if r.Agents == p.Agents {
			mark = " *"
		}
		fmt.Fprintf(w, "%d%s\t", r.Agents, mark)
		if p.goal.Shrinkage > 0 {
			fmt.Fprintf(w, "%d\t", r.Roster)
		}
		if f := r.A; f != nil {
			fmt.Fprintf(w, "%.1f%%\t%.1fs\t%.1f%%\t%.1f%%\t%.1f%%\t", 100*f.OfOffered, f.ASA, 100*f.Abandoned, 100*f.Occupancy, 100*f.Waiting)
		}
		if f := r.C; f != nil {
			fmt.Fprintf(w, "%.1f%%\t%.1fs\t%.1f%%\t%.1f%%\n", 100*f.OfOffered, f.ASA, 100*f.Occupancy, 100*f.Waiting)
		} else {
			fmt.Fprintln(w, "-\tendless\t-\t-")
		}
	}
	return w.Flush()
}

// chart draws the service level against the number of agents. A bar passes the
// line of the goal if the level reaches it, however narrowly.
func (p *staffing) chart(out io.Writer) {
	const width = 50
	line := int(math.Ceil(p.goal.Share*width - 1e-9))
	length := func(level float64) int {
		n := int(level * width)
		if level >= p.goal.Share {
			return max(n, line+1)
		}
		return min(n, line)
	}
	legend := "# service level by Erlang C"
	if p.work.Patience > 0 {
		legend = "# service level by Erlang A, c by Erlang C"
	}
	fmt.Fprintf(out, "%s, | the goal of %s\n", legend, percent(p.goal.Share))
	for _, r := range p.Rows {
		bar := []byte(strings.Repeat(" ", width+1))
		if f := p.deciding(r); f != nil {
			copy(bar, strings.Repeat("#", length(f.OfOffered)))
		}
		bar[line] = '|'
		if r.A != nil && r.C != nil {
			bar[max(length(r.C.OfOffered)-1, 0)] = 'c'
		}
		fmt.Fprintf(out, "%6d %s\n", r.Agents, strings.TrimRight(string(bar), " "))
	}
}

func percent(share float64) string { return fmt.Sprintf("%.4g%%", 100*share) }

// trimmed is a time without the zeros at its end: 2m, not 2m0s.
func trimmed(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
