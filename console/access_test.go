package console

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAClientFilterHidesTheOthers(t *testing.T) {
	v := newVisit(t)
	token := v.token(Scopes(), []string{"bank"})
	for _, tt := range []struct {
		method, path string
		code         int
		with, not    string
	}{
		{"GET", "/api/v1/calls", 200, `"c2"`, `"c1"`},
		{"GET", "/api/v1/calls/c2", 200, "", ""},
		{"GET", "/api/v1/calls/c1", 404, "", ""},
		{"GET", "/api/v1/calls/c0", 404, "", ""},
		{"POST", "/api/v1/calls/c1/hangup", 404, "", ""},
		{"GET", "/api/v1/calls/c1/trace", 404, "", ""},
		{"GET", "/api/v1/calls/c0/explain", 404, "", ""},
		{"GET", "/api/v1/calls/c2/trace", 200, "", ""},
		{"GET", "/api/v1/queues", 200, "tier1", "sales"},
		{"GET", "/api/v1/queues/sales", 404, "", ""},
		{"GET", "/api/v1/agents", 200, `"ana"`, `"bo"`},
		{"GET", "/api/v1/agents/ana", 200, `"queues":["tier1"],"clients":["bank"]`, `c1`}, // nor with whom else she talks
		{"GET", "/api/v1/agents/ana/explain", 404, "", ""},                                // she also serves another client
		{"GET", "/api/v1/agents/bo/explain", 404, "", ""},
		{"POST", "/api/v1/agents/bo/pause", 422, "", ""},
		{"POST", "/api/v1/agents/bo/logout", 404, "", ""},
		{"GET", "/api/v1/recordings", 200, `"r2"`, `"r1"`},
		{"GET", "/api/v1/recordings/r1", 404, "", ""},
		{"GET", "/api/v1/recordings/r1/audio", 404, "", "RIFF"},
		{"GET", "/api/v1/recordings/r1/audit", 404, "", ""},
		{"GET", "/api/v1/recordings/r2/audio", 200, "RIFF", ""},
		{"GET", "/api/v1/audit", 403, "", ""},
	} {
		body := ""
		if tt.code == 422 {
			body = "{}"
		}
		w := v.ask(tt.method, tt.path, body, "token", token)
		text := w.Body.String()
		if w.Code != tt.code || !strings.Contains(text, tt.with) || tt.not != "" && strings.Contains(text, tt.not) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, w.Code, text)
		}
	}
	if len(v.house.did) != 0 {
		t.Errorf("done for a stranger: %q", v.house.did)
	}
	v.ask("GET", "/api/v1/recordings?client=acme", "", "token", token)
	if q := v.house.recorded; q.Client != "acme" || len(q.Clients) != 1 || q.Clients[0] != "bank" {
		t.Errorf("recordings asked %+v", q)
	}
	for _, path := range []string{"/api/v1/contacts?client=acme", "/api/v1/contacts.csv?client=acme", "/api/v1/contacts.ndjson?client=acme"} {
		v.ask("GET", path, "", "token", token)
		if q := v.house.asked; q.Client != "acme" || len(q.Clients) != 1 || q.Clients[0] != "bank" {
			t.Errorf("%s asked %+v", path, q)
		}
	}
}

func TestDemoIsForThisMachineOnly(t *testing.T) {
	v := newVisit(t, demo)
	for _, tt := range []struct {
		name    string
		method  string
		headers []string
		code    int
	}{
		{"localhost", "GET", []string{"from", "127.0.0.1:9", "Host", "localhost:8080"}, 200},
		{"a loopback address", "GET", []string{"from", "127.0.0.5:9", "Host", "127.0.0.1"}, 200},
		{"IPv6", "GET", []string{"from", "[::1]:9", "Host", "[::1]:8080"}, 200},
		{"a name under localhost", "GET", []string{"from", "127.0.0.1:9", "Host", "foyer.localhost:8080"}, 200},
		{"another machine", "GET", []string{"from", "192.0.2.7:9", "Host", "localhost:8080"}, 401},
		{"DNS rebinding", "GET", []string{"from", "127.0.0.1:9", "Host", "evil.example:8080"}, 401},
		{"a rebinding name that looks local", "GET", []string{"from", "127.0.0.1:9", "Host", "127.0.0.1.evil.example"}, 401},
		{"no host", "GET", []string{"from", "127.0.0.1:9", "Host", ""}, 401},
		{"through a proxy on this machine", "GET", []string{"from", "127.0.0.1:9", "Host", "localhost", "X-Forwarded-For", "203.0.113.5"}, 401},
		{"through another proxy", "GET", []string{"from", "127.0.0.1:9", "Host", "localhost", "Forwarded", "for=203.0.113.5"}, 401},
		{"a bad token is no demo", "GET", []string{"from", "127.0.0.1:9", "Host", "localhost", "token", "foyer_x_y"}, 401},
		{"embedded in another site", "GET", []string{"from", "127.0.0.1:9", "Host", "localhost", "Sec-Fetch-Site", "cross-site"}, 403},
		{"typed into the address bar", "GET", []string{"from", "127.0.0.1:9", "Host", "localhost", "Sec-Fetch-Site", "none"}, 200},
		{"a command from curl", "POST", []string{"from", "127.0.0.1:9", "Host", "localhost:8080"}, 204},
		{"a command from the page", "POST", []string{"from", "127.0.0.1:9", "Host", "localhost:8080", "Origin", "http://localhost:8080", "Sec-Fetch-Site", "same-origin"}, 204},
		{"a command from an older browser's page", "POST", []string{"from", "127.0.0.1:9", "Host", "localhost:8080", "Origin", "http://localhost:8080"}, 204},
		{"a command from another site", "POST", []string{"from", "127.0.0.1:9", "Host", "localhost:8080", "Origin", "http://evil.example"}, 403},
		{"a command from another port", "POST", []string{"from", "127.0.0.1:9", "Host", "localhost:8080", "Origin", "http://localhost:3000", "Sec-Fetch-Site", "same-site"}, 403},
		{"a command from nowhere", "POST", []string{"from", "127.0.0.1:9", "Host", "localhost:8080", "Origin", "null"}, 403},
	} {
		path := "/api/v1/calls"
		if tt.method == "POST" {
			path = "/api/v1/calls/c1/hangup"
		}
		if w := v.ask(tt.method, path, "", tt.headers...); w.Code != tt.code {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
	strict := newVisit(t)
	if w := strict.ask("GET", "/api/v1/calls", "", "from", "127.0.0.1:9", "Host", "localhost"); w.Code != 401 {
		t.Errorf("without demo mode: %d", w.Code)
	}
	if w := strict.ask("GET", "/metrics", "", "from", "127.0.0.1:9", "Host", "127.0.0.1:8080"); w.Code != 200 {
		t.Errorf("metrics from this machine: %d", w.Code)
	}
}

func TestTokens(t *testing.T) {
	v := newVisit(t)
	ctx := t.Context()
	plain, made, err := CreateToken(ctx, v.db, TokenSpec{Name: "nadia", Scopes: []string{CallsRead}, Clients: []string{"acme"}, Expires: time.Now().Add(time.Hour), By: "ops"})
	if err != nil {
		t.Fatal(err)
	}
	prefix, rest, _ := strings.Cut(plain, "_")
	id, secret, _ := strings.Cut(rest, "_")
	if prefix != "foyer" || id != made.ID || len(secret) != 43 {
		t.Errorf("token %q of %+v", plain, made)
	}
	var stored string
	if err := v.db.QueryRow("SELECT hex(hash) || name || scopes || clients FROM tokens WHERE id = ?", id).Scan(&stored); err != nil || strings.Contains(stored, secret) {
		t.Errorf("stored %q %v", stored, err)
	}
	get := func(token string) int { return v.ask("GET", "/api/v1/calls", "", "token", token).Code }
	if code := get(plain); code != 200 {
		t.Errorf("a good token: %d", code)
	}
	other, _, _ := CreateToken(ctx, v.db, TokenSpec{Name: "x", Scopes: []string{CallsRead}})
	for _, bad := range []string{
		"", "foyer", "foyer_", "foyer__", plain[:len(plain)-1], plain + "A", strings.ToUpper(plain),
		"foyer_" + id + "_" + strings.Split(other, "_")[2], "foyer_000000000000_" + secret, secret,
		"foyer_' OR 1=1 --_" + secret,
	} {
		if code := get(bad); code != 401 {
			t.Errorf("token %q: %d", bad, code)
		}
	}
	if w := v.ask("GET", "/api/v1/calls", "", "Authorization", "Basic bmFkaWE6eA=="); w.Code != 401 {
		t.Errorf("basic: %d", w.Code)
	}
	all, err := ListTokens(ctx, v.db)
	if err != nil || len(all) != 2 || all[0].LastUsed == nil && all[1].LastUsed == nil || len(all[0].Clients)+len(all[1].Clients) != 1 {
		t.Errorf("tokens %+v %v", all, err)
	}
	if _, err := findToken(ctx, v.db, plain, time.Now().Add(time.Hour)); !errors.Is(err, errBadToken) {
		t.Errorf("an expired token: %v", err)
	}
	if err := RevokeToken(ctx, v.db, id, "ops"); err != nil {
		t.Fatal(err)
	}
	if code := get(plain); code != 401 {
		t.Errorf("a revoked token: %d", code)
	}
	if err := RevokeToken(ctx, v.db, id, "ops"); !errors.Is(err, ErrNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
	for _, spec := range []TokenSpec{
		{Scopes: []string{CallsRead}},
		{Name: "x"},
		{Name: "x", Scopes: []string{"calls:write"}},
		{Name: "x", Scopes: []string{CallsRead}, Clients: []string{"a b"}},
		{Name: "x", Scopes: []string{CallsRead}, Expires: time.Now().Add(-time.Second)},
	} {
		if _, _, err := CreateToken(ctx, v.db, spec); err == nil {
			t.Errorf("made a token of %+v", spec)
		}
	}
	trail, err := ListAudit(ctx, v.db, AuditQuery{Limit: 10})
	if err != nil || len(trail) != 3 || trail[0].Action != "token.revoke" || trail[2].Actor != "ops" {
		t.Errorf("trail %+v %v", trail, err)
	}
}
