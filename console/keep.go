package console

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// KeepOrder is an order about whether a recording is kept.
type KeepOrder struct {
	RecordingRef
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"It stays in the audit trail and with the recording"`
	}
}

func (c *console) keepRoutes(api huma.API) {
	for _, r := range []struct {
		id, path, summary, action string
		do                        func(context.Context, string, Word) error
	}{
		{"hold-recording", "POST /recordings/{id}/keep", "Put a recording under legal hold: no rule and nobody erases it until it is released", "recording.hold",
			func(ctx context.Context, id string, w Word) error { return c.Recordings.Hold(ctx, id, w) }},
		{"release-recording", "POST /recordings/{id}/release", "End a legal hold", "recording.release",
			func(ctx context.Context, id string, _ Word) error { return c.Recordings.Release(ctx, id) }},
		{"erase-recording", "POST /recordings/{id}/erase", "Destroy what was said, and the key to it; who did so, when and why stays", "recording.erase",
			func(ctx context.Context, id string, w Word) error { return c.Recordings.Erase(ctx, id, w) }},
	} {
		op := route(r.id, r.path, RecordingsKeep, r.summary+"; 409 where its state does not allow it. Audited.")
		huma.Register(api, op, func(ctx context.Context, in *KeepOrder) (*one[Recording], error) {
			return c.keep(ctx, in, r.action, r.do)
		})
	}
}

// keep carries out an order. The audit line comes first: no line, no deed. What the
// state forbids is refused before.
func (c *console) keep(ctx context.Context, in *KeepOrder, action string, do func(context.Context, string, Word) error) (*one[Recording], error) {
	rec, err := c.recording(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if p := rec.forbids(action); p != nil {
		return nil, p
	}
	a := who(ctx)
	line := AuditEntry{Actor: a.name, Action: action, Object: rec.ID, Call: rec.CallID, Detail: in.Body.Reason, Remote: a.remote}
	if _, err := AppendAudit(ctx, c.DB, line); err != nil {
		return nil, c.problem(fmt.Errorf("%s of %s: %w", action, rec.ID, err), "recording", rec.ID)
	}
	if err := do(ctx, rec.ID, Word{By: a.name, At: time.Now(), Reason: in.Body.Reason}); err != nil {
		return nil, c.problem(err, "recording", rec.ID)
	}
	if rec, err = c.recording(ctx, in.ID); err != nil {
		return nil, err
	}
	return &one[Recording]{rec}, nil
}

// forbids says why an order does not fit the recording's state; nil: it does.
func (r *Recording) forbids(action string) error {
	state, why := r.State, ""
	switch {
	case r.Erased != nil:
		why = "The recording is erased."
	case action == "recording.erase" && r.Held != nil:
		state, why = "held", "The recording is under legal hold: release it first."
	case action == "recording.erase" && r.State == "recording":
		why = "The recording has not ended."
	case action == "recording.release" && r.Held == nil:
		why = "The recording is not under legal hold."
	default:
		return nil
	}
	p := problem(http.StatusConflict, "state_changed", why, "Look at the recording again and decide anew.")
	p.CurrentState = state
	return p
}
