package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each row changes one piece of the same text, and says what Diff makes of it.
func TestDiff(t *testing.T) {
	const base = `
version: 1
demo: true
site: {name: Essai, public_host: lo.test, timezone: Europe/Paris, locale: fr, data_dir: ./data}
listen: {sip_udp: 127.0.0.1:5060, rtp: {addr: 127.0.0.1, ports: 20000-24999}}
registrar: {realm: lo.test, digest: md5}
trunks: [{id: carrier, auth: {mode: ip, allow: [127.0.0.2/32]}, max_calls: 100, host: 127.0.0.2}]
outbound_routes: [{match: "+331*", trunks: [carrier]}]
calendars: [{id: bureau, weekly: {mon: ["08:00-19:00"]}}]
clients: [{id: essai, name: Essai SA}]
queues:
  - {id: accueil, client: essai, calendar: bureau, require: [fr], ring: {timeout: 15s}, overflow: [{after: 60s, to: hangup}]}
  - {id: ventes, client: essai, last_agent: {within: 24h, wait: 30s}}
dids: [{number: "+33170000001", client: essai, to: accueil}, {number: "+33170000002", client: essai, to: ventes}]
agents:
  - {id: ana, sip: {password: pw-ana}, skills: {fr: 5}, queues: [accueil, ventes]}
  - {id: bo, sip: {password: pw-bo}, skills: {fr: 3}, queues: [accueil, {id: ventes, tier: 2}]}
`
	load := func(text string) *Config {
		t.Helper()
		file := filepath.Join(t.TempDir(), "foyer.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	was := load(base)
	for _, row := range []struct{ from, to, want string }{
		{"", "", ""},
		{"timeout: 15s", "timeout: 20s", "queues[accueil].ring.timeout changed 15s 20s"},
		{"max_calls: 100", "max_calls: 50", "trunks[carrier].max_calls changed 100 50"},
		{"skills: {fr: 3}", "skills: {fr: 3, en: 2}", "agents[bo].skills[en] added"},
		{"skills: {fr: 3}", "skills: {fr: 4}", "agents[bo].skills[fr] changed 3 4"},
		{"tier: 2", "tier: 3", "agents[bo].queues[ventes].tier changed 2 3"},
		{"queues: [accueil, ventes]", "queues: [accueil]", "agents[ana].queues[ventes] removed"},
		{"password: pw-bo", "password: pw-bo2", "agents[bo].sip.password changed *** ***"},
		{`"08:00-19:00"`, `"08:00-12:00", "13:00-19:00"`, "calendars[bureau].weekly.mon changed [08:00-19:00] [08:00-12:00 13:00-19:00]"},
		{"after: 60s, to: hangup", "after: 90s, to: ventes", "queues[accueil].overflow[0].after changed 1m0s 1m30s; queues[accueil].overflow[0].to changed hangup ventes"},
		{"[{after: 60s, to: hangup}]", "[]", "queues[accueil].overflow[0] removed"},
		{", last_agent: {within: 24h, wait: 30s}", "", "queues[ventes].last_agent removed"},
		{"wait: 30s", "wait: 40s", "queues[ventes].last_agent.wait changed 30s 40s"},
		{"agents:", "agents:\n  - {id: lea, sip: {password: pw-lea}, skills: {fr: 1}, queues: [accueil]}", "agents[lea] added"},
		{`, {number: "+33170000002", client: essai, to: ventes}`, "", "dids[+33170000002] removed"},
		{"number: \"+33170000002\"", "number: \"+33170000003\"", "dids[+33170000002] removed; dids[+33170000003] added"},
		{"match: \"+331*\"", "match: \"+332*\"", "outbound_routes[+331*] removed; outbound_routes[+332*] added"},
		{"require: [fr]", "require: [fr, en]", "queues[accueil].require changed [fr] [fr en]"},
		{"name: Essai,", "name: Autre,", "site.name changed Essai Autre restart"},
		{"20000-24999", "20000-25999", "listen.rtp.ports changed 20000-24999 20000-25999 restart"},
		{"Europe/Paris", "Europe/London", "site.timezone changed Europe/Paris Europe/London restart"},
	} {
		var said []string
		text := strings.Replace(base, row.from, row.to, 1)
		if strings.Contains(row.to, "en") && strings.HasPrefix(row.to, "require") {
			text = strings.ReplaceAll(text, "{fr: 5}", "{fr: 5, en: 5}") // or nobody could take its calls
			said = append(said, "agents[ana].skills[en] added")
		}
		if row.from != "" && text == base {
			t.Fatalf("%q is not in the text", row.from)
		}
		var got []string
		for _, c := range Diff(was, load(text)) {
			line := fmt.Sprintf("%s %s", c.Path, c.Kind)
			if c.Kind == Changed {
				line += " " + c.Was + " " + c.Is
			}
			if c.Restart {
				line += " restart"
			}
			got = append(got, line)
		}
		if row.want != "" {
			said = append([]string{row.want}, said...)
		}
		if strings.Join(got, "; ") != strings.Join(said, "; ") {
			t.Errorf("%q for %q:\n got %q\nwant %q", row.to, row.from, got, said)
		}
	}
}

func TestDiffOfOrder(t *testing.T) {
	a, b := Agent{ID: "a"}, Agent{ID: "b"}
	got := Diff(&Config{Agents: []Agent{a, b}}, &Config{Agents: []Agent{b, a}})
	if len(got) != 1 || got[0] != (Change{"agents", Changed, "in one order", "in another", false}) {
		t.Errorf("agents: %+v", got)
	}
}
