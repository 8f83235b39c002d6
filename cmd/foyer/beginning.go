package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"foyer/acd"
)

// beginning is where a replay begins: at the Started event of a life, or after a
// checkpoint.
type beginning struct {
	place uint64 // of the first page; 0: the journal does not reach back so far
	floor *acd.Floor
	after *checkpoint // nil: at a Started event
}

// beginningBefore is the nearest beginning of all that happened from a moment on.
func (j *journal) beginningBefore(ctx context.Context, moment time.Time) (beginning, error) {
	life, err := j.lifeAt(ctx, moment)
	if err != nil {
		return beginning{}, err
	}
	all, err := j.checkpointsFrom(ctx, life+1)
	if err != nil {
		return beginning{}, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].at.After(moment) {
			continue
		}
		b, err := j.beginningAt(ctx, all[i].place)
		if err == nil && b.after.At.After(moment) || unusable(err) {
			continue
		}
		return b, err
	}
	return beginning{place: life, floor: acd.NewFloor()}, nil
}

// beginningAt is after the checkpoint that stands at a place.
func (j *journal) beginningAt(ctx context.Context, place uint64) (beginning, error) {
	c, _, err := j.checkpoint(ctx, place)
	if err != nil {
		return beginning{}, err
	}
	f, err := c.floor()
	return beginning{c.Page + 1, f, c}, err
}

// unusable says whether an error is about one checkpoint, so that another may do.
func unusable(err error) bool { return errors.Is(err, errCheckpoint) || errors.Is(err, acd.ErrImage) }

// bodies gives every page from a beginning on as it was written, and first of all the
// checkpoint it follows, if it does.
func (b *beginning) bodies(ctx context.Context, j *journal, each func(*stored) error) error {
	if b.after != nil {
		body, err := json.Marshal(page{Checkpoint: b.after})
		if err != nil {
			return err
		}
		if err := each(&stored{at: b.after.At, body: body}); err != nil {
			return err
		}
	}
	return j.bodies(ctx, b.place, each)
}

// mostShown is how many checkpoints a reader of the whole journal is shown at most while
// no life has begun: the first that it can use will do.
const mostShown = 3

// whole gives every page there is. Of checkpoints it gives the first ones alone, and
// those only where the life they are of began before the journal does.
func (j *journal) whole(ctx context.Context, each func(*stored) error) error {
	begun, shown := false, 0
	return j.scan(ctx, journalStream, since(1), func(m *stored) error {
		switch m.subject {
		case subjectStart:
			begun = true
		case subjectCheckpoint:
			if shown++; begun || shown > mostShown {
				return nil
			}
		}
		return each(m)
	})
}

// seenAs is how a reader sees a floor that it has not seen grow: as one that has just
// been started, to which everybody comes at once. Calls are not seen.
func seenAs(f *acd.Floor, at time.Time, see func(acd.Record, []acd.Action)) {
	see(acd.Record{At: at, Event: acd.Event{Kind: acd.Started, Config: f.Config()}}, nil)
	for _, a := range f.Snapshot(at).Agents {
		came := acd.Event{Kind: acd.MakeReady, Agent: a.ID, By: acd.Agent}
		switch a.Next {
		case acd.NotReady:
			came.Kind, came.Reason = acd.Pause, a.NextReason
		case acd.Registered:
			came.Kind = acd.Logout
		}
		if a.Reachable {
			see(acd.Record{At: at, Event: acd.Event{Kind: acd.Reachable, Agent: a.ID}}, nil)
		}
		see(acd.Record{At: at, Event: came}, []acd.Action{acd.Moved{Agent: a.ID, To: a.State, Reason: a.Reason, Since: a.Since}})
	}
}
