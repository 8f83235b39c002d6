package console

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"
)

// Options is what the console needs. A part that is nil answers 501 on its routes.
type Options struct {
	Floor      Floor
	Control    Control
	Diagnosis  Diagnosis
	Recordings Recordings
	Contacts   Contacts
	Reports    Reports
	Phones     Phones
	Config     Configuration
	Trunks     Trunks
	Streams    Streams
	DB         *sql.DB // holds the tokens and the audit trail, migrated by the ledger; needed
	Demo       bool    // without a token, everything, but only from this machine
	Site       string
	Version    string
	Locale     string                          // fr or en: for who states no preference
	Ready      func(ctx context.Context) error // nil error: calls are taken; else why not, in one sentence
	Healthy    func() error                    // nil error: alive; else what is broken, in one sentence
	Warnings   func() []string                 // what an operator must see to while calls go on
	Metrics    http.Handler                    // nil: no /metrics here
	Log        *zap.Logger                     // nil: silent
}

// console answers requests. It holds no state of its own.
type console struct {
	Options
	log  *zap.Logger
	door *door
}

// New builds the console: the API under /api/v1, its description at
// /api/openapi.json and /api/docs, the page at /, and /healthz, /readyz and, if
// there is a handler for it, /metrics.
func New(o Options) (http.Handler, error) {
	if o.DB == nil {
		return nil, errors.New("console: it needs a database for tokens and the audit trail")
	}
	log := o.Log
	if log == nil {
		log = zap.NewNop()
	}
	c := &console{Options: o, log: log, door: &door{db: o.DB, demo: o.Demo, log: log}}
	mux := http.NewServeMux()
	api := c.api(mux)
	spec, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("console: describe the API: %w", err)
	}
	mux.HandleFunc("GET /api/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(spec)
	})
	docs, err := c.docs(api.OpenAPI())
	if err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /api/docs", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(docs)
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		p := problem(http.StatusNotFound, "no_such_route", "There is no "+r.Method+" "+r.URL.Path+".", "The API is described at /api/docs.")
		p.write(w)
	})
	if err := c.pages(mux); err != nil {
		return nil, err
	}
	if err := c.phonePages(mux); err != nil {
		return nil, err
	}
	mux.HandleFunc("GET /healthz", c.health)
	mux.HandleFunc("GET /readyz", c.ready)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", c.door.guard(MetricsRead, o.Metrics))
	}
	return secure(mux), nil
}

// secure sets what every answer says to browsers.
func secure(h http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := w.Header()
		to.Set("Content-Security-Policy", policy)
		to.Set("X-Content-Type-Options", "nosniff")
		to.Set("X-Frame-Options", "DENY")
		to.Set("Referrer-Policy", "no-referrer")
		to.Set("Cross-Origin-Opener-Policy", "same-origin")
		to.Set("Cross-Origin-Resource-Policy", "same-origin")
		to.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

func (c *console) api(mux *http.ServeMux) huma.API {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	api := humago.NewWithPrefix(mux, "/api/v1", huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Foyer", Version: cmp.Or(c.Version, "dev"),
				Description: "Live calls, agents and queues of a contact-centre switch, its call records and its recordings. " +
					"Times are RFC 3339 in UTC, durations seconds, numbers E.164. Errors are RFC 9457 problems with a code and a hint.",
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "A token of `foyer token create`: foyer_<id>_<secret>"},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}, // json: of +json
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{problems},

		RejectUnknownQueryParameters: true,
	})
	api.UseMiddleware(c.door.admit)
	c.callRoutes(api)
	c.agentRoutes(api)
	c.phoneRoutes(api)
	c.queueRoutes(api)
	c.callbackRoutes(api)
	c.trunkRoutes(api)
	c.contactRoutes(api)
	c.reportRoutes(api)
	c.recordingRoutes(api)
	c.keepRoutes(api)
	c.auditRoutes(api)
	c.configRoutes(api)
	c.streamRoutes(api)
	return api
}

// route describes an operation; pattern is its method and path. Its scope is what admit asks of the token.
func route(id, pattern, scope, summary string) huma.Operation {
	method, path, _ := strings.Cut(pattern, " ")
	tag, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	tag, _, _ = strings.Cut(tag, ".")
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Description: "Scope: " + scope + ".",
		Tags:        []string{tag},
		Security:    []map[string][]string{{"token": {scope}}},
		Metadata:    map[string]any{"scope": scope},

		RejectUnknownQueryParameters: true,
	}
}

// list is the body of every listing.
type list[T any] struct {
	Body struct {
		Items []T       `json:"items"`
		Next  string    `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
		Now   time.Time `json:"now" doc:"The switch's clock, to count durations from"`
	}
}

func listing[T any](items []T, next string) *list[T] {
	l := &list[T]{}
	l.Body.Items = append([]T{}, items...) // never null
	l.Body.Next = next
	l.Body.Now = time.Now().UTC()
	return l
}

// one is the body of an answer about one thing.
type one[T any] struct{ Body T }

// done is the answer to a command that has no news.
type done struct{}

// record leaves a line about a command that was carried out. The command stands
// even if the line cannot be written: a call must be able to end when a disk is full.
func (c *console) record(ctx context.Context, e AuditEntry) {
	a := who(ctx)
	e.Actor, e.Remote = a.name, a.remote
	if _, err := AppendAudit(ctx, c.DB, e); err != nil {
		c.log.Error("console", zap.String("about", "audit"), zap.Error(err))
	}
}
