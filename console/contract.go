// Package console: CONTRACT STUB. Signatures stay; the owner replaces the bodies.
package console

import (
	"context"
	"io"
	"net/http"
	"time"
)

// The console asks the switch through these small interfaces; the JSON types are the console's own.
type Floor interface {
	Calls(ctx context.Context) []LiveCall
	Agents(ctx context.Context) []AgentView
	Queues(ctx context.Context) []QueueView
}
type Control interface {
	Hangup(ctx context.Context, call, by string) error                   // ErrNotFound
	SetAgent(ctx context.Context, agent, state, reason, by string) error // state: ready, pause, login, logout; *StateConflict when it changed
}
type Diagnosis interface {
	Trace(ctx context.Context, call string) ([]TraceLine, error)
	Explain(ctx context.Context, call string) (Explanation, error)
}
type Recordings interface {
	List(ctx context.Context, q RecordingQuery) ([]Recording, error)
	Get(ctx context.Context, id string) (Recording, error)
	Audio(ctx context.Context, id string) (io.ReadSeeker, time.Time, error) // rendered WAV
}
type Contacts interface { // CDRs, already encoded rows
	List(ctx context.Context, q ContactQuery) (rows []any, next string, err error)
	Export(ctx context.Context, w io.Writer, format string, q ContactQuery) error
}

type LiveCall struct{}
type AgentView struct{}
type QueueView struct{}
type TraceLine struct{}
type Explanation struct{}
type Recording struct{}
type RecordingQuery struct{}
type ContactQuery struct{}

type Options struct {
	Floor         Floor
	Control       Control
	Diagnosis     Diagnosis
	Recordings    Recordings
	Contacts      Contacts
	DB            any
	Demo          bool
	Site, Version string
}

func New(o Options) (http.Handler, error) { panic("stub") }
