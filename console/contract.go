package console

import (
	"context"
	"database/sql"
	"net/http"

	"go.uber.org/zap"
)

// Options is what the console needs. A nil part answers 501 on its routes.
type Options struct {
	Floor         Floor
	Control       Control
	Diagnosis     Diagnosis
	Recordings    Recordings
	Contacts      Contacts
	DB            *sql.DB // holds the tokens and the audit trail: ledger's Store.DB()
	Demo          bool    // without a token, everything, from this machine only
	Site, Version string
	Locale        string                          // fr or en: for who states no preference
	Ready         func(ctx context.Context) error // nil or an error that says in one sentence why no calls are taken
	Healthy       func() error                    // nil or an error that says in one sentence what is broken
	Metrics       http.Handler                    // nil: no /metrics here
	Log           *zap.Logger                     // nil: silent
}

// New builds the console: the API under /api/v1, the page at /, health at /healthz and /readyz.
func New(o Options) (http.Handler, error) { panic("stub") }

// Admin marks every request as the operator's at the machine: serve it on the admin socket only.
func Admin(h http.Handler) http.Handler { panic("stub") }
