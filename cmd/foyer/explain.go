package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"foyer/acd"
	"foyer/console"
)

// rememberMatch keeps why the floor chose an agent, for explain.
func (j *journal) rememberMatch(m *acd.Match) {
	if m == nil {
		return
	}
	body, err := json.Marshal(m)
	if err != nil {
		return
	}
	j.remember("match", string(m.Call), body)
}

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
	err := j.read(ctx, true, func(p page) error {
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

// Explain says why a call went to whom it went.
func (d *desk) Explain(ctx context.Context, call, lang string) (console.Explanation, error) {
	return console.Explanation{}, nil
}
