package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"foyer/acd"
	"foyer/console"
)

// verdict is the outcome of replaying a journal.
type verdict struct {
	lives, events, decisions int
	hash                     uint64
}

// verify replays every life in the journal through a floor of its own and
// compares its decisions with those of the switch.
func (j *journal) verify(ctx context.Context) (verdict, error) {
	all, err := storedPages(ctx, j, "journal")
	if err != nil {
		return verdict{}, err
	}
	var k judge
	err = all.each(ctx, func(p page, _ int64) error { return k.page(p) })
	return k.verdict, cmp.Or(err, k.ended())
}

// Explain says why a call went to whom it went: the life of the switch it came in
// is replayed up to its last word, from the last checkpoint before it on.
func (d *desk) Explain(ctx context.Context, call, lang string) (console.Explanation, error) {
	id := acd.CallID(call)
	unknown := fmt.Errorf("call %s is not in the journal: %w", call, console.ErrNotFound)
	born, ok := bornAt(id)
	if !ok {
		return console.Explanation{}, unknown
	}
	begin, err := d.ex.journal.beginningBefore(ctx, born)
	if err != nil || begin.place == 0 {
		return console.Explanation{}, errors.Join(err, unknown)
	}
	floor, known := begin.floor, false
	telling := acd.NewTelling(id).On(floor)
	err = d.ex.journal.read(ctx, begin.place, func(p page) error {
		for _, r := range p.Records {
			if r.Event.Kind == acd.Started && r.At.After(born) {
				return errStop
			}
			known = known || r.Event.Call == id
			telling.Observe(r, floor.Step(r.At, r.Event))
			if r.Event.Kind == acd.Closed && r.Event.Call == id {
				return errStop
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return console.Explanation{}, err
	}
	if !known {
		return console.Explanation{}, unknown
	}
	return explanationView(telling.Explain(lang, d.cfg.Site.Timezone)), nil
}

func explanationView(x acd.Explanation) console.Explanation {
	v := console.Explanation{Call: string(x.Call), Lang: x.Lang, Text: x.Sentence, Offers: []console.OfferExplanation{}}
	for _, o := range x.Offers {
		view := console.OfferExplanation{
			Offer: uint32(o.Offer), At: o.At, Queue: string(o.Queue), Agent: string(o.Agent),
			WaitedS: seconds(o.Waited), Position: o.Position, Result: o.Result, Text: o.Sentence,
			Candidates: []console.Candidate{},
		}
		if o.Cause != acd.CauseUnknown {
			view.Cause = o.Cause.String()
		}
		for _, r := range x.Rows {
			if r.Offer == o.Offer {
				view.Candidates = append(view.Candidates, console.Candidate{
					Agent: string(r.Agent), IdleS: seconds(r.Idle), Level: r.Level, Tier: r.Tier, Step: r.Step, Rank: r.Rank, Failed: r.Why,
				})
			}
		}
		v.Offers = append(v.Offers, view)
	}
	return v
}

// ExplainAgent says what an agent did between two moments, and why calls did not
// come to them.
func (d *desk) ExplainAgent(ctx context.Context, q console.AgentQuestion) (console.AgentExplanation, error) {
	unknown := fmt.Errorf("agent %s between %s and %s: %w", q.Agent, q.From.Format(time.RFC3339), q.To.Format(time.RFC3339), console.ErrNotFound)
	begin, err := d.ex.journal.beginningBefore(ctx, q.From)
	if err != nil {
		return console.AgentExplanation{}, err
	}
	telling := acd.NewAgentTelling(acd.Question{Agent: acd.AgentID(q.Agent), From: q.From, To: q.To}).On(begin.floor)
	begun := begin.after != nil
	err = d.ex.journal.read(ctx, begin.place, func(p page) error {
		for _, r := range p.Records {
			if begun = begun || r.Event.Kind == acd.Started; begun && !telling.Take(r) {
				return errStop
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return console.AgentExplanation{}, err
	}
	if !telling.Known() {
		return console.AgentExplanation{}, unknown
	}
	return agentExplanationView(telling.Explain(q.Lang, d.cfg.Site.Timezone)), nil
}

func agentExplanationView(x acd.AgentExplanation) console.AgentExplanation {
	v := console.AgentExplanation{Agent: string(x.Agent), Lang: x.Lang, From: x.From, To: x.To, Text: x.Sentence, Stretches: []console.Stretch{}}
	for i := range x.Stretches {
		s := &x.Stretches[i]
		view := console.Stretch{
			From: s.From, To: s.To, State: s.Doing.String(), Reason: s.Reason, Call: string(s.Call), Queue: string(s.Queue), Result: s.Result, Text: s.Why,
		}
		if s.By != acd.Nobody {
			view.By = s.By.String()
		}
		for _, g := range s.Given {
			view.Given = append(view.Given, console.WentPast{Agent: string(g.Agent), Why: g.Why, Calls: g.Calls})
		}
		for _, u := range s.Waited {
			view.Waited = append(view.Waited, console.WentPast{Why: u.Why, Calls: u.Calls})
		}
		v.Stretches = append(v.Stretches, view)
	}
	return v
}

// Journal writes the pages between two moments, one a line, from the nearest beginning
// before them on: the start of the switch or a checkpoint. A zero moment is no bound.
func (d *desk) Journal(ctx context.Context, w io.Writer, from, to time.Time) error {
	bodies := d.ex.journal.whole
	if !from.IsZero() {
		begin, err := d.ex.journal.beginningBefore(ctx, from)
		if err != nil {
			return err
		}
		if begin.place > 0 {
			bodies = func(ctx context.Context, each func(*stored) error) error {
				return begin.bodies(ctx, d.ex.journal, each)
			}
		}
	}
	err := bodies(ctx, func(m *stored) error {
		if !to.IsZero() && m.at.After(to) {
			return errStop
		}
		if _, err := w.Write(m.body); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\n")
		return err
	})
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// seconds is a duration as the API writes it, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
