package console

import (
	"context"
	"embed"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	go_qr "github.com/piglig/go-qr"
	"go.uber.org/zap"
)

// Phones gives agents' phones their accounts, by links that work once.
type Phones interface {
	// Issue makes a link for an agent's phone that is good for a time. ErrNotFound.
	Issue(ctx context.Context, agent string, life time.Duration) (PhoneLink, error)
	// Peek says whose phone a link is for. ErrNotFound for one that is used, has
	// expired or never was.
	Peek(ctx context.Context, secret string) (agent string, err error)
	// Redeem uses a link up and returns the account, with a new password that is kept
	// nowhere. ErrNotFound as for Peek.
	Redeem(ctx context.Context, secret string) (PhoneSettings, error)
}

// PhoneLink is a link that gives a phone its account.
type PhoneLink struct {
	URL     string    `json:"url" doc:"Works once; it is not shown again"`
	QR      string    `json:"qr_svg" doc:"The same as a QR code, for the phone's camera: an SVG image"`
	Expires time.Time `json:"expires"`
}

// PhoneSettings are what a phone has to be told.
type PhoneSettings struct {
	Agent, Name, Password string
	Domain                string // of the address: sip:agent@domain
	Server                string // host:port
	Transport             string // udp, tcp or tls
	Expires               time.Duration
	Codes                 []PhoneCode
}

// PhoneCode is something an agent can dial.
type PhoneCode struct{ Does, Code string }

// longestLink is how many days a link may be good for: who has it has the phone.
const longestLink = 30

func (c *console) phoneRoutes(api huma.API) {
	huma.Register(api, route("provision-agent", "POST /agents/{id}/provisioning", AgentsProvision,
		"Make a link that gives a phone of the agent its account, once; it takes the place of an earlier link"),
		func(ctx context.Context, in *struct {
			AgentRef
			Body struct {
				Days int `json:"days,omitempty" minimum:"1" maximum:"30" default:"1" doc:"How long the link is good for"`
			}
		}) (*one[PhoneLink], error) {
			return c.issueLink(ctx, in.ID, max(in.Body.Days, 1))
		})
}

func (c *console) issueLink(ctx context.Context, agent string, days int) (*one[PhoneLink], error) {
	if c.Phones == nil || c.Floor == nil {
		return nil, notHere("provisioning")
	}
	if _, err := c.agent(ctx, agent); err != nil {
		return nil, err
	}
	// Who has an agent's phone hears the callers of all clients they serve.
	if !c.knowsAll(ctx, agent) {
		return nil, notFound("agent", agent)
	}
	link, err := c.Phones.Issue(ctx, agent, time.Duration(min(days, longestLink))*24*time.Hour)
	if err == nil {
		link.QR, err = qrSVG(link.URL)
	}
	if err != nil {
		return nil, c.problem(err, "agent", agent)
	}
	c.record(ctx, AuditEntry{Action: "agent.provision", Object: agent, Detail: "link until " + link.Expires.Format(time.RFC3339)})
	return &one[PhoneLink]{link}, nil
}

// qrSVG draws a text as a QR code.
func qrSVG(text string) (string, error) {
	code, err := go_qr.EncodeText(text, go_qr.Medium)
	if err != nil {
		return "", fmt.Errorf("QR code: %w", err)
	}
	const border = 4 // of light modules, ISO/IEC 18004 section 5.3.8
	n := code.Size() + 2*border
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, n, n, n, n)
	for y := range code.Size() {
		for x := range code.Size() {
			if code.Module(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+border, y+border)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}

// phonePages serves the links. They are outside the API: their secret is all that
// whoever has one can show.
func (c *console) phonePages(mux *http.ServeMux) error {
	card, err := template.ParseFS(phoneFiles, "page/phone.html")
	if err != nil {
		return fmt.Errorf("console: phone page: %w", err)
	}
	p := &phonePage{console: c, card: card, words: map[string]map[string]string{}}
	for _, lang := range []string{"fr", "en"} {
		raw, err := phoneFiles.ReadFile("page/phone-" + lang + ".json")
		if err != nil {
			return fmt.Errorf("console: phone page: %w", err)
		}
		words := map[string]string{}
		if err := json.Unmarshal(raw, &words); err != nil {
			return fmt.Errorf("console: phone page words %s: %w", lang, err)
		}
		p.words[lang] = words
	}
	mux.HandleFunc("GET /provision/{kind}/{secret}", p.show)
	mux.HandleFunc("POST /provision/{kind}/{secret}", p.use)
	return nil
}

//go:embed page/phone.html page/phone-fr.json page/phone-en.json
var phoneFiles embed.FS

type phonePage struct {
	*console
	card  *template.Template
	words map[string]map[string]string // by language
}

// show answers a link that was opened. A Linphone that fetches it gets its account.
// Anybody else gets a page with a button, for programs that look at links in mails
// and chats before people do must not use them up.
func (p *phonePage) show(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && r.PathValue("kind") == "linphone" && isLinphone(r) {
		p.provision(w, r)
		return
	}
	agent, err := p.peek(r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.write(w, r, http.StatusOK, map[string]any{"Ask": true, "Agent": agent})
}

// isLinphone tells a Linphone from a browser: it says so, or, as it does when it
// starts, says nothing at all of what it accepts, which every browser does.
func isLinphone(r *http.Request) bool {
	return strings.Contains(strings.ToLower(r.UserAgent()), "linphone") || r.Header.Get("Accept") == ""
}

// use answers the button: the settings, to be typed into any phone.
func (p *phonePage) use(w http.ResponseWriter, r *http.Request) {
	s, err := p.redeem(r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.write(w, r, http.StatusOK, map[string]any{"Settings": s})
}

func (p *phonePage) provision(w http.ResponseWriter, r *http.Request) {
	s, err := p.redeem(r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/xml; charset=utf-8")
	if err := writeLinphone(w, s); err != nil {
		p.log.Info("provisioning broke off", zap.String("agent", s.Agent), zap.Error(err))
	}
}

var (
	errInTheClear  = errors.New("a password is not sent over a line that is not encrypted")
	errUnknownKind = errors.New("unknown kind of link")
)

// peek and redeem ask about the link of a request. Passwords are given only to who
// comes by TLS, or from this machine, where the proxy is that ends it.
func (p *phonePage) peek(r *http.Request) (string, error) {
	if err := p.allowed(r); err != nil {
		return "", err
	}
	return p.Phones.Peek(r.Context(), r.PathValue("secret"))
}

func (p *phonePage) redeem(r *http.Request) (PhoneSettings, error) {
	if err := p.allowed(r); err != nil {
		return PhoneSettings{}, err
	}
	s, err := p.Phones.Redeem(r.Context(), r.PathValue("secret"))
	if err != nil {
		return s, err
	}
	_, err = AppendAudit(r.Context(), p.DB, AuditEntry{Actor: "link", Action: "agent.provisioned", Object: s.Agent, Detail: r.PathValue("kind"), Remote: r.RemoteAddr})
	if err != nil {
		p.log.Error("console", zap.String("about", "audit"), zap.Error(err))
	}
	return s, nil
}

func (p *phonePage) allowed(r *http.Request) error {
	switch kind := r.PathValue("kind"); {
	case p.Phones == nil || kind != "linphone" && kind != "card":
		return errUnknownKind
	case r.TLS == nil && !loopback(r.RemoteAddr):
		return errInTheClear
	}
	return nil
}

func (p *phonePage) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code, why := http.StatusNotFound, "spent"
	switch {
	case errors.Is(err, errInTheClear):
		code, why = http.StatusForbidden, "clear"
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, errUnknownKind):
		p.log.Error("console", zap.String("about", "provisioning"), zap.Error(err))
		code, why = http.StatusInternalServerError, "broken"
	}
	p.write(w, r, code, map[string]any{"Why": why})
}

func (p *phonePage) write(w http.ResponseWriter, r *http.Request, code int, show map[string]any) {
	lang := preferred(r.Header.Get("Accept-Language"), p.lang(""))
	show["Lang"], show["T"], show["Site"] = lang, p.words[lang], p.Site
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Vary", "Accept-Language")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	w.WriteHeader(code)
	if err := p.card.Execute(w, show); err != nil {
		p.log.Info("phone page broke off", zap.Error(err))
	}
}

// writeLinphone writes an account as Linphone's remote provisioning reads it.
func writeLinphone(w io.Writer, s PhoneSettings) error {
	type entry struct {
		Name      string `xml:"name,attr"`
		Overwrite bool   `xml:"overwrite,attr"`
		Value     string `xml:",chardata"`
	}
	type section struct {
		Name    string  `xml:"name,attr"`
		Entries []entry `xml:"entry"`
	}
	set := func(name string, pairs ...string) section {
		made := section{Name: name}
		for i := 0; i < len(pairs); i += 2 {
			made.Entries = append(made.Entries, entry{pairs[i], true, pairs[i+1]})
		}
		return made
	}
	server := "<sip:" + s.Server + ";transport=" + s.Transport + ">"
	settings := struct {
		XMLName  xml.Name  `xml:"http://www.linphone.org/xsds/lpconfig.xsd config"`
		Sections []section `xml:"section"`
	}{Sections: []section{
		// A link works once: not again at the next start.
		set("misc", "config-uri", ""),
		// With the hash alone it could not answer a challenge of another algorithm.
		set("sip", "store_ha1_passwd", "0", "default_proxy", "0"),
		set("proxy_0", "reg_proxy", server, "reg_route", server[:len(server)-1]+";lr>",
			"reg_identity", fmt.Sprintf("%q <sip:%s@%s>", s.Name, s.Agent, s.Domain),
			"reg_expires", fmt.Sprint(int(s.Expires.Seconds())), "reg_sendregister", "1", "publish", "0"),
		set("auth_info_0", "username", s.Agent, "userid", s.Agent, "passwd", s.Password, "realm", s.Domain, "domain", s.Domain),
	}}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	return e.Encode(settings)
}
