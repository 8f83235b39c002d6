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

// ErrGone is what they return, possibly wrapped, for a recording that was erased.
var ErrGone = errors.New("erased")

// ErrBadQuery is what they return, possibly wrapped, for a query they cannot read,
// such as a cursor of another listing. Its wrapping text is shown to the user.
var ErrBadQuery = errors.New("bad query")

// StateConflict is returned by Control when an order does not fit the state that
// somebody or something is in.
type StateConflict struct {
	State string // what it is now
	Why   string // what does not fit, in a sentence; "" where the state says it
}

func (c *StateConflict) Error() string { return "the state is now " + c.State }

// BadField is returned by Control for an order whose words it does not know.
type BadField struct {
	Field string // of the request's body
	Value string
	Why   string   // in a sentence
	Known []string // what it could be; nil where that is no list
}

func (b *BadField) Error() string { return b.Field + " " + b.Value + ": " + b.Why }

// Floor shows what is happening now. Its methods return copies and do not block.
type Floor interface {
	Calls(ctx context.Context) []LiveCall
	Agents(ctx context.Context) []AgentView
	Queues(ctx context.Context) []QueueView
	// Waiting lists the calls of a queue that no agent has answered, those being rung
	// for first, then in the order they will be served.
	Waiting(ctx context.Context, queue string) []WaitingCall
	// Callbacks lists the promises to call back that are not kept yet, in the same order.
	Callbacks(ctx context.Context) []CallbackView
}

// Control changes what is happening. by names who asked, for the journal.
type Control interface {
	// Hangup ends a live call. ErrNotFound.
	Hangup(ctx context.Context, call, by string) error
	// Transfer gives the caller of an agent to somebody else, and says whether that is
	// done; if not, it rings there still. ErrNotFound, *StateConflict, *BadField.
	Transfer(ctx context.Context, call, to, by string) (done bool, err error)
	// SetAgent carries out an order about an agent and tells the state that came of
	// it. ErrNotFound, *StateConflict, *BadField.
	SetAgent(ctx context.Context, agent string, o AgentOrder) (AgentState, error)
	// AskCallback promises to call a number back, and says whether the promise is
	// new: a number has one in a queue. ErrNotFound, ErrUnavailable, *BadField.
	AskCallback(ctx context.Context, o CallbackOrder) (c CallbackView, fresh bool, err error)
	// CancelCallback takes a promise back. ErrNotFound, *StateConflict once the
	// customer is on the line.
	CancelCallback(ctx context.Context, id, by string) error
}

// CallbackOrder is whom to call back and when.
type CallbackOrder struct {
	Queue, Number string
	At            time.Time // not before; zero: as soon as it is their turn
	By            string
}

// Trunks shows carriers' lines.
type Trunks interface {
	List(ctx context.Context) []TrunkView
	// Ping asks a carrier whether it is there, and waits a few seconds for its
	// answer. ErrNotFound, ErrUnavailable where nobody can be asked.
	Ping(ctx context.Context, id string) (TrunkView, error)
}

// AgentOrder is what somebody with authority over an agent wants of them.
type AgentOrder struct {
	Do     string // ready, pause, login, logout, wrapup, extend or release
	Reason string // of pause
	Code   string // of wrapup; may be empty
	Note   string // of wrapup: what the agent writes about the call; may be empty
	// CallbackAt is of wrapup: when the caller is to be called back; zero: they are not.
	CallbackAt time.Time
	Call       string // of wrapup: which, for one who is in several
	By         string
}

// Configuration is what the switch serves by.
type Configuration interface {
	// Reload reads it again and serves by it, or with dry only says what would change;
	// it returns what is different. *BadConfig, ErrUnavailable.
	Reload(ctx context.Context, by string, dry bool) ([]ConfigChange, error)
}

// Diagnosis answers what happened to one call, live or past, or to an agent. ErrNotFound.
type Diagnosis interface {
	Trace(ctx context.Context, call string) ([]TraceLine, error)
	// Explain writes its sentences in lang, fr or en.
	Explain(ctx context.Context, call, lang string) (Explanation, error)
	// ExplainAgent says why calls did or did not come to an agent. ErrNotFound when
	// nothing is known of them in that time.
	ExplainAgent(ctx context.Context, q AgentQuestion) (AgentExplanation, error)
	// Doctor says what is wrong with an agent's line and what to do, in lang.
	Doctor(ctx context.Context, agent, lang string) (LineReport, error)
	// Journal writes the record of all that happened between two moments, a JSON
	// value a line; zero moments are no bounds.
	Journal(ctx context.Context, w io.Writer, from, to time.Time) error
}

// Streams are what the switch writes down as it goes and nobody else can read
// meanwhile. They are handed out for backups.
type Streams interface {
	// Stream writes one of them, journal or diary, a JSON value a line, so that the
	// same can be built from it again.
	Stream(ctx context.Context, w io.Writer, name string) error
}

// Recordings is the shelf of recordings.
type Recordings interface {
	List(ctx context.Context, q RecordingQuery) ([]Recording, error)
	Get(ctx context.Context, id string) (Recording, error) // ErrNotFound
	// Audio returns the rendered WAV and when it was last changed. It is closed
	// after use if it is an io.Closer. ErrNotFound, ErrUnavailable, ErrGone.
	Audio(ctx context.Context, id string) (io.ReadSeeker, time.Time, error)
	// Erase destroys what was said and the key to it; a tombstone stays. Hold keeps a
	// recording from that until Release. ErrNotFound, *StateConflict.
	Erase(ctx context.Context, id string, w Word) error
	Hold(ctx context.Context, id string, w Word) error
	Release(ctx context.Context, id string) error
}

// Reports is what was counted, added up.
type Reports interface {
	// Report returns lines that encode to JSON, by time. ErrBadQuery.
	Report(ctx context.Context, q ReportQuery) ([]any, error)
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
