package ledger

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Query selects CDRs. The zero Query is every one, newest first.
type Query struct {
	From, To             time.Time // of Started: From included, To not; zero: unbounded
	Client, Queue, Agent string    // empty: any. Agent is the last who talked
	Clients              []string  // what the asker may see; nil: every client. Narrows Client, never widens it
	DID, Caller          string
	Outcome              Outcome
	OldestFirst          bool
	Limit                int    // 0: all
	After                string // the Cursor of the last row already had
}

// Cursor is the place of c in any listing, for Query.After.
func (c CDR) Cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(int64(c.Started), 36) + " " + c.ID))
}

// ErrCursor is returned for a Query.After that no Cursor made.
var ErrCursor = errors.New("not a cursor")

func readCursor(text string) (Instant, string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return 0, "", ErrCursor
	}
	at, id, ok := strings.Cut(string(raw), " ")
	started, err := strconv.ParseInt(at, 36, 64)
	if !ok || err != nil {
		return 0, "", ErrCursor
	}
	return Instant(started), id, nil
}

// where is the SQL of q without its limit, and its arguments.
func (q Query) where() (string, []any, error) {
	var w conditions
	add := w.add
	if !q.From.IsZero() {
		add("started >= ?", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		add("started < ?", q.To.UnixMilli())
	}
	for _, exact := range [...][2]string{
		{"client", q.Client}, {"queue", q.Queue}, {"agent", q.Agent},
		{"did", q.DID}, {"caller", q.Caller}, {"outcome", string(q.Outcome)},
	} {
		if column, value := exact[0], exact[1]; value != "" {
			add(column+" = ?", storable(value))
		}
	}
	w.among("client", q.Clients)
	order, beyond := "DESC", "<"
	if q.OldestFirst {
		order, beyond = "ASC", ">"
	}
	if q.After != "" {
		at, id, err := readCursor(q.After)
		if err != nil {
			return "", nil, err
		}
		add("(started, id) "+beyond+" (?, ?)", int64(at), id)
	}
	return w.String() + " ORDER BY started " + order + ", id " + order, w.args, nil
}

// conditions are the terms of a WHERE clause and their arguments.
type conditions struct {
	terms []string
	args  []any
}

// add adds a term in which every ? stands for one of the values.
func (w *conditions) add(term string, values ...any) {
	for _, v := range values {
		w.args = append(w.args, v)
		term = strings.Replace(term, "?", "$"+strconv.Itoa(len(w.args)), 1)
	}
	w.terms = append(w.terms, term)
}

// among adds that a column has one of the values; no values: it has none. Nil: any.
func (w *conditions) among(column string, values []string) {
	switch {
	case values == nil:
	case len(values) == 0:
		w.terms = append(w.terms, "1 = 0")
	default:
		all := make([]any, len(values))
		for i, v := range values {
			all[i] = v
		}
		w.add(column+" IN (?"+strings.Repeat(", ?", len(values)-1)+")", all...)
	}
}

func (w *conditions) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

// page is how many rows one read transaction takes: a long one would keep the
// write-ahead log from being folded back while the switch goes on writing.
const page = 500

// List returns the CDRs q selects. For many rows use Each.
func (s *Store) List(ctx context.Context, q Query) ([]CDR, error) {
	var all []CDR
	err := s.Each(ctx, q, func(c CDR) error {
		all = append(all, c)
		return nil
	})
	return all, err
}

// Each calls do with every CDR q selects, a page at a time, until do fails.
func (s *Store) Each(ctx context.Context, q Query, do func(CDR) error) error {
	return s.each(ctx, q, func(raw []byte) (string, error) {
		var c CDR
		if err := json.Unmarshal(raw, &c); err != nil {
			return "", fmt.Errorf("read CDR: %w", err)
		}
		return c.Cursor(), do(c)
	})
}

// each hands out the rows as they were stored; do returns the row's cursor.
func (s *Store) each(ctx context.Context, q Query, do func(raw []byte) (cursor string, err error)) error {
	for left := q.Limit; ; {
		n := page
		if q.Limit > 0 {
			n = min(n, left)
		}
		rows, err := s.page(ctx, q, n)
		if err != nil {
			return err
		}
		for _, raw := range rows {
			if q.After, err = do(raw); err != nil {
				return err
			}
		}
		left -= len(rows)
		if len(rows) < n || q.Limit > 0 && left == 0 {
			return nil
		}
	}
}

func (s *Store) page(ctx context.Context, q Query, n int) ([][]byte, error) {
	where, args, err := q.where()
	if err != nil {
		return nil, fmt.Errorf("find CDRs: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, "SELECT row FROM cdr"+where+" LIMIT "+strconv.Itoa(n), args...)
	if err != nil {
		return nil, fmt.Errorf("find CDRs: %w", err)
	}
	defer rows.Close()
	var all [][]byte
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&raw); err != nil {
			return nil, fmt.Errorf("find CDRs: %w", err)
		}
		all = append(all, raw)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find CDRs: %w", err)
	}
	return all, nil
}

// Get returns one CDR. ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (CDR, error) {
	var raw []byte
	err := s.db.QueryRowContext(ctx, "SELECT row FROM cdr WHERE id = $1", id).Scan(&raw)
	if errors.Is(err, sql.ErrNoRows) {
		return CDR{}, fmt.Errorf("CDR %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return CDR{}, fmt.Errorf("CDR %s: %w", id, err)
	}
	var c CDR
	if err := json.Unmarshal(raw, &c); err != nil {
		return CDR{}, fmt.Errorf("CDR %s: %w", id, err)
	}
	return c, nil
}
