package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Database says where the books are kept: in a SQLite file, or in PostgreSQL.
//
// What differs between the two is in this file and in the migrations. All other SQL
// is the same for both: placeholders are $1, $2, which SQLite knows too.
type Database struct {
	File     string // of SQLite
	Postgres string // connection string of PostgreSQL 15 or newer; when set, File counts for nothing
}

// String names the place without its password.
func (d Database) String() string {
	if d.Postgres == "" {
		return d.File
	}
	cfg, err := pgx.ParseConfig(d.Postgres)
	if err != nil {
		return "postgres"
	}
	return fmt.Sprintf("postgres %s on %s", cfg.Database, cfg.Host)
}

const (
	busyWait    = 5 * time.Second  // for another writer of the SQLite file
	connectWait = 10 * time.Second // for PostgreSQL to take a connection
)

// open connects, and makes what is not there unless readOnly.
func (d Database) open(ctx context.Context, readOnly bool) (*sql.DB, error) {
	if d.Postgres != "" {
		return d.openPostgres(ctx, readOnly)
	}
	if readOnly {
		if _, err := os.Stat(d.File); err != nil {
			return nil, err
		}
		return sql.Open("sqlite", address(d.File, true))
	}
	if err := os.MkdirAll(filepath.Dir(d.File), 0o750); err != nil {
		return nil, err
	}
	// Other programs' users have no business with who called whom.
	f, err := os.OpenFile(d.File, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, err
	}
	f.Close()
	db, err := sql.Open("sqlite", address(d.File, false))
	if err != nil {
		return nil, err
	}
	return db, d.migrate(ctx, db)
}

func (d Database) openPostgres(ctx context.Context, readOnly bool) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig(d.Postgres)
	if err != nil {
		return nil, errors.New("the connection string cannot be read") // its text holds the password
	}
	cfg.ConnectTimeout = cmp.Or(cfg.ConnectTimeout, connectWait)
	cfg.RuntimeParams["application_name"] = cmp.Or(cfg.RuntimeParams["application_name"], "foyer")
	if readOnly {
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
	}
	db := stdlib.OpenDB(*cfg)
	if readOnly {
		return db, nil
	}
	return db, d.migrate(ctx, db)
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

//go:embed migrations/*/*.sql
var migrations embed.FS

// migrate brings the tables up to date. Two programs that start at once take turns.
func (d Database) migrate(ctx context.Context, db *sql.DB) error {
	dialect, folder := goose.DialectSQLite3, "migrations/sqlite"
	options := []goose.ProviderOption{goose.WithLogger(goose.NopLogger()), goose.WithDisableGlobalRegistry(true)}
	if d.Postgres != "" {
		dialect, folder = goose.DialectPostgres, "migrations/postgres"
		turn, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return fmt.Errorf("migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(turn))
	}
	dir, err := fs.Sub(migrations, folder)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, db, dir, options...)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// storable is a text that every database takes: PostgreSQL refuses a NUL and what
// is not UTF-8, and a number of a caller may be anything.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
