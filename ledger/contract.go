// Package ledger: CONTRACT STUB. Signatures stay; the owner replaces the bodies.
package ledger

import (
	"context"
	"io"
	"time"

	"foyer/acd"
)

// CDR is one customer call. The JSON is the contract of `foyer cdr export` (shared/SURFACE.md "CDR/contact row", the parts this release fills).
type CDR struct {
	ID string /* … */
}

// Fold turns the journal into CDRs: pure, fed in journal order with what the floor answered.
type Fold struct{}

func NewFold() *Fold { panic("stub") }

// Apply returns the CDRs that this event completed or changed (a wrap-up ends after its call: same ID again).
func (f *Fold) Apply(now time.Time, ev acd.Event, done []acd.Action) []CDR { panic("stub") }

// Open lists the calls without a last word; after a crash they are closed with CauseRestart.
func (f *Fold) Open() []acd.CallID { panic("stub") }

// Store keeps CDRs in SQL.
type Store struct{}

func OpenStore(ctx context.Context, dsn string) (*Store, error) { panic("stub") } // a file path: SQLite, WAL, migrated by goose
func (s *Store) Close() error                                   { panic("stub") } // flushes
// Put queues CDRs for the next group commit (at most 100 ms away). It does not block on the disk; when the writer is far behind it waits.
func (s *Store) Put(c ...CDR)                                     { panic("stub") }
func (s *Store) Flush(ctx context.Context) error                  { panic("stub") }
func (s *Store) List(ctx context.Context, q Query) ([]CDR, error) { panic("stub") }
func (s *Store) Get(ctx context.Context, id string) (CDR, error)  { panic("stub") }

type Query struct {
	From, To             time.Time
	Client, Queue, Agent string
	Limit                int
	After                string // cursor
}

// ReadOnly opens an existing store beside a running switch.
func ReadOnly(ctx context.Context, path string) (*Store, error) { panic("stub") }

func WriteNDJSON(w io.Writer, c []CDR) error { panic("stub") }

type CSVOptions struct {
	BOM       bool
	Semicolon bool
}

func WriteCSV(w io.Writer, c []CDR, o CSVOptions) error { panic("stub") }

// Token and audit tables share the store's database: see console.
