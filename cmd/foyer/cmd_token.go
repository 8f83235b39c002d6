package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/ledger"
)

type tokenCmd struct {
	Create tokenCreate `cmd:"" help:"Make a token. It is shown once and stored hashed."`
	List   tokenList   `cmd:"" help:"List tokens, never their secrets."`
	Revoke tokenRevoke `cmd:"" help:"Make a token worthless, now."`
}

type tokenCreate struct {
	Name    string        `help:"Whose it is: a person or a program." required:""`
	Scope   []string      `help:"What it may do: ${scopes}. Several, with commas." required:""`
	Client  []string      `help:"Only these clients' data; none: all."`
	Expires time.Duration `help:"How long it is good for." default:"8760h"`
}

func (t *tokenCreate) Run(c *cli) error {
	return withBooks(c, func(ctx context.Context, db *sql.DB) error {
		plain, tok, err := console.CreateToken(ctx, db, console.TokenSpec{Name: t.Name, Scopes: t.Scope, Clients: t.Client, Expires: time.Now().Add(t.Expires), By: whoRuns()})
		if err != nil {
			return err
		}
		fmt.Println(plain)
		fmt.Fprintf(os.Stderr, "token %s for %s, good until %s; it is not shown again\n", tok.ID, tok.Name, day(tok.Expires))
		return nil
	})
}

type tokenList struct{}

func (tokenList) Run(c *cli) error {
	return withBooks(c, func(ctx context.Context, db *sql.DB) error {
		list, err := console.ListTokens(ctx, db)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tSCOPES\tCLIENTS\tEXPIRES\tLAST USED\tREVOKED")
		for _, t := range list {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%v\n", t.ID, t.Name, strings.Join(t.Scopes, ","), strings.Join(t.Clients, ","),
				day(t.Expires), when(t.LastUsed), when(t.Revoked))
		}
		return w.Flush()
	})
}

type tokenRevoke struct {
	ID string `arg:"" help:"The token's id, as listed."`
}

func (t *tokenRevoke) Run(c *cli) error {
	return withBooks(c, func(ctx context.Context, db *sql.DB) error { return console.RevokeToken(ctx, db, t.ID, whoRuns()) })
}

// withBooks opens the database, beside a running switch or not.
func withBooks(c *cli, f func(context.Context, *sql.DB) error) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	ctx := context.Background()
	store, err := openBooks(ctx, cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	return f(ctx, store.DB())
}

func openBooks(ctx context.Context, cfg *config.Config) (*ledger.Store, error) {
	if err := os.MkdirAll(cfg.Site.DataDir, 0o750); err != nil {
		return nil, fmt.Errorf("site.data_dir: %w", err)
	}
	store, err := ledger.OpenStore(ctx, books(cfg))
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return store, nil
}

// traceListen leaves the trace that every listen of a recording must leave:
// who fetched it from the command line, and when.
func traceListen(cfg *config.Config, id string) error {
	ctx := context.Background()
	store, err := openBooks(ctx, cfg)
	if err != nil {
		return err
	}
	defer store.Close()
	entry := console.AuditEntry{Actor: whoRuns(), Action: "recording.download", Object: id, Remote: "command line"}
	if _, err := console.AppendAudit(ctx, store.DB(), entry); err != nil {
		return fmt.Errorf("the fetch could not be traced, so the recording stays closed: %w", err)
	}
	return nil
}

func whoRuns() string {
	if u := os.Getenv("SUDO_USER"); u != "" {
		return u + " (sudo)"
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// day and when write a moment that may never come, or never came.
func day(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format(time.DateOnly)
}

func when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.Format(time.DateTime)
}
