package console

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"
)

// CallRef is the call a path names.
type CallRef struct {
	ID string `path:"id" maxLength:"128"`
}

// callStory is a call, live or past.
type callStory struct {
	Live    bool      `json:"live"`
	Call    *LiveCall `json:"call,omitempty" doc:"While it is live"`
	Contact any       `json:"contact,omitempty" doc:"Once it is over: its contact row"`
}

func (c *console) callRoutes(api huma.API) {
	huma.Register(api, route("list-calls", "GET /calls", CallsRead, "Live calls"), c.listCalls)
	huma.Register(api, route("get-call", "GET /calls/{id}", CallsRead, "One call, live or past"), c.getCall)
	hangup := route("hangup-call", "POST /calls/{id}/hangup", CallsControl, "End a live call")
	hangup.DefaultStatus = http.StatusNoContent
	huma.Register(api, hangup, c.hangupCall)
	huma.Register(api, route("transfer-call", "POST /calls/{id}/transfer", CallsControl,
		"Give the caller of an agent to another agent, a queue or a number; 202 while it rings there"), c.transferCall)
	trace := route("trace-call", "GET /calls/{id}/trace", CallsRead, "The SIP messages of a call")
	trace.Responses = answers("application/json", "text/plain")
	huma.Register(api, trace, c.traceCall)
	huma.Register(api, route("explain-call", "GET /calls/{id}/explain", CallsRead, "Why a call was offered to whom"), c.explainCall)
	journal := route("export-journal", "GET /journal.ndjson", AdminScope, "Everything that happened, as it was written down")
	journal.Responses = answers("application/x-ndjson")
	huma.Register(api, journal, c.exportJournal)
}

// answers describes a 200 whose body huma does not see.
func answers(kinds ...string) map[string]*huma.Response {
	content := map[string]*huma.MediaType{}
	for _, kind := range kinds {
		content[kind] = &huma.MediaType{}
	}
	return map[string]*huma.Response{"200": {Description: "OK", Content: content}}
}

// visibleCalls are the live calls the actor may know of.
func (c *console) visibleCalls(ctx context.Context) []LiveCall {
	a := who(ctx)
	var seen []LiveCall
	for _, call := range c.Floor.Calls(ctx) {
		if a.sees(call.Client) {
			seen = append(seen, call)
		}
	}
	return seen
}

func (c *console) liveCall(ctx context.Context, id string) (LiveCall, bool) {
	if c.Floor == nil {
		return LiveCall{}, false
	}
	for _, call := range c.visibleCalls(ctx) {
		if call.ID == id {
			return call, true
		}
	}
	return LiveCall{}, false
}

func (c *console) listCalls(ctx context.Context, in *struct {
	Live bool `query:"live" default:"true" doc:"Only live calls are here; past ones are contacts"`
}) (*list[LiveCall], error) {
	if c.Floor == nil {
		return nil, notHere("floor")
	}
	if !in.Live {
		return nil, problem(http.StatusBadRequest, "bad_query", "Only live calls are listed here.", "Past calls are at /api/v1/contacts.")
	}
	return listing(c.visibleCalls(ctx), ""), nil
}

func (c *console) getCall(ctx context.Context, in *CallRef) (*one[callStory], error) {
	if call, ok := c.liveCall(ctx, in.ID); ok {
		return &one[callStory]{callStory{Live: true, Call: &call}}, nil
	}
	row, err := c.pastCall(ctx, in.ID)
	if err != nil {
		return nil, c.problem(err, "call", in.ID)
	}
	return &one[callStory]{callStory{Contact: row}}, nil
}

// pastCall is the row of a call the actor may know of.
func (c *console) pastCall(ctx context.Context, id string) (any, error) {
	if c.Contacts == nil {
		return nil, ErrNotFound
	}
	row, client, err := c.Contacts.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if !who(ctx).sees(client) {
		return nil, ErrNotFound
	}
	return row, nil
}

// knows returns ErrNotFound unless the actor may know of the call. Who may see every
// client may also see what is kept of a call that has no row yet.
func (c *console) knows(ctx context.Context, id string) error {
	if who(ctx).clients == nil {
		return nil
	}
	if _, ok := c.liveCall(ctx, id); ok {
		return nil
	}
	_, err := c.pastCall(ctx, id)
	return err
}

func (c *console) hangupCall(ctx context.Context, in *CallRef) (*done, error) {
	if c.Control == nil || c.Floor == nil {
		return nil, notHere("control")
	}
	call, ok := c.liveCall(ctx, in.ID)
	if !ok {
		return nil, notFound("live call", in.ID)
	}
	if err := c.Control.Hangup(ctx, call.ID, who(ctx).name); err != nil {
		return nil, c.problem(err, "call", in.ID)
	}
	c.record(ctx, AuditEntry{Action: "call.hangup", Object: call.ID, Call: call.ID})
	return nil, nil
}

// transferred is the answer to an order to transfer a call.
type transferred struct {
	Status int
	Body   struct {
		Done bool `json:"done" doc:"false: it rings there still, and the agent has the caller until it is taken"`
	}
}

func (c *console) transferCall(ctx context.Context, in *struct {
	CallRef
	Body struct {
		To   string `json:"to" minLength:"1" maxLength:"128" example:"bo" doc:"An agent or a queue by its id, a number of ours, or a number outside that an outbound route allows"`
		Mode string `json:"mode,omitempty" enum:"blind" default:"blind" doc:"blind: the agent does not speak with them first"`
	}
}) (*transferred, error) {
	if c.Control == nil || c.Floor == nil {
		return nil, notHere("control")
	}
	call, ok := c.liveCall(ctx, in.ID)
	if !ok {
		return nil, notFound("live call", in.ID)
	}
	c.record(ctx, AuditEntry{Action: "call.transfer", Object: call.ID, Call: call.ID, Detail: in.Body.To})
	out := &transferred{Status: http.StatusOK}
	var err error
	if out.Body.Done, err = c.Control.Transfer(ctx, call.ID, in.Body.To, who(ctx).name); err != nil {
		return nil, c.problem(err, "call", in.ID)
	}
	if !out.Body.Done {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

func (c *console) traceCall(ctx context.Context, in *struct {
	CallRef
	Format string `query:"format" enum:"json,ladder" default:"json" doc:"ladder: text with arrows between the parties"`
}) (*huma.StreamResponse, error) {
	if c.Diagnosis == nil {
		return nil, notHere("trace")
	}
	err := c.knows(ctx, in.ID)
	var lines []TraceLine
	if err == nil {
		lines, err = c.Diagnosis.Trace(ctx, in.ID)
	}
	if err != nil {
		return nil, c.problem(err, "call", in.ID)
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		if in.Format == "ladder" {
			out.SetHeader("Content-Type", "text/plain; charset=utf-8")
			io.WriteString(out.BodyWriter(), Ladder(lines))
			return
		}
		out.SetHeader("Content-Type", "application/json")
		huma.DefaultJSONFormat.Marshal(out.BodyWriter(), listing(lines, "").Body)
	}}, nil
}

func (c *console) explainCall(ctx context.Context, in *struct {
	CallRef
	Lang string `query:"lang" enum:"fr,en" doc:"Of the sentences; the site's language if absent"`
}) (*one[Explanation], error) {
	if c.Diagnosis == nil {
		return nil, notHere("explanation")
	}
	err := c.knows(ctx, in.ID)
	var why Explanation
	if err == nil {
		why, err = c.Diagnosis.Explain(ctx, in.ID, c.lang(in.Lang))
	}
	if err != nil {
		return nil, c.problem(err, "call", in.ID)
	}
	if why.Offers == nil {
		why.Offers = []OfferExplanation{}
	}
	return &one[Explanation]{why}, nil
}

func (c *console) exportJournal(_ context.Context, in *struct {
	From time.Time `query:"from" doc:"With the start of the switch before it, so that it can be replayed"`
	To   time.Time `query:"to"`
}) (*huma.StreamResponse, error) {
	if c.Diagnosis == nil {
		return nil, notHere("journal")
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", "application/x-ndjson")
		if err := c.Diagnosis.Journal(out.Context(), out.BodyWriter(), in.From, in.To); err != nil {
			c.Log.Error("journal export broke off", zap.Error(err))
			panic(http.ErrAbortHandler) // the pages are on their way: a cut connection is the only honest end
		}
	}}, nil
}

// lang is a language the console speaks.
func (c *console) lang(asked string) string {
	for _, l := range []string{asked, c.Locale} {
		if len(l) >= 2 && (l[:2] == "fr" || l[:2] == "en") {
			return l[:2]
		}
	}
	return "en"
}
