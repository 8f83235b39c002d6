package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// AuditEntry is one line of the audit trail: who did what to what, when, from where.
type AuditEntry struct {
	Seq    int64     `json:"seq" doc:"1 for the first line ever, without gaps"`
	At     time.Time `json:"at"`
	Actor  string    `json:"actor" doc:"The token's name and id, demo, or admin-socket"`
	Action string    `json:"action" example:"recording.listen"`
	Object string    `json:"object" doc:"The id of what it was done to"`
	Call   string    `json:"call,omitempty"`
	Detail string    `json:"detail,omitempty"`
	Remote string    `json:"remote,omitempty" doc:"Address it was done from"`
	Hash   string    `json:"hash" doc:"SHA-256 over this line and the hash of the one before"`
}

// AuditQuery selects lines, newest first.
type AuditQuery struct {
	Object string // empty: any
	Before int64  // only lines with a smaller Seq; 0: from the newest
	Limit  int
}

// execer is a transaction or a database.
type execer interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// AppendAudit adds a line to the trail and returns it with its number, time and
// hash. Lines are chained: each holds the hash of the one before, so that none can
// be changed or taken out afterwards without VerifyAudit seeing it.
func AppendAudit(ctx context.Context, db *sql.DB, e AuditEntry) (AuditEntry, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return e, fmt.Errorf("audit %s: %w", e.Action, err)
	}
	defer tx.Rollback()
	if e, err = appendAudit(ctx, tx, e); err != nil {
		return e, err
	}
	if err := tx.Commit(); err != nil {
		return e, fmt.Errorf("audit %s: %w", e.Action, err)
	}
	return e, nil
}

func appendAudit(ctx context.Context, tx execer, e AuditEntry) (AuditEntry, error) {
	for _, text := range []*string{&e.Actor, &e.Action, &e.Object, &e.Call, &e.Detail, &e.Remote} {
		*text = storable(*text)
	}
	// Two writers that read the same last line would give their own the same number:
	// whoever has this row goes first, and the next one reads what they wrote.
	if _, err := tx.ExecContext(ctx, "UPDATE audit_turn SET one = 1"); err != nil {
		return e, fmt.Errorf("audit %s: %w", e.Action, err)
	}
	e.At = time.Now().UTC().Truncate(time.Millisecond)
	var seq int64
	prev := make([]byte, sha256.Size)
	err := tx.QueryRowContext(ctx, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").Scan(&seq, &prev)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return e, fmt.Errorf("audit %s: %w", e.Action, err)
	}
	e.Seq = seq + 1
	hash := e.sum(prev)
	e.Hash = hex.EncodeToString(hash)
	_, err = tx.ExecContext(ctx, `INSERT INTO audit (seq, at, actor, action, object, call, detail, remote, prev_hash, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		e.Seq, e.At.UnixMilli(), e.Actor, e.Action, e.Object, e.Call, e.Detail, e.Remote, prev, hash)
	if err != nil {
		return e, fmt.Errorf("audit %s: %w", e.Action, err)
	}
	return e, nil
}

// storable is a text that every database takes: PostgreSQL refuses a NUL and what is
// not UTF-8. The hash is over what is stored.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// sum is the SHA-256 over the line and the hash before it. Every text goes in
// after its length, so that no two lines read the same.
func (e AuditEntry) sum(prev []byte) []byte {
	b := append([]byte(nil), prev...)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMilli()))
	for _, text := range []string{e.Actor, e.Action, e.Object, e.Call, e.Detail, e.Remote} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
		b = append(b, text...)
	}
	hash := sha256.Sum256(b)
	return hash[:]
}

const auditColumns = "seq, at, actor, action, object, call, detail, remote, prev_hash, hash"

func scanAudit(rows *sql.Rows) (e AuditEntry, prev, hash []byte, err error) {
	var at int64
	if err := rows.Scan(&e.Seq, &at, &e.Actor, &e.Action, &e.Object, &e.Call, &e.Detail, &e.Remote, &prev, &hash); err != nil {
		return e, nil, nil, fmt.Errorf("read audit: %w", err)
	}
	e.At, e.Hash = time.UnixMilli(at).UTC(), hex.EncodeToString(hash)
	return e, prev, hash, nil
}

// ListAudit returns lines of the trail, newest first.
func ListAudit(ctx context.Context, db *sql.DB, q AuditQuery) ([]AuditEntry, error) {
	where, args := "1 = 1", []any{q.Limit}
	if q.Object != "" {
		where, args = where+fmt.Sprintf(" AND object = $%d", len(args)+1), append(args, storable(q.Object))
	}
	if q.Before > 0 {
		where, args = where+fmt.Sprintf(" AND seq < $%d", len(args)+1), append(args, q.Before)
	}
	rows, err := db.QueryContext(ctx, "SELECT "+auditColumns+" FROM audit WHERE "+where+" ORDER BY seq DESC LIMIT $1", args...)
	if err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	defer rows.Close()
	all := []AuditEntry{}
	for rows.Next() {
		e, _, _, err := scanAudit(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read audit: %w", err)
	}
	return all, nil
}

// AuditBroken is VerifyAudit's verdict on a trail that was tampered with.
type AuditBroken struct {
	Seq int64 // the first line that does not fit
	Why string
}

func (b *AuditBroken) Error() string {
	return fmt.Sprintf("audit line %d does not fit: %s", b.Seq, b.Why)
}

// VerifyAudit reads the whole trail and returns its last line: keep that line's
// number and hash elsewhere, for a chain alone does not show that its end was cut
// off. *AuditBroken when a line was changed, taken out or put in.
func VerifyAudit(ctx context.Context, db *sql.DB) (AuditEntry, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+auditColumns+" FROM audit ORDER BY seq")
	if err != nil {
		return AuditEntry{}, fmt.Errorf("read audit: %w", err)
	}
	defer rows.Close()
	var last AuditEntry
	before := make([]byte, sha256.Size)
	for rows.Next() {
		e, prev, hash, err := scanAudit(rows)
		switch {
		case err != nil:
			return last, err
		case e.Seq != last.Seq+1:
			return last, &AuditBroken{Seq: last.Seq + 1, Why: "it is missing"}
		case !bytes.Equal(prev, before):
			return last, &AuditBroken{Seq: e.Seq, Why: "it follows another line than the one before it"}
		case !bytes.Equal(hash, e.sum(prev)):
			return last, &AuditBroken{Seq: e.Seq, Why: "its text was changed"}
		}
		last, before = e, hash
	}
	if err := rows.Err(); err != nil {
		return last, fmt.Errorf("read audit: %w", err)
	}
	return last, nil
}
