package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// kept is a row on its way to its table.
type kept interface {
	kind() kind
	// values are those of the insert; an error when the row cannot be encoded.
	values() ([]any, error)
	name() string
}

// kind is the table a row belongs to.
type kind uint8

const (
	aCDR kind = iota
	anInterval
	kinds
)

const insertCDR = `INSERT INTO cdr (id, started, client, queue, agent, outcome, did, caller, row)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (id) DO UPDATE SET started = excluded.started, client = excluded.client, queue = excluded.queue,
	agent = excluded.agent, outcome = excluded.outcome, did = excluded.did, caller = excluded.caller, row = excluded.row`

func (c *CDR) kind() kind   { return aCDR }
func (c *CDR) name() string { return "CDR " + c.ID }

func (c *CDR) values() ([]any, error) {
	row, err := json.Marshal(c)
	return []any{c.ID, int64(c.Started), c.Client, c.Queue, c.Agent,
		string(c.Outcome), storable(c.DID), storable(c.From), string(row)}, err
}

// retryAfter is the pause before a failed group is tried again; lastTries is how
// often Close insists.
const (
	retryAfter = 250 * time.Millisecond
	lastTries  = 12
)

// errClosed is what Flush returns once the store is closed.
var errClosed = errors.New("ledger: the store is closed")

// Put queues CDRs for the next group commit, at most 100 ms away. A row with an id
// already there replaces it. It does not wait for the disk unless the queue is
// full. After Close, and on a read-only store, it does nothing.
func (s *Store) Put(c ...CDR) {
	rows := make([]kept, len(c))
	for i := range c {
		rows[i] = &c[i]
	}
	s.put(rows)
}

// PutIntervals is Put for what was counted. The rows must not be changed afterwards.
func (s *Store) PutIntervals(all ...Interval) {
	rows := make([]kept, len(all))
	for i := range all {
		rows[i] = &all[i]
	}
	s.put(rows)
}

func (s *Store) put(rows []kept) {
	if len(rows) == 0 || s.queue == nil {
		return
	}
	select {
	case <-s.closing:
		return
	default:
	}
	select {
	case s.queue <- rows:
	case <-s.closing:
	}
}

// Flush returns once everything put before it is committed.
func (s *Store) Flush(ctx context.Context) error {
	if s.queue == nil {
		return nil
	}
	done := make(chan error, 1)
	select {
	case s.flushes <- done:
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return fmt.Errorf("ledger flush: %w", ctx.Err())
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("ledger flush: %w", ctx.Err())
	}
}

// write is the writer goroutine: it gathers a group, commits it, and starts again.
func (s *Store) write() {
	defer close(s.finished)
	group := make([]kept, 0, groupRows)
	for {
		var waiting []chan error
		group, waiting = s.gather(group[:0])
		err := s.insist(group)
		for _, done := range waiting {
			done <- err
		}
		select {
		case <-s.closing:
			if len(s.queue) == 0 {
				return
			}
		default:
		}
	}
}

// gather waits for a row, then for as many as come in time. A flush or Close ends
// the wait, with all that was queued before it.
func (s *Store) gather(group []kept) ([]kept, []chan error) {
	var due <-chan time.Time
	for len(group) < groupRows {
		select {
		case c := <-s.queue:
			group = append(group, c...)
			if due == nil {
				due = time.After(groupDelay)
			}
		case <-due:
			return group, nil
		case done := <-s.flushes:
			return s.drain(group), []chan error{done}
		case <-s.closing:
			return s.drain(group), nil
		}
	}
	return group, nil
}

func (s *Store) drain(group []kept) []kept {
	for {
		select {
		case c := <-s.queue:
			group = append(group, c...)
		default:
			return group
		}
	}
}

// insist commits a group, again and again while the disk refuses. Only Close ends
// that, after some tries.
func (s *Store) insist(group []kept) error {
	if len(group) == 0 {
		return nil
	}
	for last := 0; ; {
		written, err := s.commit(group)
		s.mu.Lock()
		s.status.Err = err
		if err == nil {
			s.status.Written += uint64(written)
			s.status.Lost += uint64(len(group) - written)
			s.mu.Unlock()
			return nil
		}
		s.status.Retries++
		s.mu.Unlock()
		select {
		case <-s.closing:
			if last++; last == lastTries {
				s.mu.Lock()
				s.status.Lost += uint64(len(group))
				s.mu.Unlock()
				return err
			}
			time.Sleep(retryAfter)
		case <-time.After(retryAfter):
		}
	}
}

// commit writes a group in one transaction and returns how many rows it holds; a
// row that cannot be encoded is left out, for it never will be.
func (s *Store) commit(group []kept) (written int, err error) {
	defer func() {
		if p := recover(); p != nil { // the driver's; the group is tried again, like any that fails
			s.faults.Add(1)
			written, err = 0, fmt.Errorf("write rows: broken: %v", p)
		}
	}()
	ctx := context.Background()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("write rows: %w", err)
	}
	defer tx.Rollback()
	var inserts [kinds]*sql.Stmt
	for k := range inserts {
		inserts[k] = tx.StmtContext(ctx, s.inserts[k])
		defer inserts[k].Close()
	}
	for _, row := range group {
		values, err := s.encode(row)
		if err != nil {
			continue
		}
		if _, err := inserts[row.kind()].ExecContext(ctx, values...); err != nil {
			return 0, fmt.Errorf("write %s: %w", row.name(), err)
		}
		written++
	}
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("write rows: %w", err)
	}
	return written, nil
}

// encode is the values of a row. A row that breaks the encoder is one that cannot be
// encoded.
func (s *Store) encode(row kept) (values []any, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.faults.Add(1)
			err = fmt.Errorf("encode %s: broken: %v", row.name(), p)
		}
	}()
	return row.values()
}
