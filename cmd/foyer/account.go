package main

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"foyer/cmd/foyer/config"
	"foyer/sip"
)

// accounts are the SIP accounts of agents: those of the configuration, and over them
// those whose password was made here and given out by a link (provision.go). Any
// goroutine may call its methods.
type accounts struct {
	serving sync.Mutex // held while the registrar is told

	mu   sync.Mutex
	made map[string]sip.Account // guarded by mu
}

// loadAccounts reads what has been given out. An account of another realm is left
// out: its hash opens nothing in this one.
func (ex *exchange) loadAccounts(ctx context.Context, realm string) error {
	rows, err := ex.cdrs.DB().QueryContext(ctx, `SELECT agent, algorithm, ha1 FROM phone_accounts WHERE realm = $1`, realm)
	if err != nil {
		return fmt.Errorf("phone accounts: %w", err)
	}
	defer rows.Close()
	ex.accounts.made = map[string]sip.Account{}
	for rows.Next() {
		var a sip.Account
		if err := rows.Scan(&a.User, &a.Algorithm, &a.HA1); err != nil {
			return fmt.Errorf("phone accounts: %w", err)
		}
		ex.accounts.made[a.User] = a
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("phone accounts: %w", err)
	}
	return nil
}

// over is every account of a plan's agents.
func (a *accounts) over(p *plan) []sip.Account {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]sip.Account{}
	for _, c := range p.accounts {
		all[c.User] = c
	}
	for i := range p.cfg.Agents {
		if made, ok := a.made[p.cfg.Agents[i].ID]; ok {
			all[made.User] = made
		}
	}
	return slices.Collect(maps.Values(all))
}

// has says whether a phone of the agent can authenticate.
func (a *accounts) has(p *plan, agent string) bool {
	a.mu.Lock()
	_, made := a.made[agent]
	a.mu.Unlock()
	return made || slices.ContainsFunc(p.accounts, func(c sip.Account) bool { return c.User == agent })
}

// keepAccount stores an account with a new password, in place of an older one.
func keepAccount(ctx context.Context, tx *sql.Tx, a sip.Account, realm string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO phone_accounts (agent, realm, algorithm, ha1, created) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (agent) DO UPDATE SET realm = excluded.realm, algorithm = excluded.algorithm, ha1 = excluded.ha1, created = excluded.created`,
		a.User, realm, string(a.Algorithm), a.HA1, time.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("phone account of %s: %w", a.User, err)
	}
	return nil
}

// open lets phones in with an account that has been stored.
func (ex *exchange) open(a sip.Account) {
	ex.accounts.mu.Lock()
	ex.accounts.made[a.User] = a
	ex.accounts.mu.Unlock()
	ex.serveAccounts()
}

// serveAccounts gives the registrar the accounts as they are now. Of a reload and a
// link that is used at the same moment, the later one sees what both have done.
func (ex *exchange) serveAccounts() {
	ex.accounts.serving.Lock()
	defer ex.accounts.serving.Unlock()
	ex.registrar.SetAccounts(ex.accounts.over(ex.plan.Load()))
}

// digestOf is the algorithm of an agent's account.
func digestOf(cfg *config.Config, agent string) sip.Algorithm {
	for i := range cfg.Agents {
		if cfg.Agents[i].ID == agent {
			return algorithm(cfg.Agents[i].SIP.Digest)
		}
	}
	return algorithm(cfg.Registrar.Digest)
}
