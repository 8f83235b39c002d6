package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/sip"
)

// A phone gets its account by a link that works once. Nobody chooses the password and
// nobody keeps it: it is made when the link is used, handed to the phone, and only its
// hash stays. Until then the phone the agent had before goes on working.

// Issue makes a link's secret. An earlier one for the same agent that was not used is
// worthless from then on.
func (d *desk) Issue(ctx context.Context, agent string, life time.Duration) (console.PhoneLink, error) {
	p := d.ex.plan.Load()
	if _, ok := p.agents[acd.AgentID(agent)]; !ok {
		return console.PhoneLink{}, fmt.Errorf("agent %s: %w", agent, console.ErrNotFound)
	}
	random := make([]byte, 32)
	rand.Read(random) // never fails: crypto/rand ends the program instead
	secret := base64.RawURLEncoding.EncodeToString(random)
	expires := time.Now().Add(life).UTC().Truncate(time.Second)
	err := d.within(ctx, func(tx *sql.Tx) error {
		// What is used up or has expired is of no more use either.
		_, err := tx.ExecContext(ctx, `DELETE FROM phone_links WHERE agent = $1 OR expires < $2`, agent, time.Now().UnixMilli())
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO phone_links (hash, agent, expires, used) VALUES ($1, $2, $3, 0)`,
			hashOf(secret), agent, expires.UnixMilli())
		return err
	})
	if err != nil {
		return console.PhoneLink{}, fmt.Errorf("link for %s: %w", agent, err)
	}
	return console.PhoneLink{URL: p.publicURL() + "/provision/linphone/" + secret, Expires: expires}, nil
}

// within runs f in a transaction of the books.
func (d *desk) within(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := d.ex.cdrs.DB().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// hashOf is what is kept of a secret of 256 random bits, which needs no salt.
func hashOf(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

const goodLink = ` FROM phone_links WHERE hash = $1 AND used = 0 AND expires > $2`

// Peek says whose phone a link is for, without using it up. ErrNotFound.
func (d *desk) Peek(ctx context.Context, secret string) (agent string, err error) {
	err = d.ex.cdrs.DB().QueryRowContext(ctx, `SELECT agent`+goodLink, hashOf(secret), time.Now().UnixMilli()).Scan(&agent)
	return agent, linkError(err)
}

func linkError(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("link: %w", console.ErrNotFound)
	}
	return err
}

// Redeem uses a link up: the agent's phones need the new password from now on.
// ErrNotFound.
func (d *desk) Redeem(ctx context.Context, secret string) (console.PhoneSettings, error) {
	p := d.ex.plan.Load()
	var account sip.Account
	password := newPassword()
	err := d.within(ctx, func(tx *sql.Tx) error {
		// The row is taken before it is looked at, so that of two who come at once
		// one finds it used.
		done, err := tx.ExecContext(ctx, `UPDATE phone_links SET used = $2 WHERE hash = $1 AND used = 0 AND expires > $2`,
			hashOf(secret), time.Now().UnixMilli())
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, fmt.Errorf("link: %w", console.ErrNotFound))
		}
		if err := tx.QueryRowContext(ctx, `SELECT agent FROM phone_links WHERE hash = $1`, hashOf(secret)).Scan(&account.User); err != nil {
			return err
		}
		if _, ok := p.agents[acd.AgentID(account.User)]; !ok {
			return fmt.Errorf("agent %s: %w", account.User, console.ErrNotFound)
		}
		account.Algorithm = digestOf(p.cfg, account.User)
		account.HA1 = sip.HA1(account.Algorithm, account.User, p.cfg.Registrar.Realm, password)
		return keepAccount(ctx, tx, account, p.cfg.Registrar.Realm)
	})
	if err != nil {
		return console.PhoneSettings{}, err
	}
	d.ex.open(account)
	d.ex.log.Info("phone provisioned", zap.String("agent", account.User))
	s := p.phoneSettings(account.User)
	s.Password = password
	return s, nil
}

// newPassword is 130 bits in letters and digits that cannot be mistaken for each other.
func newPassword() string {
	var b [17]byte
	rand.Read(b[:]) // never fails
	return crockford.EncodeToString(b[:])[:26]
}

// phoneSettings is what a phone of an agent is told, its password apart.
func (p *plan) phoneSettings(agent string) console.PhoneSettings {
	// A home router does not forget a connection, and rewrites none that it cannot read.
	l, grants := &p.cfg.Listen, &p.cfg.Registrar.Expires
	transport, listener, expires := "udp", l.SIPUDP, grants.UDP
	switch {
	case l.SIPTLS.IsValid():
		transport, listener, expires = "tls", l.SIPTLS, grants.TLS
	case l.SIPTCP.IsValid():
		transport, listener, expires = "tcp", l.SIPTCP, grants.TCP
	}
	return console.PhoneSettings{
		Agent: agent, Name: p.agents[acd.AgentID(agent)].name, Domain: p.cfg.Registrar.Realm,
		Server: p.reachedAt(listener.AddrPort), Transport: transport, Expires: expires,
		Codes: p.dialled(),
	}
}

// reachedAt is how phones reach a listener: by the public host, or in a demonstration
// on one machine by the address itself.
func (p *plan) reachedAt(listener netip.AddrPort) string {
	host := p.cfg.Site.PublicHost
	if listener.Addr().IsLoopback() {
		host = listener.Addr().String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(listener.Port())))
}

// publicURL is where people reach the console.
func (p *plan) publicURL() string {
	switch {
	case p.cfg.Site.PublicURL != "":
		return p.cfg.Site.PublicURL
	case p.cfg.Demo && p.cfg.Listen.HTTP.IsValid():
		return "http://" + p.cfg.Listen.HTTP.String()
	}
	return "https://" + p.cfg.Site.PublicHost
}

// dialled are the feature codes in the order of a day.
func (p *plan) dialled() []console.PhoneCode {
	f := &p.cfg.FeatureCodes
	var list []console.PhoneCode
	for _, c := range [...]console.PhoneCode{
		{Does: "login", Code: f.Login}, {Does: "ready", Code: f.Ready}, {Does: "pause", Code: f.Pause}, {Does: "wrapup", Code: f.WrapUp},
		{Does: "extend", Code: f.Extend}, {Does: "logout", Code: f.Logout}, {Does: "echo", Code: f.Echo},
	} {
		if c.Code != config.CodeOff {
			list = append(list, c)
		}
	}
	return list
}
