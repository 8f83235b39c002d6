package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
)

// ErrPostgres: a copy was asked for of books that are in PostgreSQL. They are
// backed up by PostgreSQL's own tools.
var ErrPostgres = errors.New("the books are in PostgreSQL: back them up with pg_dump")

// Copy writes the books as they are at this moment to a new SQLite file. It reads in
// one transaction beside a running switch, whose writes it does not hold up.
func Copy(ctx context.Context, d Database, to string) error {
	if d.Postgres != "" {
		return ErrPostgres
	}
	if _, err := os.Stat(d.File); err != nil {
		return fmt.Errorf("ledger %s: %w", d, err)
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return fmt.Errorf("ledger %s: %w", d, err)
	}
	f.Close()
	// Not query_only, by which SQLite refuses to write the copy too.
	db, err := sql.Open("sqlite", address(d.File, false))
	if err != nil {
		return fmt.Errorf("ledger %s: %w", d, err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "VACUUM INTO $1", to); err != nil {
		return fmt.Errorf("ledger %s: copy: %w", d, err)
	}
	return nil
}

// Check reads a whole SQLite file of books that nobody writes: an error says what is
// damaged. It gives the number of CDRs.
func Check(ctx context.Context, file string) (calls int, err error) {
	s, err := ReadOnly(ctx, Database{File: file})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	var found string
	if err := s.db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return 0, fmt.Errorf("ledger %s: %w", file, err)
	}
	if found != "ok" {
		return 0, fmt.Errorf("ledger %s: damaged: %s", file, found)
	}
	if calls, err = s.Count(ctx); err != nil {
		return 0, fmt.Errorf("ledger %s: %w", file, err)
	}
	return calls, nil
}

// Count is the number of CDRs.
func (s *Store) Count(ctx context.Context) (n int, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT count(*) FROM cdr").Scan(&n)
	return n, err
}
