package console

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A scope is one kind of thing a token may do.
const (
	AgentsRead       = "agents:read"
	AgentsControl    = "agents:control"
	AgentsProvision  = "agents:provision" // whoever may do so can make themselves an agent's phone
	CallsRead        = "calls:read"
	CallsControl     = "calls:control"
	RecordingsRead   = "recordings:read"
	RecordingsListen = "recordings:listen"
	RecordingsKeep   = "recordings:keep" // to hold, release and erase them
	ContactsRead     = "contacts:read"
	ReportsRead      = "reports:read"
	TrunksRead       = "trunks:read"
	MetricsRead      = "metrics:read"
	AdminScope       = "admin" // everything, and the audit trail
)

// Scopes lists every scope.
func Scopes() []string {
	return []string{AgentsRead, AgentsControl, AgentsProvision, CallsRead, CallsControl, RecordingsRead,
		RecordingsListen, RecordingsKeep, ContactsRead, ReportsRead, TrunksRead, MetricsRead, AdminScope}
}

// TokenSpec says what a new token is for.
type TokenSpec struct {
	Name    string    // of a person or a program; it is what the audit trail shows
	Scopes  []string  // at least one
	Clients []string  // empty: every client
	Expires time.Time // zero: never
	By      string    // who makes it, for the audit trail
}

// Token is a token as kept. Its secret is not in it and kept nowhere.
type Token struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Scopes   []string   `json:"scopes"`
	Clients  []string   `json:"clients"`
	Created  time.Time  `json:"created"`
	Expires  *time.Time `json:"expires,omitempty"`
	LastUsed *time.Time `json:"last_used,omitempty"` // to the minute
	Revoked  *time.Time `json:"revoked,omitempty"`
}

// CreateToken makes a token and returns it as it is to be typed,
// foyer_<id>_<secret>. That text is shown once: the database holds only the
// SHA-256 of the secret, which is enough for 256 random bits.
func CreateToken(ctx context.Context, db *sql.DB, spec TokenSpec) (string, Token, error) {
	if err := spec.check(); err != nil {
		return "", Token{}, fmt.Errorf("create token: %w", err)
	}
	random := make([]byte, 6+32)
	rand.Read(random) // never fails: crypto/rand ends the program instead
	id := hex.EncodeToString(random[:6])
	secret := base64.RawURLEncoding.EncodeToString(random[6:])
	hash := sha256.Sum256([]byte(secret))
	t := Token{ID: id, Name: spec.Name, Scopes: spec.Scopes, Clients: spec.Clients,
		Created: time.Now().UTC().Truncate(time.Millisecond), Expires: moment(millis(spec.Expires))}

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", Token{}, fmt.Errorf("create token: %w", err)
	}
	defer tx.Rollback()
	_, err = tx.ExecContext(ctx, `INSERT INTO tokens (id, name, hash, scopes, clients, created, expires, last_used, revoked)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)`,
		id, t.Name, hash[:], strings.Join(t.Scopes, " "), strings.Join(t.Clients, " "), millis(t.Created), millis(spec.Expires))
	if err != nil {
		return "", Token{}, fmt.Errorf("create token: %w", err)
	}
	detail := "scopes " + strings.Join(t.Scopes, " ")
	if len(t.Clients) > 0 {
		detail += "; clients " + strings.Join(t.Clients, " ")
	}
	if _, err := appendAudit(ctx, tx, AuditEntry{Actor: spec.By, Action: "token.create", Object: id, Detail: t.Name + "; " + detail}); err != nil {
		return "", Token{}, fmt.Errorf("create token: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return "", Token{}, fmt.Errorf("create token: %w", err)
	}
	return "foyer_" + id + "_" + secret, t, nil
}

func (s TokenSpec) check() error {
	if strings.TrimSpace(s.Name) == "" || s.Name != storable(s.Name) {
		return errors.New("it needs a name, in plain text")
	}
	if len(s.Scopes) == 0 {
		return fmt.Errorf("it needs a scope: %s", strings.Join(Scopes(), ", "))
	}
	for _, scope := range s.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return fmt.Errorf("unknown scope %q: it is one of %s", scope, strings.Join(Scopes(), ", "))
		}
	}
	for _, client := range s.Clients {
		if client == "" || strings.ContainsAny(client, " \t\n") || client != storable(client) {
			return fmt.Errorf("client %q is not an id", client)
		}
	}
	if !s.Expires.IsZero() && s.Expires.Before(time.Now()) {
		return errors.New("it would have expired already")
	}
	return nil
}

const tokenColumns = "id, name, hash, scopes, clients, created, expires, last_used, revoked"

type scanner interface{ Scan(...any) error }

func scanToken(row scanner) (t Token, hash []byte, err error) {
	var scopes, clients string
	var created, expires, used, revoked int64
	if err := row.Scan(&t.ID, &t.Name, &hash, &scopes, &clients, &created, &expires, &used, &revoked); err != nil {
		return Token{}, nil, err
	}
	t.Scopes, t.Clients = strings.Fields(scopes), strings.Fields(clients)
	t.Created = time.UnixMilli(created).UTC()
	t.Expires, t.LastUsed, t.Revoked = moment(expires), moment(used), moment(revoked)
	return t, hash, nil
}

// ListTokens returns every token, the oldest first, revoked and expired ones too.
func ListTokens(ctx context.Context, db *sql.DB) ([]Token, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+tokenColumns+" FROM tokens ORDER BY created, id")
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	defer rows.Close()
	all := []Token{}
	for rows.Next() {
		t, _, err := scanToken(rows)
		if err != nil {
			return nil, fmt.Errorf("list tokens: %w", err)
		}
		all = append(all, t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return all, nil
}

// RevokeToken ends a token at once. ErrNotFound.
func RevokeToken(ctx context.Context, db *sql.DB, id, by string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	defer tx.Rollback()
	done, err := tx.ExecContext(ctx, "UPDATE tokens SET revoked = $1 WHERE id = $2 AND revoked = 0", millis(time.Now()), id)
	if err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	if n, err := done.RowsAffected(); err != nil || n == 0 {
		return fmt.Errorf("revoke token %s: %w", id, errors.Join(ErrNotFound, err))
	}
	if _, err := appendAudit(ctx, tx, AuditEntry{Actor: by, Action: "token.revoke", Object: id}); err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	return nil
}

// errBadToken is a token that opens nothing, for whatever reason: which one is not
// for the bearer to learn.
var errBadToken = errors.New("bad token")

// findToken returns the token that a bearer shows, or errBadToken.
func findToken(ctx context.Context, db *sql.DB, plain string, now time.Time) (Token, error) {
	rest, ok := strings.CutPrefix(plain, "foyer_")
	id, secret, whole := strings.Cut(rest, "_")
	if !ok || !whole {
		return Token{}, errBadToken
	}
	t, hash, err := scanToken(db.QueryRowContext(ctx, "SELECT "+tokenColumns+" FROM tokens WHERE id = $1", storable(id)))
	if errors.Is(err, sql.ErrNoRows) {
		return Token{}, errBadToken
	}
	if err != nil {
		return Token{}, fmt.Errorf("token %s: %w", id, err)
	}
	shown := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(shown[:], hash) != 1 || t.Revoked != nil || t.Expires != nil && !now.Before(*t.Expires) {
		return Token{}, errBadToken
	}
	if t.LastUsed == nil || now.Sub(*t.LastUsed) > time.Minute {
		// A courtesy to whoever tidies up tokens: not worth refusing a request for.
		_, _ = db.ExecContext(ctx, "UPDATE tokens SET last_used = $1 WHERE id = $2", millis(now), id)
	}
	return t, nil
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) *time.Time {
	if ms == 0 {
		return nil
	}
	t := time.UnixMilli(ms).UTC()
	return &t
}
