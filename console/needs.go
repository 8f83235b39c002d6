package console

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrNotFound is what the interfaces below return, possibly wrapped, for a call,
// agent or recording that does not exist.
var ErrNotFound = errors.New("not found")

// ErrUnavailable is what they return, possibly wrapped, when the thing exists but
// cannot be had now: a recording whose key this machine does not hold, a switch
// that is draining. Its wrapping text is shown to the user.
var ErrUnavailable = errors.New("unavailable")

// ErrBadQuery is what they return, possibly wrapped, for a query they cannot read,
// such as a cursor of another listing. Its wrapping text is shown to the user.
var ErrBadQuery = errors.New("bad query")

// StateConflict is returned by Control when the state changed under the caller.
type StateConflict struct {
	State string // what it is now
}

func (c *StateConflict) Error() string { return "the state is now " + c.State }

// Floor shows what is happening now. Its methods return copies and do not block.
type Floor interface {
	Calls(ctx context.Context) []LiveCall
	Agents(ctx context.Context) []AgentView
	Queues(ctx context.Context) []QueueView
}

// Control changes what is happening. by names who asked, for the journal.
type Control interface {
	// Hangup ends a live call. ErrNotFound.
	Hangup(ctx context.Context, call, by string) error
	// SetAgent moves an agent; state is ready, pause, login or logout, and reason
	// goes with pause. ErrNotFound, *StateConflict.
	SetAgent(ctx context.Context, agent, state, reason, by string) error
}

// Diagnosis answers what happened to one call, live or past, or to an agent. ErrNotFound.
type Diagnosis interface {
	Trace(ctx context.Context, call string) ([]TraceLine, error)
	// Explain writes its sentences in lang, fr or en.
	Explain(ctx context.Context, call, lang string) (Explanation, error)
	// ExplainAgent says why calls did or did not come to an agent. ErrNotFound when
	// nothing is known of them in that time.
	ExplainAgent(ctx context.Context, q AgentQuestion) (AgentExplanation, error)
	// Journal writes the record of all that happened between two moments, a JSON
	// value a line; zero moments are no bounds.
	Journal(ctx context.Context, w io.Writer, from, to time.Time) error
}

// Recordings is the shelf of recordings.
type Recordings interface {
	List(ctx context.Context, q RecordingQuery) ([]Recording, error)
	Get(ctx context.Context, id string) (Recording, error) // ErrNotFound
	// Audio returns the rendered WAV and when it was last changed. It is closed
	// after use if it is an io.Closer. ErrNotFound, ErrUnavailable.
	Audio(ctx context.Context, id string) (io.ReadSeeker, time.Time, error)
}

// Contacts is the history: one row a customer call.
type Contacts interface {
	// List returns rows that encode to JSON, newest first, and the cursor of the
	// next page, empty at the end.
	List(ctx context.Context, q ContactQuery) (rows []any, next string, err error)
	// Get returns one row and the client it belongs to. ErrNotFound.
	Get(ctx context.Context, id string) (row any, client string, err error)
	// Export writes every row, as "csv" or "ndjson", a page at a time.
	Export(ctx context.Context, w io.Writer, format string, q ContactQuery) error
}
