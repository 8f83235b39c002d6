package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"foyer/acd"
	"foyer/acd/whatif"
)

// replaying is a journal on its way through the floor, once as it was and perhaps
// once with a change.
type replaying struct {
	pages    pages
	change   whatif.Change
	from, to time.Time
	bar      *bar
}

// replayReport is what a replay found.
type replayReport struct {
	Journal string          `json:"journal"`
	Events  int             `json:"events"`
	Lives   int             `json:"lives"` // of the switch
	Hash    string          `json:"hash"`  // of every decision; the same as the switch wrote down
	Took    string          `json:"took"`
	From    time.Time       `json:"from"`
	To      time.Time       `json:"to"`
	Level   string          `json:"service_level"` // which of the many it is
	Cost    rate            `json:"rate"`
	Was     whatif.Figures  `json:"recorded"`
	Same    *whatif.Figures `json:"unchanged,omitempty"` // played without the change: how far playing can be trusted
	Is      *whatif.Figures `json:"changed,omitempty"`
}

func (r *replaying) run(ctx context.Context) (*replayReport, error) {
	begun := time.Now()
	count, learner := whatif.NewTally(r.from, r.to), whatif.NewLearner()
	k := judge{see: func(rec acd.Record, done []acd.Action) {
		count.Observe(rec, done)
		if !r.change.None() {
			learner.Observe(rec, done)
		}
	}}
	err := r.pages.each(ctx, func(p page, done int64) error {
		r.bar.show("replaying", done, r.pages.size)
		return k.page(p)
	})
	if err != nil {
		return nil, err
	}
	if err := k.ended(); err != nil {
		return nil, fmt.Errorf("%s: %w", r.pages.name, err)
	}
	report := &replayReport{
		Journal: r.pages.name, Events: k.events, Lives: k.lives, Hash: fmt.Sprintf("%016x", k.hash),
		Level: whatif.ServiceLevelName, Was: count.Figures(time.Time{}),
	}
	report.From, report.To = count.Span()
	if !r.change.None() {
		if err := r.play(learner.Day(), report); err != nil {
			return nil, err
		}
	}
	report.Took = time.Since(begun).Round(10 * time.Millisecond).String()
	return report, nil
}

// play plays the day twice: with nothing changed, and with the change.
func (r *replaying) play(day *whatif.Day, report *replayReport) error {
	if err := day.Check(r.change); err != nil {
		return err
	}
	begin, end := day.Span()
	one := func(what string, c whatif.Change) *whatif.Figures {
		count := whatif.NewTally(r.from, r.to)
		day.Run(c, func(rec acd.Record, done []acd.Action) {
			r.bar.show(what, int64(rec.At.Sub(begin)), int64(end.Sub(begin)))
			count.Observe(rec, done)
		})
		f := count.Figures(end)
		return &f
	}
	report.Same = one("unchanged", whatif.Change{})
	report.Is = one("changed", r.change)
	return nil
}

// print writes the report for people.
func (r *replayReport) print(out io.Writer, zone *time.Location) error {
	fmt.Fprintf(out, "%s, %s to %s\n", r.Journal, r.From.In(zone).Format("2006-01-02 15:04"), r.To.In(zone).Format("2006-01-02 15:04"))
	fmt.Fprintf(out, "%d events in %d lives of the switch replayed, %d decisions, the same as recorded (hash %s), in %s\n",
		r.Events, r.Lives, r.Was.Decisions, r.Hash, r.Took)
	if r.Same != nil {
		fmt.Fprintf(out, "Played again without the change: %s\n", r.trust())
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', tabwriter.AlignRight)
	head := "\nQUEUE\tDAY\tOFFERED\tANSWERED\tABANDONED\tELSEWHERE\tLEVEL\tASA\tP90\tLONGEST\tOCCUPANCY\tHANDLED\tLOGGED IN\t"
	if r.Cost != (rate{}) {
		head += "COST\t"
	}
	fmt.Fprintln(w, head)
	for i := range r.Was.Queues {
		r.queue(w, string(r.Was.Queues[i].Queue), &r.Was.Queues[i], find(r.Is, r.Was.Queues[i].Queue))
	}
	if r.Is != nil {
		for i := range r.Is.Queues {
			if q := &r.Is.Queues[i]; find(&r.Was, q.Queue) == nil {
				r.queue(w, string(q.Queue), &whatif.QueueFigures{Queue: q.Queue}, q)
			}
		}
		r.queue(w, "all", &r.Was.Total, &r.Is.Total)
	} else {
		r.queue(w, "all", &r.Was.Total, nil)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nLEVEL: %s. ASA, P90: waits of the answered. ELSEWHERE: moved, refused or to be called back.\n", r.Level)
	fmt.Fprintln(out, "OCCUPANCY: with calls / (with calls + ready), of the agents who serve the queue; LOGGED IN: their time, pauses too.")
	if r.Cost.Minute > 0 {
		fmt.Fprintf(out, "COST: %.2f for each minute handled (talk, hold, wrap-up).\n", r.Cost.Minute)
	} else if r.Cost.Hour > 0 {
		fmt.Fprintf(out, "COST: %.2f for each hour logged in.\n", r.Cost.Hour)
	}
	return nil
}

// trust says how near the playing of the unchanged day comes to the recorded one.
func (r *replayReport) trust() string {
	a, b := &r.Was.Total, &r.Same.Total
	if a.Answered == b.Answered && a.Mean == b.Mean && a.InTime == b.InTime {
		return "exactly the recorded figures"
	}
	return fmt.Sprintf("level %s (recorded %s), ASA %s (%s), answered %d (%d)",
		shareText(b.ServiceLevel()), shareText(a.ServiceLevel()), secs(b.Mean), secs(a.Mean), b.Answered, a.Answered)
}

func find(f *whatif.Figures, id acd.QueueID) *whatif.QueueFigures {
	if f == nil {
		return nil
	}
	for i := range f.Queues {
		if f.Queues[i].Queue == id {
			return &f.Queues[i]
		}
	}
	return nil
}

// queue writes one queue: as it was, and with a change as it would be and what
// that is more or less.
func (r *replayReport) queue(w io.Writer, name string, was, is *whatif.QueueFigures) {
	if r.Is == nil {
		r.row(w, name, "was", was)
		return
	}
	if is == nil {
		is = &whatif.QueueFigures{Queue: was.Queue}
	}
	r.row(w, name, "was", was)
	r.row(w, "", "is", is)
	level := points((*whatif.QueueFigures).ServiceLevel, was, is)
	occupancy := points((*whatif.QueueFigures).Occupancy, was, is)
	elsewhere := func(q *whatif.QueueFigures) int { return q.Moved + q.Refused + q.Callbacks }
	fmt.Fprintf(w, "\t\t%+d\t%+d\t%+d\t%+d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t",
		is.Offered-was.Offered, is.Answered-was.Answered, is.Abandoned-was.Abandoned, elsewhere(is)-elsewhere(was),
		level, more(is.Mean-was.Mean), more(is.P90-was.P90), more(is.Longest-was.Longest),
		occupancy, hours(is.Handling-was.Handling, "%+.1f h"), hours(is.LoggedIn-was.LoggedIn, "%+.1f h"))
	if r.Cost != (rate{}) {
		a, _ := r.Cost.of(was, was.Queue == "")
		b, ok := r.Cost.of(is, is.Queue == "")
		fmt.Fprint(w, money(b-a, ok, "%+.2f")+"\t")
	}
	fmt.Fprintln(w)
}

func (r *replayReport) row(w io.Writer, name, day string, q *whatif.QueueFigures) {
	fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t", name, day, q.Offered, q.Answered, q.Abandoned, q.Moved+q.Refused+q.Callbacks,
		shareText(q.ServiceLevel()), secs(q.Mean), secs(q.P90), secs(q.Longest), shareText(q.Occupancy()), hours(q.Handling, "%.1f h"), hours(q.LoggedIn, "%.1f h"))
	if r.Cost != (rate{}) {
		amount, ok := r.Cost.of(q, q.Queue == "")
		fmt.Fprint(w, money(amount, ok, "%.2f")+"\t")
	}
	fmt.Fprintln(w)
}

// points is by how many points a share differs.
func points(share func(*whatif.QueueFigures) (float64, bool), was, is *whatif.QueueFigures) string {
	a, known := share(was)
	b, too := share(is)
	if !known || !too {
		return "-"
	}
	return fmt.Sprintf("%+.1f", 100*(b-a))
}

func shareText(share float64, ok bool) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

func secs(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func more(d time.Duration) string { return fmt.Sprintf("%+.1f s", d.Seconds()) }

func hours(d time.Duration, format string) string { return fmt.Sprintf(format, d.Hours()) }

func money(amount float64, ok bool, format string) string {
	if !ok {
		return "-"
	}
	return fmt.Sprintf(format, amount)
}
