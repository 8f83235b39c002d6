package console

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/ledger"
	"foyer/ledger/sqltest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(sqltest.Main(m)) }

// database is one with the ledger's tables: PostgreSQL where its connection string
// is given, or a file.
func database(t *testing.T, postgres string) *sql.DB {
	t.Helper()
	books, err := ledger.OpenStore(t.Context(), ledger.Database{File: filepath.Join(t.TempDir(), "foyer.db"), Postgres: postgres})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { books.Close() })
	return books.DB()
}

// on has the visit's tokens and trail in a database of its own.
func on(t *testing.T, postgres string) func(*Options) {
	return func(o *Options) { o.DB = database(t, postgres) }
}

const nasty = `"><script>alert(1)</script><img src=x onerror=alert(2)>`

// house is a switch of two clients, acme and bank, that remembers what it was told to do.
type house struct {
	did      []string
	refuses  error // what becomes of orders about agents and callbacks
	kept     bool  // the promise asked for was made before
	asked    ContactQuery
	recorded RecordingQuery
	reported ReportQuery
	broken   error
}

func began() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }

func (h *house) Calls(context.Context) []LiveCall {
	return []LiveCall{
		{ID: "c1", Client: "acme", From: nasty, Queue: "sales", State: "talking", Agent: "ana", Started: began(), Since: began()},
		{ID: "c2", Client: "bank", From: "+33612345678", Queue: "tier1", State: "waiting", Position: 1, Started: began(), Since: began()},
		{ID: "c3", Client: "acme", From: "+33612345679", Queue: "sales", State: "talking", Callback: true, Started: began(), Since: began()},
	}
}

func (h *house) Waiting(_ context.Context, queue string) []WaitingCall {
	if queue != "tier1" {
		return nil
	}
	return []WaitingCall{{ID: "c2", Position: 1, From: "+33612345678", Arrived: began(), WaitedS: 4, Wanted: "ana", Relaxed: 2}}
}

func (h *house) Callbacks(context.Context) []CallbackView {
	return []CallbackView{
		{ID: "b1", Queue: "sales", Client: "acme", Number: "+33612345680", State: "waiting", Position: 1, Since: began()},
		{ID: "b2", Queue: "tier1", Client: "bank", Number: "+33612345681", State: "later", Since: began()},
	}
}

func (h *house) AskCallback(_ context.Context, o CallbackOrder) (CallbackView, bool, error) {
	queue, number, by := o.Queue, o.Number, o.By
	if h.refuses != nil {
		return CallbackView{}, false, h.refuses
	}
	h.did = append(h.did, "callback "+queue+" "+number+" by "+by)
	return CallbackView{ID: "b3", Queue: queue, Client: "acme", Number: number, State: "waiting"}, !h.kept, nil
}

func (h *house) CancelCallback(_ context.Context, id, by string) error {
	if h.refuses == nil {
		h.did = append(h.did, "cancel "+id+" by "+by)
	}
	return h.refuses
}

func (h *house) Agents(context.Context) []AgentView {
	return []AgentView{
		{ID: "ana", Name: "Ana", State: "talking", Call: "c1", InHand: []string{"c1", "c2"}, Next: "not_ready", NextReason: "repas", Since: began(), Queues: []string{"sales", "tier1"}, Clients: []string{"acme", "bank"}},
		{ID: "bo", Name: "Bo", State: "ready", Since: began(), Queues: []string{"sales"}, Clients: []string{"acme"}},
		{ID: "cy", Name: "Cy", State: "off", Since: began()},
	}
}

func (h *house) Queues(context.Context) []QueueView {
	return []QueueView{{ID: "sales", Client: "acme", Open: true}, {ID: "tier1", Client: "bank", Open: true, Waiting: 1}}
}

func (h *house) Hangup(_ context.Context, call, by string) error {
	h.did = append(h.did, "hangup "+call+" by "+by)
	return h.broken
}

func (h *house) Transfer(_ context.Context, call, to, by string) (bool, error) {
	if h.refuses != nil {
		return false, h.refuses
	}
	h.did = append(h.did, "transfer "+call+" "+to+" by "+by)
	return to == "sales", nil
}

func (h *house) SetAgent(_ context.Context, agent string, o AgentOrder) (AgentState, error) {
	if h.refuses != nil {
		return AgentState{}, fmt.Errorf("set agent: %w", h.refuses)
	}
	h.did = append(h.did, strings.Join(strings.Fields(o.Do+" "+agent+" "+o.Reason+" "+o.Code+" "+o.Call), " ")+" by "+o.By)
	return AgentState{State: "talking", Since: began(), Next: "ready"}, h.broken
}

func (h *house) Trace(_ context.Context, call string) ([]TraceLine, error) {
	if call == "none" {
		return nil, ErrNotFound
	}
	return []TraceLine{
		{At: began(), Leg: "caller", Direction: "in", Transport: "udp", Remote: "127.0.0.2:5060", Summary: "INVITE", Message: nasty},
		{At: began().Add(20 * time.Millisecond), Leg: "agent", Agent: "ana", Direction: "out", Transport: "tcp", Remote: "127.0.0.3:5060", Summary: "INVITE"},
	}, nil
}

func (h *house) Explain(_ context.Context, call, lang string) (Explanation, error) {
	if call == "none" {
		return Explanation{}, ErrNotFound
	}
	return Explanation{Call: call, Lang: lang, Text: "Ana."}, nil
}

func (h *house) Doctor(_ context.Context, agent, lang string) (LineReport, error) {
	if agent != "ana" {
		return LineReport{}, ErrNotFound
	}
	return LineReport{Agent: agent, Lang: lang, Findings: []LineFinding{{ID: "alg", Severity: "error"}}}, nil
}

func (h *house) ExplainAgent(_ context.Context, q AgentQuestion) (AgentExplanation, error) {
	if q.Agent == "none" {
		return AgentExplanation{}, ErrNotFound
	}
	return AgentExplanation{Agent: q.Agent, Lang: q.Lang, From: q.From, To: q.To, Text: "Nobody waited.", Stretches: []Stretch{}}, nil
}

func (h *house) Journal(_ context.Context, w io.Writer, from, to time.Time) error {
	io.WriteString(w, `{"d":"0","r":[]}`+"\n")
	return h.broken
}

func (h *house) Stream(_ context.Context, w io.Writer, name string) error {
	fmt.Fprintf(w, `{"stream":%q}`+"\n", name)
	return h.broken
}

func (h *house) List(_ context.Context, q ContactQuery) ([]any, string, error) {
	h.asked = q
	if q.After == "bad" {
		return nil, "", fmt.Errorf("cursor: %w", ErrBadQuery)
	}
	return []any{json.RawMessage(`{"id":"c0","client":"acme"}`)}, "next", h.broken
}

func (h *house) Report(_ context.Context, q ReportQuery) ([]any, error) {
	h.reported = q
	if q.Formula == "best" {
		return nil, fmt.Errorf("%w: no service level is called best", ErrBadQuery)
	}
	return []any{map[string]any{"queue": "sales", "service_level": 0.81}}, h.broken
}

func (h *house) Get(_ context.Context, id string) (any, string, error) {
	if id != "c0" {
		return nil, "", fmt.Errorf("CDR %s: %w", id, ErrNotFound)
	}
	return json.RawMessage(`{"id":"c0","client":"acme"}`), "acme", nil
}

func (h *house) Export(_ context.Context, w io.Writer, format string, q ContactQuery) error {
	h.asked = q
	io.WriteString(w, format+" row\n")
	return h.broken
}

// shelf holds two recordings; its audio is a file that must be closed.
type shelf struct {
	*house
	open, read int
	onRead     func()
	orders     []string
}

func (s *shelf) List(_ context.Context, q RecordingQuery) ([]Recording, error) {
	s.recorded = q
	return []Recording{ // careless: it ignores the filter
		{ID: "r1", CallID: "c0", Client: "acme", Started: began(), State: "complete", From: nasty},
		{ID: "r2", CallID: "c9", Client: "bank", Started: began(), State: "complete"},
	}, nil
}

func (s *shelf) Get(ctx context.Context, id string) (Recording, error) {
	all, _ := s.List(ctx, RecordingQuery{})
	word := &Word{By: "paul", At: began(), Reason: "case 17"}
	all = append(all,
		Recording{ID: "held", Client: "acme", CallID: "c7", State: "complete", Held: word},
		Recording{ID: "gone", Client: "acme", State: "erased", Erased: word},
		Recording{ID: "live", Client: "acme", State: "recording"})
	for _, r := range all {
		if r.ID == id {
			return r, nil
		}
	}
	return Recording{}, fmt.Errorf("recording %s: %w", id, ErrNotFound)
}

func (s *shelf) Erase(_ context.Context, id string, w Word) error { return s.order("erase", id, w) }
func (s *shelf) Hold(_ context.Context, id string, w Word) error  { return s.order("hold", id, w) }
func (s *shelf) Release(_ context.Context, id string) error       { return s.order("release", id, Word{}) }

func (s *shelf) order(what, id string, w Word) error {
	s.orders = append(s.orders, what+" "+id+" "+w.Reason)
	return nil
}

type tape struct {
	*bytes.Reader
	shelf *shelf
}

func (t tape) Read(p []byte) (int, error) {
	t.shelf.read++
	if t.shelf.onRead != nil {
		t.shelf.onRead()
	}
	return t.Reader.Read(p)
}
func (t tape) WriteTo(io.Writer) (int64, error) { return 0, errors.New("read it") }
func (t tape) Close() error                     { t.shelf.open--; return nil }

func (s *shelf) Audio(_ context.Context, id string) (io.ReadSeeker, time.Time, error) {
	s.open++
	type reader struct{ io.ReadSeekCloser }
	return reader{tape{bytes.NewReader([]byte("RIFF-0123456789")), s}}, began(), nil
}

// lines are the trunks of the house.
type lines struct{}

func (lines) List(context.Context) []TrunkView {
	return []TrunkView{{ID: "carrier", State: "up", Mode: "ip", Transport: "udp", MaxCalls: 20}}
}

func (l lines) Ping(ctx context.Context, id string) (TrunkView, error) {
	if id != "carrier" {
		return TrunkView{}, ErrNotFound
	}
	return l.List(ctx)[0], nil
}

// visit is a console with a house behind it.
type visit struct {
	t       *testing.T
	house   *house
	shelf   *shelf
	db      *sql.DB
	handler http.Handler
}

func newVisit(t *testing.T, change ...func(*Options)) *visit {
	t.Helper()
	h := &house{}
	v := &visit{t: t, house: h, shelf: &shelf{house: h}}
	o := Options{Floor: h, Control: h, Diagnosis: h, Recordings: v.shelf, Contacts: h, Reports: h, Trunks: lines{}, Streams: h, Phones: h, Site: "Essai", Locale: "fr", Version: "1.2.3",
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "foyer_up 1\n") })}
	for _, f := range change {
		f(&o)
	}
	if o.DB == nil {
		o.DB = database(t, "")
	}
	v.db = o.DB
	var err error
	if v.handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	return v
}

func demo(o *Options) { o.Demo = true }

func (v *visit) token(scopes, clients []string) string {
	v.t.Helper()
	plain, _, err := CreateToken(v.t.Context(), v.db, TokenSpec{Name: "nadia", Scopes: scopes, Clients: clients, By: "test"})
	if err != nil {
		v.t.Fatal(err)
	}
	return plain
}

// ask sends one request; headers are pairs. "token" is short for a bearer.
func (v *visit) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "192.0.2.7:4711", "acd.example"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	handler := v.handler
	for i := 0; i < len(headers); i += 2 {
		switch name, value := headers[i], headers[i+1]; name {
		case "token":
			r.Header.Set("Authorization", "Bearer "+value)
		case "from":
			r.RemoteAddr = value
		case "Host":
			r.Host = value
		case "socket":
			handler = Admin(handler)
			r.RemoteAddr = "@"
		default:
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// routes is every operation with the scope it needs.
func routes() []struct{ method, path, body, scope string } {
	return []struct{ method, path, body, scope string }{
		{"GET", "/api/v1/calls?live=1", "", CallsRead},
		{"GET", "/api/v1/calls/c1", "", CallsRead},
		{"GET", "/api/v1/calls/c0", "", CallsRead},
		{"POST", "/api/v1/calls/c1/hangup", "", CallsControl},
		{"POST", "/api/v1/calls/c1/transfer", `{"to":"bo"}`, CallsControl},
		{"GET", "/api/v1/calls/c1/trace", "", CallsRead},
		{"GET", "/api/v1/calls/c1/explain?lang=en", "", CallsRead},
		{"GET", "/api/v1/journal.ndjson", "", AdminScope},
		{"GET", "/api/v1/streams/diary", "", AdminScope},
		{"GET", "/api/v1/agents", "", AgentsRead},
		{"GET", "/api/v1/agents/ana/explain", "", AgentsRead},
		{"GET", "/api/v1/agents/ana/doctor", "", AgentsRead},
		{"GET", "/api/v1/agents/ana", "", AgentsRead},
		{"POST", "/api/v1/agents/ana/login", "", AgentsControl},
		{"POST", "/api/v1/agents/ana/logout", "", AgentsControl},
		{"POST", "/api/v1/agents/ana/ready", "", AgentsControl},
		{"POST", "/api/v1/agents/ana/pause", `{"reason":"repas"}`, AgentsControl},
		{"POST", "/api/v1/agents/ana/wrapup", `{"code":"resolu"}`, AgentsControl},
		{"POST", "/api/v1/agents/ana/extend", "", AgentsControl},
		{"POST", "/api/v1/agents/ana/release", "", AgentsControl},
		{"GET", "/api/v1/trunks", "", TrunksRead},
		{"GET", "/api/v1/trunks/carrier", "", TrunksRead},
		{"POST", "/api/v1/trunks/carrier/ping", "", TrunksRead},
		{"POST", "/api/v1/agents/ana/provisioning", `{"days":2}`, AgentsProvision},
		{"GET", "/api/v1/queues", "", CallsRead},
		{"GET", "/api/v1/queues/sales", "", CallsRead},
		{"GET", "/api/v1/queues/sales/calls", "", CallsRead},
		{"GET", "/api/v1/callbacks", "", CallsRead},
		{"POST", "/api/v1/callbacks", `{"queue":"sales","number":"+33612345680"}`, CallsControl},
		{"POST", "/api/v1/callbacks/b1/cancel", "", CallsControl},
		{"GET", "/api/v1/contacts", "", ContactsRead},
		{"GET", "/api/v1/contacts.csv", "", ContactsRead},
		{"GET", "/api/v1/reports/sla", "", ReportsRead},
		{"GET", "/api/v1/contacts.ndjson", "", ContactsRead},
		{"GET", "/api/v1/recordings", "", RecordingsRead},
		{"GET", "/api/v1/recordings/r1", "", RecordingsRead},
		{"GET", "/api/v1/recordings/r1/audio", "", RecordingsListen},
		{"GET", "/api/v1/recordings/r1/audit", "", RecordingsRead},
		{"POST", "/api/v1/recordings/r1/keep", `{"reason":"case 17"}`, RecordingsKeep},
		{"POST", "/api/v1/recordings/held/release", `{"reason":"case closed"}`, RecordingsKeep},
		{"POST", "/api/v1/recordings/r1/erase", `{"reason":"asked for"}`, RecordingsKeep},
		{"GET", "/api/v1/audit", "", AdminScope},
		{"GET", "/metrics", "", MetricsRead},
	}
}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	v := newVisit(t)
	tokens := map[string]string{}
	for _, scope := range Scopes() {
		tokens[scope] = v.token([]string{scope}, nil)
	}
	for _, r := range routes() {
		if w := v.ask(r.method, r.path, r.body); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without a token: %d %s", r.method, r.path, w.Code, w.Body)
		} else if p := problemIn(t, w); p.Code != "unauthorised" || p.Hint == "" {
			t.Errorf("%s %s: %+v", r.method, r.path, p)
		}
		for scope, token := range tokens {
			w := v.ask(r.method, r.path, r.body, "token", token)
			if scope == r.scope || scope == AdminScope {
				if w.Code/100 != 2 {
					t.Errorf("%s %s with %s: %d %s", r.method, r.path, scope, w.Code, w.Body)
				}
			} else if w.Code != 403 || problemIn(t, w).Code != "forbidden" {
				t.Errorf("%s %s with %s: %d %s", r.method, r.path, scope, w.Code, w.Body)
			}
		}
		if w := v.ask(r.method, r.path, r.body, "socket", ""); w.Code/100 != 2 {
			t.Errorf("%s %s on the admin socket: %d %s", r.method, r.path, w.Code, w.Body)
		}
	}
	if v.shelf.open != 0 {
		t.Errorf("%d recordings left open", v.shelf.open)
	}
}

func problemIn(t *testing.T, w *httptest.ResponseRecorder) Problem {
	t.Helper()
	if kind := w.Header().Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%d is %s: %s", w.Code, kind, w.Body)
	}
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Errorf("%v in %s", err, w.Body)
	}
	if p.Status != w.Code || p.Title == "" || p.Code == "" {
		t.Errorf("%d says %+v", w.Code, p)
	}
	return p
}

func TestTheDescriptionNamesEveryRoute(t *testing.T) {
	v := newVisit(t)
	w := v.ask("GET", "/api/openapi.json", "")
	var spec struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			Security  []map[string][]string
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &spec); err != nil || w.Code != 200 || !strings.HasPrefix(spec.OpenAPI, "3.1") {
		t.Fatalf("%d %v", w.Code, err)
	}
	if len(spec.Servers) != 1 || spec.Servers[0].URL != "/api/v1" {
		t.Errorf("servers %v", spec.Servers)
	}
	docs := v.ask("GET", "/api/docs", "").Body.String()
	for _, r := range routes()[:len(routes())-1] {
		path, _, _ := strings.Cut(strings.TrimPrefix(r.path, "/api/v1"), "?")
		for _, id := range []string{"/c1", "/c0", "/ana", "/sales", "/b1", "/r1", "/held", "/carrier"} {
			path = strings.Replace(path, id, "/{id}", 1)
		}
		path = strings.NewReplacer("/sla", "/{name}", "/diary", "/{name}").Replace(path)
		op, ok := spec.Paths[path][strings.ToLower(r.method)]
		if !ok || len(op.Security) != 1 || !slices.Equal(op.Security[0]["token"], []string{r.scope}) {
			t.Errorf("%s %s: %v %v", r.method, path, ok, op.Security)
		}
		if ref := op.Responses["default"].Content["application/problem+json"].Schema.Ref; ref != "#/components/schemas/Problem" {
			t.Errorf("%s %s answers errors with %q", r.method, path, ref)
		}
		if !strings.Contains(docs, "<code>/api/v1"+path+"</code>") {
			t.Errorf("the docs page lacks %s", path)
		}
	}
	if strings.Contains(docs, "//unpkg") || strings.Contains(docs, "<script") {
		t.Error("the docs page loads something")
	}
	if spec.Components.Schemas["Problem"] == nil || spec.Components.Schemas["LiveCall"] == nil {
		t.Errorf("schemas %v", spec.Components.Schemas)
	}
}

func TestAnswers(t *testing.T) {
	v := newVisit(t, demo)
	here := []string{"from", "127.0.0.1:9", "Host", "localhost:8080"}
	for _, tt := range []struct {
		method, path, body string
		code               int
		want               string
	}{
		{"GET", "/api/v1/calls", "", 200, `"position":1`},
		{"GET", "/api/v1/calls?live=false", "", 400, "/api/v1/contacts"},
		{"GET", "/api/v1/calls?lvie=1", "", 422, "lvie"},
		{"GET", "/api/v1/calls/c2", "", 200, `{"live":true,"call":{"id":"c2"`},
		{"GET", "/api/v1/calls/c0", "", 200, `{"live":false,"contact":{"id":"c0"`},
		{"GET", "/api/v1/calls/none", "", 404, `"code":"not_found"`},
		{"POST", "/api/v1/calls/c0/hangup", "", 404, `"code":"not_found"`},
		{"POST", "/api/v1/calls/c0/transfer", `{"to":"bo"}`, 404, `"code":"not_found"`},
		{"POST", "/api/v1/calls/c1/transfer", `{"to":""}`, 422, "body.to"},
		{"POST", "/api/v1/calls/c1/transfer", `{"to":"bo","mode":"attended"}`, 422, "body.mode"},
		{"GET", "/api/v1/calls/none/trace", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/calls/c1/trace?format=ladder", "", 200, "- INVITE --"},
		{"GET", "/api/v1/calls/c1/trace?format=pcap", "", 422, "format"},
		{"GET", "/api/v1/calls/c1/explain", "", 200, `"lang":"fr","text":"Ana.","offers":[]`},
		{"GET", "/api/v1/calls/c1/explain?lang=en", "", 200, `"lang":"en"`},
		{"GET", "/api/v1/agents/ana/explain?from=2026-03-01T14:00:00Z&to=2026-03-01T14:30:00Z", "", 200, `"lang":"fr","from":"2026-03-01T14:00:00Z","to":"2026-03-01T14:30:00Z","text":"Nobody waited.","stretches":[]`},
		{"GET", "/api/v1/agents/none/explain", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/agents/ana/doctor?lang=en", "", 200, `"lang":"en"`},
		{"GET", "/api/v1/agents/ana/doctor", "", 200, `"lang":"fr"`},
		{"GET", "/api/v1/agents/none/doctor", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/agents/ana/explain?from=2026-03-01T14:30:00Z&to=2026-03-01T14:00:00Z", "", 400, `from is after to`},
		{"GET", "/api/v1/agents/ana/explain?from=noon", "", 422, `from`},
		{"GET", "/api/v1/journal.ndjson?from=2026-03-01T14:00:00Z", "", 200, `{"d":"0","r":[]}`},
		{"GET", "/api/v1/streams/journal", "", 200, `{"stream":"journal"}`},
		{"GET", "/api/v1/streams/other", "", 422, `path.name`},
		{"GET", "/api/v1/agents/cy", "", 200, `"queues":[],"clients":[]`},
		{"GET", "/api/v1/agents/nobody", "", 404, `"code":"not_found"`},
		{"POST", "/api/v1/agents/nobody/ready", "", 404, `"code":"not_found"`},
		{"POST", "/api/v1/agents/ana/pause", "", 400, `body`},
		{"POST", "/api/v1/agents/ana/pause", `{"reason":""}`, 422, `reason`},
		{"POST", "/api/v1/agents/ana/wrapup", `{"nota":"x"}`, 422, `nota`},
		{"POST", "/api/v1/agents/ana/wrapup", "", 400, `body`},
		{"GET", "/api/v1/agents/ana", "", 200, `"next":"not_ready","next_reason":"repas"`},
		{"GET", "/api/v1/agents/bo", "", 200, `"in_hand":[]`},
		{"GET", "/api/v1/queues/tier1", "", 200, `"waiting":1`},
		{"GET", "/api/v1/queues/tier1/calls", "", 200, `[{"id":"c2","position":1,"from":"+33612345678","arrived":"2026-03-02T09:00:00Z","waited_s":4,"wanted":"ana","relaxed":2}]`},
		{"GET", "/api/v1/queues/sales/calls", "", 200, `"items":[]`},
		{"GET", "/api/v1/queues/none/calls", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/callbacks?queue=tier1", "", 200, `"items":[{"id":"b2"`},
		{"POST", "/api/v1/callbacks", `{"queue":"none","number":"+33612345680"}`, 404, `"code":"not_found"`},
		{"POST", "/api/v1/callbacks", `{"queue":"sales"}`, 422, `number`},
		{"POST", "/api/v1/callbacks/none/cancel", "", 404, `"code":"not_found"`},
		{"POST", "/api/v1/callbacks/c3/cancel", "", 409, `on the line already`},
		{"GET", "/api/v1/queues/none", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/contacts?limit=7&from=2026-03-01T00:00:00Z&outcome=answered", "", 200, `"items":[{"id":"c0","client":"acme"}],"next":"next"`},
		{"GET", "/api/v1/contacts?cursor=bad", "", 400, `"code":"bad_query"`},
		{"GET", "/api/v1/contacts?limit=0", "", 422, `limit`},
		{"GET", "/api/v1/contacts?from=yesterday", "", 422, `from`},
		{"GET", "/api/v1/contacts.csv?lang=fr", "", 200, "csv row"},
		{"GET", "/api/v1/recordings?agent=ana", "", 200, `"id":"r1"`},
		{"GET", "/api/v1/recordings/none", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/recordings/none/audio", "", 404, `"code":"not_found"`},
		{"GET", "/api/v1/nothing", "", 404, `"code":"no_such_route"`},
		{"PUT", "/api/v1/calls/c1", "", 404, `"code":"no_such_route"`},
		{"GET", "/nothing", "", 404, "not found"},
		{"GET", "/healthz", "", 200, "ok"},
		{"GET", "/readyz", "", 200, "ok"},
		{"GET", "/metrics", "", 200, "foyer_up 1"},
	} {
		w := v.ask(tt.method, tt.path, tt.body, here...)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s: %d %s; want %d %s", tt.method, tt.path, w.Code, w.Body, tt.code, tt.want)
		}
		if w.Code >= 400 && strings.HasPrefix(tt.path, "/api/") {
			problemIn(t, w)
		}
	}
	want := ContactQuery{Lang: "fr"}
	if !reflect.DeepEqual(v.house.asked, want) {
		t.Errorf("asked %+v, want %+v", v.house.asked, want)
	}
}

func TestCommands(t *testing.T) {
	v := newVisit(t)
	token := v.token([]string{CallsControl, AgentsControl}, nil)
	by := " by nadia (" + strings.Split(token, "_")[1] + ")"
	const state = `{"state":"talking","since":"2026-03-02T09:00:00Z","next":"ready"}`
	for _, tt := range []struct {
		path, body string
		code       int
		answer     string
		did        string // "" where the switch is not told
		audit      string // action, object, call, detail
	}{
		{"/calls/c1/hangup", "", 204, "", "hangup c1", "call.hangup c1 c1 "},
		{"/calls/c1/transfer", `{"to":"bo"}`, 202, `{"done":false}`, "transfer c1 bo", "call.transfer c1 c1 bo"},
		{"/calls/c1/transfer", `{"to":"sales","mode":"blind"}`, 200, `{"done":true}`, "transfer c1 sales", "call.transfer c1 c1 sales"},
		{"/agents/ana/login", "", 200, state, "login ana", "agent.login ana  "},
		{"/agents/ana/logout", "", 200, state, "logout ana", "agent.logout ana  "},
		{"/agents/ana/ready", "", 200, state, "ready ana", "agent.ready ana  "},
		{"/agents/ana/extend", "", 200, state, "extend ana", "agent.extend ana  "},
		{"/agents/ana/release", "", 200, state, "release ana", "agent.release ana  "},
		{"/agents/ana/pause", `{"reason":"repas"}`, 200, state, "pause ana repas", "agent.pause ana  repas"},
		{"/agents/ana/wrapup", `{"code":"resolu","call":"c0"}`, 200, state, "wrapup ana resolu c0", "agent.wrapup ana c0 resolu"},
		{"/agents/ana/wrapup", `{}`, 200, state, "wrapup ana", "agent.wrapup ana  "},
		{"/callbacks", `{"queue":"sales","number":"+33612345680"}`, 201, `{"id":"b3"`, "callback sales +33612345680", "callback.add b3 b3 sales +33612345680"},
		{"/callbacks/b1/cancel", "", 204, "", "cancel b1", "callback.cancel b1 b1 sales +33612345680"},
	} {
		v.house.did = nil
		w := v.ask("POST", "/api/v1"+tt.path, tt.body, "token", token)
		if w.Code != tt.code || !strings.HasPrefix(w.Body.String(), tt.answer) || tt.answer == "" && w.Body.Len() != 0 {
			t.Errorf("%s: %d %s", tt.path, w.Code, w.Body)
		}
		if want := []string{tt.did + by}; !slices.Equal(v.house.did, want) {
			t.Errorf("did %q, want %q", v.house.did, want)
		}
		trail, err := ListAudit(t.Context(), v.db, AuditQuery{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		if a := trail[0]; a.Action+" "+a.Object+" "+a.Call+" "+a.Detail != tt.audit {
			t.Errorf("%s leaves %+v", tt.path, a)
		}
	}
	v.house.kept = true
	if w := v.ask("POST", "/api/v1/callbacks", `{"queue":"sales","number":"+33612345680"}`, "token", token); w.Code != 200 {
		t.Errorf("asked twice: %d %s", w.Code, w.Body)
	}
	if trail, err := ListAudit(t.Context(), v.db, AuditQuery{Limit: 1}); err != nil || trail[0].Action != "callback.cancel" {
		t.Errorf("a promise that stands leaves %+v %v", trail, err)
	}
}

// What the switch refuses reaches the client as a problem that says what to do.
func TestRefusals(t *testing.T) {
	v := newVisit(t)
	token := v.token([]string{CallsControl, AgentsControl}, nil)
	v.house.refuses = &StateConflict{State: "talking"}
	w := v.ask("POST", "/api/v1/agents/ana/ready", "", "token", token)
	if p := problemIn(t, w); w.Code != 409 || p.CurrentState != "talking" || p.Code != "state_changed" || !strings.Contains(p.Detail, "talking") {
		t.Errorf("conflict: %+v", p)
	}
	v.house.refuses = &StateConflict{State: "wrap_up", Why: "No extension is left."}
	w = v.ask("POST", "/api/v1/agents/ana/extend", "", "token", token)
	if p := problemIn(t, w); w.Code != 409 || p.CurrentState != "wrap_up" || p.Detail != "No extension is left." {
		t.Errorf("conflict with a reason: %+v", p)
	}
	v.house.refuses = &BadField{Field: "code", Value: "sold", Why: "It is no code.", Known: []string{"resolu", "rappel"}}
	w = v.ask("POST", "/api/v1/agents/ana/wrapup", `{"code":"sold"}`, "token", token)
	if p := problemIn(t, w); w.Code != 422 || p.Code != "invalid" || p.Detail != "It is no code." || !strings.Contains(p.Hint, "resolu, rappel") ||
		len(p.Errors) != 1 || p.Errors[0].Location != "body.code" || p.Errors[0].Value != "sold" {
		t.Errorf("unknown code: %s", w.Body)
	}
	v.house.refuses = &BadField{Field: "number", Value: "112", Why: "No."}
	w = v.ask("POST", "/api/v1/callbacks", `{"queue":"sales","number":"112"}`, "token", token)
	if p := problemIn(t, w); w.Code != 422 || p.Hint != "" || p.Errors[0].Location != "body.number" {
		t.Errorf("a number that may not be called: %s", w.Body)
	}
	v.house.refuses = &StateConflict{State: "talking", Why: "The customer is on the line."}
	if w := v.ask("POST", "/api/v1/callbacks/b1/cancel", "", "token", token); w.Code != 409 || problemIn(t, w).CurrentState != "talking" {
		t.Errorf("cancel: %d %s", w.Code, w.Body)
	}
	v.house.refuses, v.house.broken = nil, errors.New("a secret path")
	w = v.ask("POST", "/api/v1/agents/ana/ready", "", "token", token)
	if p := problemIn(t, w); w.Code != 500 || p.Code != "internal" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("broken: %+v", p)
	}
	v.house.broken = fmt.Errorf("the switch is draining: %w", ErrUnavailable)
	if w := v.ask("POST", "/api/v1/calls/c1/hangup", "", "token", token); w.Code != 503 || !strings.Contains(w.Body.String(), "draining") {
		t.Errorf("unavailable: %d %s", w.Code, w.Body)
	}
}

func TestPartsThatAreNotThere(t *testing.T) {
	v := newVisit(t, func(o *Options) {
		o.Floor, o.Control, o.Diagnosis, o.Recordings, o.Contacts, o.Reports, o.Trunks, o.Streams = nil, nil, nil, nil, nil, nil, nil, nil
		o.Ready = func(context.Context) error { return errors.New("draining") }
		o.Healthy = func() error { return errors.New("the journal does not take records") }
		o.Warnings = func() []string { return []string{"recordings: no room"} }
	})
	token := v.token([]string{AdminScope}, nil)
	for _, r := range routes() {
		if r.path == "/metrics" || r.path == "/api/v1/audit" || strings.HasPrefix(r.path, "/api/v1/calls/c") && r.scope == CallsRead && strings.Count(r.path, "/") == 4 {
			continue
		}
		if w := v.ask(r.method, r.path, r.body, "token", token); w.Code != 501 || problemIn(t, w).Code != "not_available" {
			t.Errorf("%s %s: %d", r.method, r.path, w.Code)
		}
	}
	for path, want := range map[string]string{"/readyz": "draining\nwarning: recordings: no room\n", "/healthz": "the journal does not take records\n"} {
		if w := v.ask("GET", path, ""); w.Code != 503 || w.Body.String() != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a console without a database")
	}
}
