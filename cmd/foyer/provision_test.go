package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	go_qr "github.com/piglig/go-qr"

	"foyer/acd"
	"foyer/console"
	"foyer/ledger/sqltest"
	"foyer/sip/siptest"
)

// without takes ana's password out of the configuration.
var without = with("{id: ana, name: Ana, sip: {password: pw-ana},", "{id: ana, name: Ana,")

// A phone that has no password in the configuration gets one by a link, once; it
// survives a restart; a second link replaces it.
func TestPhoneIsProvisioned(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, postgres string) {
		where := func(*staging) {}
		if postgres != "" {
			t.Setenv("FOYER_TEST_POSTGRES", postgres)
			where = with("observability:", "database: {postgres: \"${env:FOYER_TEST_POSTGRES}\"}\nobservability:")
		}
		dir := t.TempDir()
		s := openStage(t, dir, without, where)
		if r := s.doctor("ana", "en"); r.Findings[0].ID != "no_account" {
			t.Errorf("%s", asJSON(r))
		}
		s.registers("ana", "pw-ana", 401)
		first := s.redeemed("ana")
		if len(first.Password) != 26 || first.Server != s.server || first.Transport != "tcp" || first.Domain != "lo.test" || first.Name != "Ana" {
			t.Errorf("settings: %+v", first)
		}
		s.registers("ana", first.Password, 200)
		s.registers("bo", "pw-bo", 200)
		s.strike()

		s = openStage(t, dir, without, where)
		s.registers("ana", first.Password, 200)
		second := s.redeemed("ana")
		s.registers("ana", first.Password, 401)
		s.registers("ana", second.Password, 200)
		// One that has been given out wins over that of the configuration.
		bo := s.redeemed("bo")
		s.registers("bo", "pw-bo", 401)
		s.registers("bo", bo.Password, 200)
	})
}

// registers tries a password.
func (s *stage) registers(user, password string, want int) {
	s.t.Helper()
	p := s.person("127.0.0.1", 440, siptest.Options{User: user, Password: password, Domain: "lo.test"})
	res, err := p.Register(s.ctx, time.Minute)
	if err != nil || res.Status != want {
		s.t.Errorf("REGISTER of %s: %v, %v; want %d", user, res, err, want)
	}
}

func (s *stage) desk() *desk { return &desk{ex: s.ex, cfg: s.cfg} }

// redeemed uses a fresh link.
func (s *stage) redeemed(agent string) console.PhoneSettings {
	s.t.Helper()
	link, err := s.desk().Issue(s.ctx, agent, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	settings, err := s.desk().Redeem(s.ctx, secretOf(link.URL))
	if err != nil {
		s.t.Fatal(err)
	}
	return settings
}

func secretOf(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// A link works once, however many come at once; it expires; a newer one ends it.
func TestLinkWorksOnce(t *testing.T) {
	sqltest.Each(t, func(t *testing.T, postgres string) {
		where := func(*staging) {}
		if postgres != "" {
			t.Setenv("FOYER_TEST_POSTGRES", postgres)
			where = with("observability:", "database: {postgres: \"${env:FOYER_TEST_POSTGRES}\"}\nobservability:")
		}
		s := newStage(t, without, where)
		link, err := s.desk().Issue(s.ctx, "ana", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if agent, err := s.desk().Peek(s.ctx, secretOf(link.URL)); agent != "ana" || err != nil {
			t.Errorf("peek: %s, %v", agent, err)
		}
		var wait sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			wait.Go(func() {
				_, err := s.desk().Redeem(s.ctx, secretOf(link.URL))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, console.ErrNotFound) {
					t.Errorf("redeem: %v", err)
				}
			})
		}
		wait.Wait()
		if won != 1 {
			t.Errorf("%d of 8 have redeemed one link", won)
		}
		old, _ := s.desk().Issue(s.ctx, "ana", time.Hour)
		late, _ := s.desk().Issue(s.ctx, "ana", time.Millisecond)
		time.Sleep(5 * time.Millisecond)
		for what, l := range map[string]console.PhoneLink{"used": link, "replaced": old, "expired": late} {
			if _, err := s.desk().Redeem(s.ctx, secretOf(l.URL)); !errors.Is(err, console.ErrNotFound) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := s.desk().Peek(s.ctx, secretOf(l.URL)); !errors.Is(err, console.ErrNotFound) {
				t.Errorf("%s, looked at: %v", what, err)
			}
		}
		if _, err := s.desk().Issue(s.ctx, "nobody", time.Hour); !errors.Is(err, console.ErrNotFound) {
			t.Errorf("link for nobody: %v", err)
		}
	})
}

// Over HTTP, as people do it: the API gives the link, a browser shows a page and uses
// nothing up, a Linphone gets its account. No secret is in the database or the log.
func TestProvisioningOverHTTP(t *testing.T) {
	t.Parallel()
	s := newStage(t, without)
	base := "http://" + s.cfg.Listen.HTTP.String()
	res, err := http.Post(base+"/api/v1/agents/ana/provisioning", "application/json", strings.NewReader(`{"days":3}`))
	if err != nil {
		t.Fatal(err)
	}
	body := string(read(t, res))
	url := regexp.MustCompile(`"url":"([^"]+)"`).FindStringSubmatch(body)
	if res.StatusCode != 200 || url == nil || !strings.HasPrefix(url[1], base+"/provision/linphone/") {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	get := func(accept string) (int, string) {
		req, _ := http.NewRequestWithContext(s.ctx, "GET", url[1], nil)
		req.Header.Set("User-Agent", "Unknown")
		if accept != "" {
			req.Header.Set("Accept", accept)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(read(t, res))
	}
	if code, page := get("text/html"); code != 200 || !strings.Contains(page, "<form") {
		t.Errorf("%d %s", code, page)
	}
	code, text := get("")
	var config struct {
		Entries []struct {
			Name  string `xml:"name,attr"`
			Value string `xml:",chardata"`
		} `xml:"section>entry"`
	}
	if err := xml.Unmarshal([]byte(text), &config); err != nil || code != 200 {
		t.Fatalf("%d %v %s", code, err, text)
	}
	password := ""
	for _, e := range config.Entries {
		if e.Name == "passwd" {
			password = e.Value
		}
	}
	s.registers("ana", password, 200)
	s.until("ana ready", func() bool { return s.agentState("ana") == acd.Ready })
	if code, _ := get(""); code != 404 {
		t.Errorf("a second time: %d", code)
	}
	// The files of the database hold neither.
	files, err := filepath.Glob(filepath.Join(s.cfg.Site.DataDir, "foyer.db*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(raw, []byte(password)) || bytes.Contains(raw, []byte(secretOf(url[1]))) {
			t.Errorf("a secret is in %s", f)
		}
	}
}

func read(t *testing.T, res *http.Response) []byte {
	t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPublicURL(t *testing.T) {
	for _, x := range []struct{ old, new, want string }{
		{"", "", "http://127.0.0.1:8080"},
		{"public_host: lo.test", "public_host: lo.test, public_url: \"https://acd.example.fr:8443/foyer\"", "https://acd.example.fr:8443/foyer"},
		{"demo: true", "demo: false", "https://lo.test"},
	} {
		yaml := stageYAML(t)
		yaml = strings.Replace(yaml, x.old, x.new, 1)
		if strings.Contains(x.new, "false") {
			yaml = strings.ReplaceAll(strings.ReplaceAll(yaml, " sip: {password: pw-ana},", ""), " sip: {password: pw-bo},", "")
		}
		if got := planOf(t, yaml).publicURL(); got != x.want {
			t.Errorf("%s: %s, want %s", x.new, got, x.want)
		}
	}
}

// What the terminal shows is what the code says, module by module.
func TestQRInTheTerminal(t *testing.T) {
	const text = "https://acd.example.fr/provision/linphone/0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
	var b strings.Builder
	if err := printQR(&b, text); err != nil {
		t.Fatal(err)
	}
	code, err := go_qr.EncodeText(text, go_qr.Low)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(b.String(), "\n"), "\n")
	for y := range code.Size() {
		line := []rune(strings.TrimSuffix(strings.TrimPrefix(lines[(y+2)/2], "\x1b[97;40m"), "\x1b[0m"))
		for x := range code.Size() {
			r := line[x+2]
			lit := r == '█' || r == '▀' && y%2 == 0 || r == '▄' && y%2 == 1
			if lit == code.Module(x, y) {
				t.Fatalf("module %d, %d is %q", x, y, r)
			}
		}
	}
}
