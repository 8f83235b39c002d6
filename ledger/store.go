package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store keeps CDRs in SQLite. It may be used from any goroutine.
//
// Writing: Put hands rows to a bounded queue (4,096 rows, some minutes of a busy
// floor); one goroutine takes them from there and commits them in groups, at most
// 100 ms or 200 rows apart. Put waits only when the queue is full, which means that
// the disk has not taken a row for that long. A group that fails is tried again
// until it succeeds or the store is closed: nothing is dropped meanwhile.
//
// A commit survives the death of the process at once and of the machine at the
// next checkpoint (WAL, synchronous=NORMAL): the journal covers the difference.
type Store struct {
	db       *sql.DB
	insert   *sql.Stmt // nil when read-only
	queue    chan []CDR
	flushes  chan chan error
	closing  chan struct{}
	finished chan struct{}
	closer   sync.Once

	mu     sync.Mutex
	status Status
}

// Status is how the writing goes.
type Status struct {
	Written uint64 // rows committed
	Lost    uint64 // rows that could not be encoded, or were still failing at Close
	Retries uint64 // groups that had to be tried again
	Err     error  // what the last group failed with; nil once one succeeded
}

// ErrNotFound is returned by Get for an id that has no row.
var ErrNotFound = errors.New("no such CDR")

const (
	queuedPuts = 4096
	groupRows  = 200
	groupDelay = 100 * time.Millisecond
	busyWait   = 5 * time.Second
)

// OpenStore opens the SQLite file at path, makes it if it is not there, and brings
// its tables up to date.
func OpenStore(ctx context.Context, path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("ledger directory: %w", err)
	}
	// Other programs' users have no business with who called whom.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	f.Close()
	db, err := sql.Open("sqlite", address(path, false))
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	db.SetMaxIdleConns(4) // opening one costs more than most queries
	if err := migrate(ctx, db); err != nil {
		db.Close()
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	insert, err := db.PrepareContext(ctx, insertRow)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	s := &Store{
		db:       db,
		insert:   insert,
		queue:    make(chan []CDR, queuedPuts),
		flushes:  make(chan chan error),
		closing:  make(chan struct{}),
		finished: make(chan struct{}),
	}
	go s.write()
	return s, nil
}

// ReadOnly opens an existing store beside a running switch, which does not notice.
func ReadOnly(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	db, err := sql.Open("sqlite", address(path, true))
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	if _, err := db.ExecContext(ctx, "SELECT id FROM cdr LIMIT 1"); err != nil {
		db.Close()
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	return &Store{db: db}, nil
}

// address is the data source name of a file. Transactions begin IMMEDIATE: one
// that reads first and writes then could otherwise not wait for another writer.
func address(path string, readOnly bool) string {
	q := url.Values{}
	q.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyWait.Milliseconds()))
	if readOnly {
		q.Set("mode", "ro")
		q.Add("_pragma", "query_only(1)")
	} else {
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(NORMAL)")
		q.Set("_txlock", "immediate")
	}
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return name.String()
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// DB is the database beneath, for the tables of tokens and audit that share the file.
func (s *Store) DB() *sql.DB { return s.db }

// Status tells how the writing goes.
func (s *Store) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
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
				err = fmt.Errorf("ledger: %d CDRs not written: %w", st.Lost, st.Err)
			}
			s.insert.Close()
		}
		if e := s.db.Close(); e != nil && err == nil {
			err = fmt.Errorf("ledger: %w", e)
		}
	})
	return err
}
