package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"foyer/acd"
	"foyer/acd/whatif"
)

// replaying is a recorded day played again: what became of it then, now, and with
// a change.
type replaying struct {
	Journal   string       `json:"journal"`
	From      time.Time    `json:"from"`
	To        time.Time    `json:"to"`
	Lives     int          `json:"lives"`
	Events    int          `json:"events"`
	Decisions int          `json:"decisions"`
	Hash      string       `json:"hash"`
	PerHour   float64      `json:"rate_per_hour,omitempty"`
	Level     string       `json:"service_level_formula"`
	Days      []replayView `json:"days"`

	change   whatif.Change
	from, to time.Time // only calls that arrive between them; zero: all
	zone     *time.Location
	bar      progress
}

// afterwards is how long what is asked is followed beyond its end: until its calls
// have been answered.
const afterwards = time.Hour

// run replays the journal, and the day with and without the change if there is one.
func (p *replaying) run(ctx context.Context, all pages) error {
	p.Journal, p.Level = all.name, whatif.ServiceLevelName
	then, learner := whatif.NewTally(p.from, p.to), whatif.NewLearner()
	k := judge{see: func(r acd.Record, done []acd.Action) {
		if p.From.IsZero() {
			p.From = r.At
		}
		p.To = r.At
		then.Observe(r, done)
		if !p.change.None() {
			learner.Observe(r, done)
		}
	}}
	err := all.each(ctx, func(g page, done int64) error {
		p.bar.draw("replay", float64(done)/float64(max(all.size, 1)))
		if n := len(g.Records); n > 0 && !p.to.IsZero() && g.Records[0].At.After(p.to.Add(afterwards)) {
			return errStop
		}
		return k.page(g)
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	if err = cmp.Or(err, k.ended()); err != nil {
		return fmt.Errorf("%s: %w", strings.TrimSuffix(all.name, "/"), err)
	}
	p.Lives, p.Events, p.Decisions, p.Hash = k.lives, k.events, k.decisions, fmt.Sprintf("%016x", k.hash)
	if !p.from.IsZero() && p.from.After(p.To) || !p.to.IsZero() && p.to.Before(p.From) {
		return fmt.Errorf("%s: holds nothing of that time; it goes from %s to %s", all.name, p.moment(p.From), p.moment(p.To))
	}
	p.add("recorded", then.Figures(time.Time{}))
	if p.change.None() {
		return nil
	}
	return p.play(learner.Day())
}

// play simulates the day, without the change first: what differs between that and
// the recorded day is what a simulation does not know.
func (p *replaying) play(day *whatif.Day) error {
	if err := day.Check(p.change); err != nil {
		return err
	}
	from, to := day.Span()
	for _, x := range []struct {
		name   string
		change whatif.Change
	}{{"unchanged", whatif.Change{}}, {"what-if", p.change}} {
		count := whatif.NewTally(p.from, p.to)
		day.Run(x.change, func(r acd.Record, done []acd.Action) {
			p.bar.draw(x.name, float64(r.At.Sub(from))/float64(max(to.Sub(from), 1)))
			count.Observe(r, done)
		})
		p.add(x.name, count.Figures(to))
	}
	return nil
}

func (p *replaying) moment(t time.Time) string { return t.In(p.zone).Format("2006-01-02 15:04:05") }

// progress is a bar on a terminal; without one it is nothing.
type progress struct {
	out   io.Writer
	asked uint
	drawn time.Time
	long  int
}

// draw shows how much of a step is done, ten times a second at most.
func (b *progress) draw(step string, share float64) {
	if b.asked++; b.out == nil || b.asked%64 != 0 || time.Since(b.drawn) < 100*time.Millisecond {
		return
	}
	const width = 40
	share = min(max(share, 0), 1)
	n := int(share * width)
	line := fmt.Sprintf("%-10s [%s%s] %3.0f%%", step, strings.Repeat("#", n), strings.Repeat(".", width-n), 100*share)
	fmt.Fprint(b.out, "\r", line)
	b.drawn, b.long = time.Now(), len(line)
}

// clear leaves the terminal as it was.
func (b *progress) clear() {
	if b.long > 0 {
		fmt.Fprint(b.out, "\r", strings.Repeat(" ", b.long), "\r")
		b.long = 0
	}
}
