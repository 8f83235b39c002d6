package console

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func (h *house) Issue(_ context.Context, agent string, life time.Duration) (PhoneLink, error) {
	h.did = append(h.did, "link "+agent+" "+life.String())
	return PhoneLink{URL: "https://acd.example/provision/linphone/s3cret", Expires: began()}, h.broken
}

func (h *house) Peek(_ context.Context, secret string) (string, error) {
	if secret != "s3cret" || h.kept {
		return "", ErrNotFound
	}
	return "ana", h.broken
}

func (h *house) Redeem(_ context.Context, secret string) (PhoneSettings, error) {
	if secret != "s3cret" || h.kept {
		return PhoneSettings{}, ErrNotFound
	}
	if h.broken != nil {
		return PhoneSettings{}, h.broken
	}
	h.kept = true // used up
	return PhoneSettings{
		Agent: "ana", Name: `Ana "<b>` + nasty, Password: "0123456789abcdefghjkmnpqrs", Domain: "lo.test",
		Server: "acd.example:5060", Transport: "tcp", Expires: time.Minute, Codes: []PhoneCode{{"login", "*1"}, {"echo", "*9"}},
	}, nil
}

func TestProvisioningLink(t *testing.T) {
	v := newVisit(t)
	token := v.token([]string{AgentsProvision}, nil)
	w := v.ask("POST", "/api/v1/agents/ana/provisioning", `{}`, "token", token)
	body := w.Body.String()
	if w.Code != 200 || !strings.Contains(body, `"url":"https://acd.example/provision/linphone/s3cret"`) || !strings.Contains(body, `svg`) {
		t.Errorf("%d %s", w.Code, body)
	}
	if got := v.house.did; len(got) != 1 || got[0] != "link ana 24h0m0s" {
		t.Errorf("done: %v", got)
	}
	for _, bad := range []struct {
		path, body string
		code       int
	}{
		{"/api/v1/agents/none/provisioning", `{}`, 404},
		{"/api/v1/agents/ana/provisioning", `{"days":31}`, 422},
		{"/api/v1/agents/ana/provisioning", `{"days":-1}`, 422},
		{"/api/v1/agents/ana/provisioning", `{"hours":1}`, 422},
	} {
		if w := v.ask("POST", bad.path, bad.body, "token", token); w.Code != bad.code {
			t.Errorf("%s %s: %d %s", bad.path, bad.body, w.Code, w.Body)
		}
	}
	trail, err := ListAudit(t.Context(), v.db, AuditQuery{Object: "ana", Limit: 10})
	if err != nil || len(trail) != 1 || trail[0].Action != "agent.provision" || strings.Contains(trail[0].Detail, "s3cret") {
		t.Errorf("trail: %+v, %v", trail, err)
	}
	// Whose agents serve other clients too may be seen, but not given a phone.
	limited := v.token([]string{AgentsProvision}, []string{"acme"})
	if w := v.ask("POST", "/api/v1/agents/ana/provisioning", `{}`, "token", limited); w.Code != 404 {
		t.Errorf("a token of one client: %d", w.Code)
	}
}

// opened is a link opened by somebody: from this machine unless the headers say.
func (v *visit) opened(method, path string, headers ...string) *httptest.ResponseRecorder {
	return v.ask(method, path, "", append([]string{"from", "127.0.0.1:4711"}, headers...)...)
}

// Who only looks does not use a link up: browsers, and programs that open links in
// mails and chats. A Linphone does, and a person who presses the button.
func TestLinkIsUsedOnPurpose(t *testing.T) {
	const link = "/provision/linphone/s3cret"
	browser := []string{"Accept", "text/html,*/*", "User-Agent", "Mozilla/5.0", "Accept-Language", "fr"}
	for _, x := range []struct {
		name    string
		method  string
		headers []string
		used    bool
		says    string
	}{
		{"a browser", "GET", browser, false, "Afficher les réglages"},
		{"a chat's preview", "GET", []string{"Accept", "*/*", "User-Agent", "WhatsApp/2.24"}, false, "<form"},
		{"a mail scanner", "HEAD", nil, false, ""},
		{"curl", "GET", []string{"Accept", "*/*", "User-Agent", "curl/8.5"}, false, "<form"},
		{"Linphone as it starts", "GET", []string{"User-Agent", "Unknown"}, true, "<config"},
		{"Linphone on a mobile", "GET", []string{"User-Agent", "LinphoneAndroid/5.2 (Pixel)", "Accept", "*/*"}, true, "<config"},
		{"the button", "POST", browser, true, "0123456789abcdefghjkmnpqrs"},
	} {
		v := newVisit(t)
		w := v.opened(x.method, link, x.headers...)
		if w.Code != 200 || v.house.kept != x.used || !strings.Contains(w.Body.String(), x.says) {
			t.Errorf("%s: %d, used %v\n%s", x.name, w.Code, v.house.kept, w.Body)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", x.name, w.Header())
		}
		if strings.Contains(w.Body.String(), "<script>") || strings.Contains(w.Body.String(), "<b>") {
			t.Errorf("%s: the name is not inert\n%s", x.name, w.Body)
		}
		if !x.used {
			continue
		}
		again := v.opened(x.method, link, x.headers...)
		if again.Code != 404 || strings.Contains(again.Body.String(), "0123456789") {
			t.Errorf("%s a second time: %d %s", x.name, again.Code, again.Body)
		}
		trail, err := ListAudit(t.Context(), v.db, AuditQuery{Object: "ana", Limit: 10})
		if err != nil || len(trail) != 1 || trail[0].Action != "agent.provisioned" || trail[0].Remote != "127.0.0.1:4711" {
			t.Errorf("%s: trail %+v, %v", x.name, trail, err)
		}
	}
}

func TestLinkIsRefused(t *testing.T) {
	for _, x := range []struct {
		name, path string
		from       string
		code       int
		says       string
	}{
		{"in the clear", "/provision/linphone/s3cret", "192.0.2.7:4711", 403, "https"},
		{"unknown", "/provision/linphone/guess", "127.0.0.1:1", 404, "supervisor"},
		{"another kind", "/provision/zoiper/s3cret", "127.0.0.1:1", 404, "supervisor"},
		{"traversal", "/provision/linphone/" + url.PathEscape("../../s3cret"), "127.0.0.1:1", 404, "supervisor"},
	} {
		for _, method := range []string{"GET", "POST"} {
			v := newVisit(t)
			w := v.ask(method, x.path, "", "from", x.from, "Accept-Language", "en")
			if w.Code != x.code || !strings.Contains(w.Body.String(), x.says) || v.house.kept {
				t.Errorf("%s %s: %d, used %v\n%s", method, x.name, w.Code, v.house.kept, w.Body)
			}
		}
	}
	// By TLS from anywhere.
	v := newVisit(t)
	r := httptest.NewRequest("POST", "https://acd.example/provision/card/s3cret", nil)
	r.RemoteAddr, r.TLS = "192.0.2.7:4711", &tls.ConnectionState{}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	if w.Code != 200 || !v.house.kept {
		t.Errorf("by TLS: %d", w.Code)
	}
	v = newVisit(t)
	v.house.broken = context.DeadlineExceeded
	if w := v.opened("POST", "/provision/card/s3cret"); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "deadline") {
		t.Errorf("broken: %d %s", w.Code, w.Body)
	}
}

// What Linphone is told is well-formed whatever the agent is called, and every value
// is where it belongs.
func TestLinphoneXML(t *testing.T) {
	v := newVisit(t)
	w := v.opened("GET", "/provision/linphone/s3cret", "User-Agent", "Linphone/5")
	var config struct {
		XMLName  xml.Name `xml:"http://www.linphone.org/xsds/lpconfig.xsd config"`
		Sections []struct {
			Name    string `xml:"name,attr"`
			Entries []struct {
				Name  string `xml:"name,attr"`
				Value string `xml:",chardata"`
			} `xml:"entry"`
		} `xml:"section"`
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &config); err != nil {
		t.Fatalf("%v in\n%s", err, w.Body)
	}
	got := map[string]string{}
	for _, s := range config.Sections {
		for _, e := range s.Entries {
			got[s.Name+" "+e.Name] = e.Value
		}
	}
	for key, want := range map[string]string{
		"proxy_0 reg_proxy": "<sip:acd.example:5060;transport=tcp>", "proxy_0 reg_route": "<sip:acd.example:5060;transport=tcp;lr>",
		"proxy_0 reg_expires": "60", "auth_info_0 username": "ana", "auth_info_0 passwd": "0123456789abcdefghjkmnpqrs",
		"auth_info_0 realm": "lo.test", "misc config-uri": "",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if id := got["proxy_0 reg_identity"]; !strings.HasSuffix(id, "<sip:ana@lo.test>") || !strings.HasPrefix(id, `"Ana \"<b>`) {
		t.Errorf("identity %s", id)
	}
}
