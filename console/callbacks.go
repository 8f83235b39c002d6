package console

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// CallbackRef is the callback a path names.
type CallbackRef struct {
	ID string `path:"id" maxLength:"128"`
}

func (c *console) callbackRoutes(api huma.API) {
	huma.Register(api, route("list-callbacks", "GET /callbacks", CallsRead, "Customers who will be called back"), c.listCallbacks)
	add := route("add-callback", "POST /callbacks", CallsControl,
		"Promise to call a number back; 200 and the older promise where it has one in the queue")
	add.DefaultStatus = http.StatusCreated
	huma.Register(api, add, c.addCallback)
	cancel := route("cancel-callback", "POST /callbacks/{id}/cancel", CallsControl, "Take a promise to call back off the list; 409 once the customer is on the line")
	cancel.DefaultStatus = http.StatusNoContent
	huma.Register(api, cancel, c.cancelCallback)
}

// visibleCallbacks are the callbacks of the clients the actor may know of.
func (c *console) visibleCallbacks(ctx context.Context) []CallbackView {
	a := who(ctx)
	var seen []CallbackView
	for _, b := range c.Floor.Callbacks(ctx) {
		if a.sees(b.Client) {
			seen = append(seen, b)
		}
	}
	return seen
}

func (c *console) listCallbacks(ctx context.Context, in *struct {
	Queue string `query:"queue" doc:"Only of this queue"`
}) (*list[CallbackView], error) {
	if c.Floor == nil {
		return nil, notHere("floor")
	}
	var seen []CallbackView
	for _, b := range c.visibleCallbacks(ctx) {
		if in.Queue == "" || b.Queue == in.Queue {
			seen = append(seen, b)
		}
	}
	return listing(seen, ""), nil
}

// promised is the answer to who asks for a callback.
type promised struct {
	Status int
	Body   CallbackView
}

func (c *console) addCallback(ctx context.Context, in *struct {
	Body struct {
		Queue  string    `json:"queue" minLength:"1" maxLength:"128"`
		At     time.Time `json:"at,omitempty" doc:"Not before this moment; as soon as it is their turn if absent"`
		Number string    `json:"number" minLength:"1" maxLength:"32" example:"+33612345678" doc:"Whom to call; an outbound route must allow it"`
	}
}) (*promised, error) {
	if c.Control == nil || c.Floor == nil {
		return nil, notHere("control")
	}
	q, err := c.queue(ctx, in.Body.Queue)
	if err != nil {
		return nil, err
	}
	back, fresh, err := c.Control.AskCallback(ctx, CallbackOrder{Queue: q.ID, Number: in.Body.Number, At: in.Body.At, By: who(ctx).name})
	if err != nil {
		return nil, c.problem(err, "queue", q.ID)
	}
	if !fresh {
		return &promised{Status: http.StatusOK, Body: back}, nil
	}
	c.record(ctx, AuditEntry{Action: "callback.add", Object: back.ID, Call: back.ID, Detail: back.Queue + " " + back.Number})
	return &promised{Status: http.StatusCreated, Body: back}, nil
}

func (c *console) cancelCallback(ctx context.Context, in *CallbackRef) (*done, error) {
	if c.Control == nil || c.Floor == nil {
		return nil, notHere("control")
	}
	for _, b := range c.visibleCallbacks(ctx) {
		if b.ID != in.ID {
			continue
		}
		if err := c.Control.CancelCallback(ctx, b.ID, who(ctx).name); err != nil {
			return nil, c.problem(err, "callback", in.ID)
		}
		c.record(ctx, AuditEntry{Action: "callback.cancel", Object: b.ID, Call: b.ID, Detail: b.Queue + " " + b.Number})
		return nil, nil
	}
	if call, ok := c.liveCall(ctx, in.ID); ok && call.Callback {
		return nil, c.problem(&StateConflict{State: call.State, Why: "The customer is on the line already: hang the call up to end it."}, "callback", in.ID)
	}
	return nil, notFound("callback", in.ID)
}
