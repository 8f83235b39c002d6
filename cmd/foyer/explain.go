package main

import (
	"context"
	"errors"
	"fmt"
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
// compares, page by page, the hash of all decisions with the one the switch
// wrote down when it decided.
func (j *journal) verify(ctx context.Context) (verdict, error) {
	var v verdict
	var floor *acd.Floor
	var hash *acd.Hash
	err := j.read(ctx, 1, func(p page) error {
		for i, r := range p.Records {
			if r.Event.Kind == acd.Started {
				floor, hash = acd.NewFloor(), acd.NewHash()
				v.lives++
			}
			if floor == nil {
				continue // the beginning of this life is older than the journal keeps
			}
			if i == 0 && r.Event.Kind != acd.Started && p.Decided != hash.Sum() {
				return fmt.Errorf("event %d of %s: the replay decides otherwise than the switch did (hash %016x, was %016x)",
					r.Seq, r.At.Format("2006-01-02 15:04:05.000"), hash.Sum(), p.Decided)
			}
			actions := floor.Step(r.At, r.Event)
			hash.Add(r, actions)
			v.events++
			v.decisions += len(actions)
		}
		return nil
	})
	if err == nil && hash == nil {
		err = errors.New("the journal is empty")
	}
	if hash != nil {
		v.hash = hash.Sum()
	}
	return v, err
}

// Explain says why a call went to whom it went: the life of the switch it came in
// is replayed up to its last word.
func (d *desk) Explain(ctx context.Context, call, lang string) (console.Explanation, error) {
	id := acd.CallID(call)
	unknown := fmt.Errorf("call %s is not in the journal: %w", call, console.ErrNotFound)
	born, ok := bornAt(id)
	if !ok {
		return console.Explanation{}, unknown
	}
	from, err := d.ex.journal.lifeAt(ctx, born)
	if err != nil || from == 0 {
		return console.Explanation{}, errors.Join(err, unknown)
	}
	telling, known := acd.NewTelling(id), false
	floor := acd.NewFloor()
	err = d.ex.journal.read(ctx, from, func(p page) error {
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
				view.Candidates = append(view.Candidates, console.Candidate{Agent: string(r.Agent), IdleS: seconds(r.Idle), Level: r.Level, Failed: r.Why})
			}
		}
		v.Offers = append(v.Offers, view)
	}
	return v
}

// seconds is a duration as the API writes it, to the millisecond.
func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }
