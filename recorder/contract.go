// Package recorder: CONTRACT STUB. Signatures stay; the owner replaces the bodies.
package recorder

import (
	"context"
	"io"
	"time"

	"foyer/rtp"

	"go.uber.org/zap"
)

type Options struct {
	Dir       string
	Recipient string     // age X25519 recipient (age1…); "": not encrypted
	Ended     func(Info) // a recording has closed (whole or interrupted); must not block long
	Log       *zap.Logger
}

// Store is the directory of recordings, and the writer of those in progress.
type Store struct{}

func Open(o Options) (*Store, error) { panic("stub") } // marks what an earlier life left open as interrupted
// Run consumes the taps until ctx ends and every recording is closed. One goroutine per tap.
func (s *Store) Run(ctx context.Context, taps []*rtp.Tap) error { panic("stub") }

// Begin registers a recording; its handle is what rtp.Leg.Tap wants (0 the caller's channel, 1 the agent's).
func (s *Store) Begin(m Meta) (handle uint64, id string, err error) { panic("stub") }

// End closes it once every mark before it in the tap has been read. Safe to call twice.
func (s *Store) End(handle uint64) { panic("stub") }
func (s *Store) Stats() Stats      { panic("stub") }

type Stats struct {
	Active                      int
	Bytes, WriteErrors, Dropped uint64
	Backlog                     time.Duration
}

// Meta is what is known when a recording begins.
type Meta struct {
	CallID, Client, Queue, Agent string
	Policy, Purpose, LegalBasis  string
	From, To                     string
	Started                      time.Time
}

// Info is one recording as listed. JSON is the contract of `foyer recording list -o json`.
type Info struct {
	ID         string    `json:"id"`
	CallID     string    `json:"call_id"`
	Client     string    `json:"client"`
	Queue      string    `json:"queue"`
	Agent      string    `json:"agent"`
	Started    time.Time `json:"started"`
	DurationS  float64   `json:"duration_s"`
	State      string    `json:"state"` // recording, complete, interrupted
	Policy     string    `json:"policy,omitempty"`
	Purpose    string    `json:"purpose,omitempty"`
	LegalBasis string    `json:"legal_basis,omitempty"`
	From       string    `json:"from,omitempty"`
	To         string    `json:"to,omitempty"`
	Encrypted  bool      `json:"encrypted"`
	Bytes      int64     `json:"bytes"`
	LostMS     int64     `json:"lost_ms"` // audio that should be there and is not
}

type Filter struct {
	From, To                     time.Time
	CallID, Client, Agent, Queue string
	Limit                        int
}

func List(dir string, f Filter) ([]Info, error) { panic("stub") } // newest first; works beside a running switch
func Find(dir, id string) (Info, error)         { panic("stub") } // ErrNotFound

// Render writes stereo 8 kHz PCM16 WAV, left the caller, right the agent. identity: age secret key for encrypted ones, else "".
func Render(w io.Writer, dir, id, identity string) error { panic("stub") }

// Verdict of verify.
type Verdict struct {
	ID       string   `json:"id"`
	OK       bool     `json:"ok"`
	Chunks   int      `json:"chunks"`
	Problems []string `json:"problems,omitempty"`
}

func Verify(dir, id, identity string) (Verdict, error) { panic("stub") }

// Policy decides which calls are recorded.
type Policy struct {
	ID, Purpose, LegalBasis string
	Percent                 float64
}

// Records is deterministic: the same call id and policy always decide the same, spread evenly.
func (p Policy) Records(callID string) bool { panic("stub") }

var ErrNotFound, ErrSealed error
