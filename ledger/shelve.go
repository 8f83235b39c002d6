package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

const insertInterval = `INSERT INTO intervals (subject, start, id, client, life, row)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (subject, start, id, client, life) DO UPDATE SET row = excluded.row`

func (i *Interval) kind() kind { return anInterval }

func (i *Interval) name() string {
	return fmt.Sprintf("interval %s of %s %s", i.Start, i.Subject, i.ID)
}

func (i *Interval) values() ([]any, error) {
	row, err := json.Marshal(i.counts())
	return []any{string(i.Subject), int64(i.Start), i.ID, i.Client, int64(i.Life), string(row)}, err
}

func (i *Interval) counts() any {
	if i.Subject == OfQueue {
		return i.Queue
	}
	return i.Agent
}

// IntervalQuery selects what was counted.
type IntervalQuery struct {
	Subject  Subject
	From, To time.Time // of the start: From included, To not; zero: unbounded
	ID       string    // of the queue or agent; empty: any
	Client   string    // empty: any
	Clients  []string  // what the asker may see; nil: every client. Narrows Client, never widens it
}

// EachInterval calls do with every interval q selects, in order of start and id, a
// page at a time, until do fails.
func (s *Store) EachInterval(ctx context.Context, q IntervalQuery, do func(*Interval) error) error {
	var last *Interval
	for {
		rows, err := s.intervals(ctx, q, last)
		if err != nil {
			return fmt.Errorf("find intervals: %w", err)
		}
		for i := range rows {
			if err := do(&rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < page {
			return nil
		}
		last = &rows[len(rows)-1]
	}
}

// intervals is the page after a row; the first one when that is nil.
func (s *Store) intervals(ctx context.Context, q IntervalQuery, after *Interval) ([]Interval, error) {
	var w conditions
	w.add("subject = ?", string(q.Subject))
	if !q.From.IsZero() {
		w.add("start >= ?", q.From.UnixMilli())
	}
	if !q.To.IsZero() {
		w.add("start < ?", q.To.UnixMilli())
	}
	if q.ID != "" {
		w.add("id = ?", storable(q.ID))
	}
	if q.Client != "" {
		w.add("client = ?", storable(q.Client))
	}
	w.among("client", q.Clients)
	if after != nil {
		w.add("(start, id, client, life) > (?, ?, ?, ?)", int64(after.Start), after.ID, after.Client, int64(after.Life))
	}
	rows, err := s.db.QueryContext(ctx, "SELECT start, id, client, life, row FROM intervals"+w.String()+
		" ORDER BY start, id, client, life LIMIT "+strconv.Itoa(page), w.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Interval
	for rows.Next() {
		i := Interval{Subject: q.Subject}
		if q.Subject == OfQueue {
			i.Queue = &QueueCounts{}
		} else {
			i.Agent = &AgentCounts{}
		}
		var raw []byte
		if err := rows.Scan(&i.Start, &i.ID, &i.Client, &i.Life, &raw); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, i.counts()); err != nil {
			return nil, fmt.Errorf("%s: %w", i.name(), err)
		}
		all = append(all, i)
	}
	return all, rows.Err()
}
