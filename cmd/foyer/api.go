package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/sip"
)

// desk answers the console's questions from the parts that own the truth.
type desk struct {
	ex  *exchange
	cfg *config.Config
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (ex *exchange) consoleOptions(p *plan) console.Options {
	d := &desk{ex: ex, cfg: p.cfg}
	o := console.Options{
		Floor: d, Control: d, Diagnosis: d, Config: d,
		Recordings: &shelf{d}, Contacts: &history{d}, Reports: d, Trunks: &carriers{d}, Phones: d, Streams: d,
		DB:   ex.cdrs.DB(),
		Demo: p.cfg.Demo, Site: p.cfg.Site.Name, Locale: p.cfg.Site.Locale, Version: version,
		Healthy: ex.healthy, Ready: ex.readyNow, Warnings: ex.warnings,
		Log: ex.log.Named("console"),
	}
	if ex.sockets.metrics == nil {
		o.Metrics = ex.metrics.handler()
	}
	return o
}

// healthy: the switch can do its work. readyNow: and wants new calls.
func (ex *exchange) healthy() error {
	if ex.board.stalled.Load() {
		return errors.New("the floor stands still: no call is distributed; the log names a file that shows why")
	}
	// One failed write long ago is for the metrics; a switch that writes again
	// must not stay out of the carrier's rotation for it.
	if ex.board.deaf.Load() {
		return fmt.Errorf("the journal cannot be written (%d events so far); see the log", ex.board.failures.Load())
	}
	return nil
}

func (ex *exchange) readyNow(context.Context) error {
	if ex.draining.Load() {
		return errors.New("draining")
	}
	return ex.healthy()
}

// warnings are what an operator must see to while calls go on.
func (ex *exchange) warnings() (all []string) {
	for _, t := range ex.recordings.Trouble(time.Now()) {
		all = append(all, t.Text)
	}
	return all
}

// Calls lists the calls that are up, oldest first: those on the floor, and those
// it has sent to a number outside or a voicemail box.
func (d *desk) Calls(ctx context.Context) []console.LiveCall {
	var list []console.LiveCall
	elsewhere := d.ex.calls.elsewhere()
	for _, v := range d.ex.board.snapshot(ctx).Calls {
		card := d.ex.calls.card(v.ID)
		if card == nil || elsewhere[v.ID] != nil {
			continue
		}
		l := liveCall(v.ID, card)
		l.Queue, l.State, l.Position, l.Since = string(v.Queue), v.State.String(), v.Position, v.Since
		l.Agent, l.Callback = string(v.Agent), v.Callback != ""
		if len(v.Ringing) > 1 {
			l.Ringing = idsOf(v.Ringing)
		}
		if card.held {
			l.State = "held"
		}
		if card.leaving {
			l.State = "ending"
		}
		list = append(list, l)
	}
	for id, card := range elsewhere {
		l := liveCall(id, card)
		l.Queue, l.State, l.Since = string(card.queue), card.elsewhere, card.since
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b console.LiveCall) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	return list
}

// liveCall is what a call's own card says of it.
func liveCall(id acd.CallID, k *card) console.LiveCall {
	l := console.LiveCall{
		ID: string(id), Client: k.client, DID: k.did, From: k.from, Trunk: k.trunk, Started: k.started, Recording: k.recording,
	}
	if !k.answered.IsZero() {
		l.Answered = &k.answered
	}
	return l
}

// Agents lists every agent of the configuration with their phones.
func (d *desk) Agents(ctx context.Context) []console.AgentView {
	p := d.ex.plan.Load()
	phones := map[string][]console.Phone{}
	for _, b := range d.ex.registrar.All() {
		phones[b.User] = append(phones[b.User], phoneView(b))
	}
	var list []console.AgentView
	for _, a := range d.ex.board.snapshot(ctx).Agents {
		who := p.agents[a.ID]
		list = append(list, console.AgentView{
			ID: string(a.ID), Name: who.name, State: a.State.String(), Reason: a.Reason, Since: a.Since,
			Next: a.Next.String(), NextReason: a.NextReason, Overdue: a.Overdue,
			LinkLost: momentOf(a.LinkLost), Until: momentOf(a.Until), Wrap: wrapOf(a), Extensions: a.Extensions,
			Reachable: a.Reachable, Call: string(a.Call), InHand: idsOf(a.InHand),
			Missed: a.Missed, Handled: a.Handled, Dumped: a.Dumped,
			Skills: who.skills, Queues: who.queues, Clients: who.clients, Phones: phones[string(a.ID)],
		})
	}
	return list
}

// wrapOf is how the wrap-up ends that an agent is in; "" when they are in none.
func wrapOf(a acd.AgentView) string {
	if a.State != acd.WrapUp {
		return ""
	}
	return a.Wrap.String()
}

func idsOf[ID ~string](ids []ID) []string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = string(id)
	}
	return list
}

func phoneView(b sip.Binding) console.Phone {
	expires := b.Expires
	return console.Phone{
		Address: b.Source.String(), Transport: b.Transport, UserAgent: b.UserAgent,
		Expires: &expires, RTTMS: float64(b.RTT.Microseconds()) / 1000,
	}
}

// Hangup ends a live call.
func (d *desk) Hangup(_ context.Context, call, by string) error {
	d.ex.log.Info("call hung up by order: " + call + " by " + by)
	if !d.ex.calls.post(acd.CallID(call), ordered{by: acd.Supervisor, cause: acd.CauseAdmin}) {
		return fmt.Errorf("call %s: %w", call, console.ErrNotFound)
	}
	return nil
}

// Trace is the ladder of a call, live or past.
func (d *desk) Trace(ctx context.Context, call string) ([]console.TraceLine, error) {
	lines, err := d.ex.journal.ladder(ctx, acd.CallID(call))
	if err == nil && len(lines) == 0 {
		err = fmt.Errorf("call %s has no messages on record: %w", call, console.ErrNotFound)
	}
	return lines, err
}

// shelf shows the recordings.
type shelf struct{ *desk }

func (s *shelf) dir() string { return s.cfg.Recording.Store.Dir }

func (s *shelf) List(_ context.Context, q console.RecordingQuery) ([]console.Recording, error) {
	f := recorder.Filter{From: q.From, To: q.To, CallID: q.Call, Client: q.Client, Agent: q.Agent, Queue: q.Queue}
	if q.Clients == nil {
		f.Limit = q.Limit // with a client filter the limit counts what is left
	}
	infos, err := recorder.List(s.dir(), f)
	if err != nil {
		return nil, err
	}
	list := []console.Recording{}
	for _, info := range infos {
		if q.Clients == nil || slices.Contains(q.Clients, info.Client) {
			list = append(list, recordingView(info))
		}
		if q.Limit > 0 && len(list) == q.Limit {
			break
		}
	}
	return list, nil
}

func (s *shelf) Get(_ context.Context, id string) (console.Recording, error) {
	info, err := recorder.Find(s.dir(), id)
	if errors.Is(err, recorder.ErrNotFound) {
		return console.Recording{}, fmt.Errorf("recording %s: %w", id, console.ErrNotFound)
	}
	return recordingView(info), err
}

func (s *shelf) Audio(_ context.Context, id string) (io.ReadSeeker, time.Time, error) {
	audio, info, err := recorder.Audio(s.dir(), id, "")
	switch {
	case errors.Is(err, recorder.ErrNotFound):
		return nil, time.Time{}, fmt.Errorf("recording %s: %w", id, console.ErrNotFound)
	case errors.Is(err, recorder.ErrErased):
		return nil, time.Time{}, fmt.Errorf("recording %s: %w", id, console.ErrGone)
	case errors.Is(err, recorder.ErrSealed):
		return nil, time.Time{}, fmt.Errorf("recording %s is sealed to a key this switch does not hold (fetch it with `foyer recording get --identity`): %w", id, console.ErrUnavailable)
	}
	return audio, info.Started.Add(time.Duration(info.DurationS * float64(time.Second))), err
}

func recordingView(i recorder.Info) console.Recording {
	return console.Recording{
		ID: i.ID, CallID: i.CallID, Client: i.Client, Queue: i.Queue, Agent: i.Agent, Started: i.Started,
		DurationS: i.DurationS, State: i.State, Policy: i.Policy, Purpose: i.Purpose, LegalBasis: i.LegalBasis,
		From: i.From, To: i.To, Encrypted: i.Encrypted, Bytes: i.Bytes, LostMS: i.LostMS,
		Held: wordView(i.Held), Erased: wordView(i.Erased),
	}
}

func wordView(w *recorder.Word) *console.Word {
	if w == nil {
		return nil
	}
	return &console.Word{By: w.By, At: w.At, Reason: w.Reason}
}

func (s *shelf) Erase(_ context.Context, id string, w console.Word) error {
	return s.told(id, recorder.Erase(s.dir(), id, recorder.Word(w)))
}

func (s *shelf) Hold(_ context.Context, id string, w console.Word) error {
	return s.told(id, recorder.Hold(s.dir(), id, recorder.Word(w)))
}

func (s *shelf) Release(_ context.Context, id string) error {
	return s.told(id, recorder.Release(s.dir(), id))
}

// told is an error of the recorder as the console knows it.
func (s *shelf) told(id string, err error) error {
	switch {
	case errors.Is(err, recorder.ErrNotFound):
		return fmt.Errorf("recording %s: %w", id, console.ErrNotFound)
	case errors.Is(err, recorder.ErrErased):
		return &console.StateConflict{State: "erased", Why: "The recording is erased."}
	case errors.Is(err, recorder.ErrHeld):
		return &console.StateConflict{State: "held", Why: "The recording is under legal hold: release it first."}
	case errors.Is(err, recorder.ErrInProgress):
		return &console.StateConflict{State: "recording", Why: "The recording has not ended."}
	case errors.Is(err, recorder.ErrNotHeld):
		return &console.StateConflict{State: "released", Why: "The recording is not under legal hold."}
	}
	return err
}

// history shows the CDRs.
type history struct{ *desk }

func (h *history) List(ctx context.Context, q console.ContactQuery) ([]any, string, error) {
	rows, err := h.ex.cdrs.List(ctx, ledgerQuery(q))
	if errors.Is(err, ledger.ErrCursor) {
		return nil, "", fmt.Errorf("%w: %w", console.ErrBadQuery, err)
	}
	if err != nil {
		return nil, "", err
	}
	list := make([]any, len(rows))
	for i := range rows {
		list[i] = rows[i]
	}
	next := ""
	if q.Limit > 0 && len(rows) == q.Limit {
		next = rows[len(rows)-1].Cursor()
	}
	return list, next, nil
}

func (h *history) Get(ctx context.Context, id string) (any, string, error) {
	row, err := h.ex.cdrs.Get(ctx, id)
	if errors.Is(err, ledger.ErrNotFound) {
		return nil, "", fmt.Errorf("contact %s: %w", id, console.ErrNotFound)
	}
	return row, row.Client, err
}

func (h *history) Export(ctx context.Context, w io.Writer, format string, q console.ContactQuery) error {
	if format == "csv" {
		return h.ex.cdrs.ExportCSV(ctx, w, ledgerQuery(q), ledger.CSVFor(cmp.Or(q.Lang, h.cfg.Site.Locale)))
	}
	return h.ex.cdrs.ExportNDJSON(ctx, w, ledgerQuery(q))
}

func ledgerQuery(q console.ContactQuery) ledger.Query {
	return ledger.Query{
		From: q.From, To: q.To, Client: q.Client, Queue: q.Queue, Agent: q.Agent, DID: q.DID,
		Caller: q.Calling, Outcome: ledger.Outcome(q.Outcome), Clients: q.Clients, Limit: q.Limit, After: q.After,
	}
}
