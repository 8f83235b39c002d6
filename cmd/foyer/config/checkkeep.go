package config

import (
	"filippo.io/age"
	"github.com/jackc/pgx/v5/pgconn"
)

// checkDatabase never repeats the connection string: it holds a password.
func (k *checker) checkDatabase() {
	to := &k.c.Database.Postgres
	at, given := k.at[to]
	switch {
	case !given:
		if at, section := k.at[&k.c.Database]; section {
			k.errorf(at, "database needs \"postgres\"; without the section the database is foyer.db in site.data_dir")
		}
	case k.literal[to] && !k.c.Demo:
		k.errorf(at, "database.postgres must not be literal; use ${cred:database}, ${env:NAME} or ${file:…}")
	case to.Given():
		if _, err := pgconn.ParseConfig(to.Reveal()); err != nil {
			k.errorf(at, "database.postgres must be a connection string of PostgreSQL, such as postgres://foyer:PASSWORD@db.example:5432/foyer")
		}
	}
}

func (k *checker) checkPolicies() {
	for i := range k.c.RecordingPolicies {
		p := &k.c.RecordingPolicies[i]
		k.prompt(&p.Notice.Prompt)
		all := p.Select.Percent == 100
		switch {
		case all && p.Purpose != "contract_proof" && p.Purpose != "":
			k.warnf(k.at[&p.Select.Percent], "recording policy %q keeps 100 %% of calls for purpose %q; French guidance says occasional only", p.ID, p.Purpose)
		case all && p.LegalBasis == "":
			k.warnf(k.at[&p.Select.Percent], "recording policy %q keeps 100 %% of calls and states no \"legal_basis\"", p.ID)
		}
	}
	to := &k.c.Recording.Encrypt.Recipient
	if *to != "" {
		if _, err := age.ParseX25519Recipient(*to); err != nil {
			k.errorf(k.at[to], "recording.encrypt.recipient must be an age public key, as age-keygen prints it: age1…")
		}
	} else if at, given := k.at[&k.c.Recording.Encrypt]; given {
		k.errorf(at, "recording.encrypt needs \"recipient\"")
	}
}
