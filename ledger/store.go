package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Store keeps CDRs and counted intervals in SQL. It may be used from any goroutine.
//
// Writing: Put hands rows to a bounded queue (4,096 times, some minutes of a busy
// floor); one goroutine takes them from there and commits them in groups, at most
// 100 ms or 200 rows apart. Put waits only when the queue is full, which means that
// the disk has not taken a row for that long. A group that fails is tried again
// until it succeeds or the store is closed: nothing is dropped meanwhile.
//
// A commit survives the death of the process at once and of the machine at the
// next checkpoint (SQLite in WAL mode, synchronous=NORMAL): the journal covers the
// difference.
type Store struct {
	db       *sql.DB
	inserts  [kinds]*sql.Stmt
	queue    chan []kept // nil when read-only
	flushes  chan chan error
	closing  chan struct{}
	finished chan struct{}
	closer   sync.Once

	faults atomic.Uint64

	mu     sync.Mutex
	status Status
}

// Status is how the writing goes.
type Status struct {
	Written uint64 // rows committed
	Lost    uint64 // rows that could not be encoded, or were still failing at Close
	Retries uint64 // groups that had to be tried again
	Faults  uint64 // of ours, confined to the row or the group they happened in
	Err     error  // what the last group failed with; nil once one succeeded
}

// ErrNotFound is returned by Get for an id that has no row.
var ErrNotFound = errors.New("no such CDR")

const (
	queuedPuts = 4096
	groupRows  = 200
	groupDelay = 100 * time.Millisecond
)

// OpenStore opens the books, makes them if they are not there, and brings their
// tables up to date.
func OpenStore(ctx context.Context, d Database) (*Store, error) {
	db, err := d.open(ctx, false)
	if err != nil {
		return nil, closing(db, d, err)
	}
	db.SetMaxIdleConns(4) // opening one costs more than most queries
	s := &Store{
		db:       db,
		queue:    make(chan []kept, queuedPuts),
		flushes:  make(chan chan error),
		closing:  make(chan struct{}),
		finished: make(chan struct{}),
	}
	for kind, text := range [kinds]string{aCDR: insertCDR, anInterval: insertInterval} {
		if s.inserts[kind], err = db.PrepareContext(ctx, text); err != nil {
			return nil, closing(db, d, err)
		}
	}
	go s.write()
	return s, nil
}

// ReadOnly opens existing books beside a running switch, which does not notice.
func ReadOnly(ctx context.Context, d Database) (*Store, error) {
	db, err := d.open(ctx, true)
	if err != nil {
		return nil, closing(db, d, err)
	}
	if _, err := db.ExecContext(ctx, "SELECT id FROM cdr LIMIT 1"); err != nil {
		return nil, closing(db, d, err)
	}
	return &Store{db: db}, nil
}

// closing gives up on a database.
func closing(db *sql.DB, d Database, err error) error {
	if db != nil {
		db.Close()
	}
	return fmt.Errorf("ledger %s: %w", d, err)
}

// DB is the database beneath, for the tables of tokens and audit that share the file.
func (s *Store) DB() *sql.DB { return s.db }

// Status tells how the writing goes.
func (s *Store) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.status
	st.Faults = s.faults.Load()
	return st
}

// Close writes what is queued and closes the database. While the disk refuses it
// insists for a few seconds, then returns how many rows were lost and why.
func (s *Store) Close() error {
	var err error
	s.closer.Do(func() {
		if s.queue != nil {
			close(s.closing)
			<-s.finished
			if st := s.Status(); st.Err != nil {
				err = fmt.Errorf("ledger: %d rows not written: %w", st.Lost, st.Err)
			}
			for _, insert := range s.inserts {
				insert.Close()
			}
		}
		if e := s.db.Close(); e != nil && err == nil {
			err = fmt.Errorf("ledger: %w", e)
		}
	})
	return err
}
