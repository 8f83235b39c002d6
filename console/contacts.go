package console

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"
)

// ContactFilter is what a contact request may narrow.
type ContactFilter struct {
	From    time.Time `query:"from" doc:"Started at or after"`
	To      time.Time `query:"to" doc:"Started before"`
	Client  string    `query:"client"`
	Queue   string    `query:"queue"`
	Agent   string    `query:"agent" doc:"The last agent who talked"`
	DID     string    `query:"did" doc:"The number called, E.164"`
	Calling string    `query:"calling" doc:"The caller's number, E.164"`
	Outcome string    `query:"outcome" enum:"answered,abandoned,short_abandon,overflow,rejected,failed"`
}

func (f ContactFilter) query(ctx context.Context) ContactQuery {
	return ContactQuery{
		From: f.From, To: f.To, Client: f.Client, Queue: f.Queue, Agent: f.Agent,
		DID: f.DID, Calling: f.Calling, Outcome: f.Outcome, Clients: who(ctx).clients,
	}
}

func (c *console) contactRoutes(api huma.API) {
	huma.Register(api, route("list-contacts", "GET /contacts", ContactsRead, "Customer calls that are over (CDRs), newest first"), c.listContacts)
	for format, kind := range map[string]string{"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"} {
		op := route("export-contacts-"+format, "GET /contacts."+format, ContactsRead, "Contacts as "+format)
		op.Responses = answers(kind)
		huma.Register(api, op, c.exportContacts(format, kind))
	}
}

func (c *console) listContacts(ctx context.Context, in *struct {
	ContactFilter
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor string `query:"cursor" maxLength:"512" doc:"The next of the page before"`
}) (*list[any], error) {
	if c.Contacts == nil {
		return nil, notHere("ledger")
	}
	q := in.query(ctx)
	q.Limit, q.After = in.Limit, in.Cursor
	rows, next, err := c.Contacts.List(ctx, q)
	if err != nil {
		return nil, c.problem(err, "contacts", "")
	}
	return listing(rows, next), nil
}

func (c *console) exportContacts(format, kind string) func(context.Context, *struct {
	ContactFilter
	Lang string `query:"lang" enum:"fr,en" doc:"fr: a CSV with ; and a byte-order mark, as a French Excel opens it"`
}) (*huma.StreamResponse, error) {
	return func(ctx context.Context, in *struct {
		ContactFilter
		Lang string `query:"lang" enum:"fr,en" doc:"fr: a CSV with ; and a byte-order mark, as a French Excel opens it"`
	}) (*huma.StreamResponse, error) {
		if c.Contacts == nil {
			return nil, notHere("ledger")
		}
		q := in.query(ctx)
		q.Lang = in.Lang
		c.record(ctx, AuditEntry{Action: "contacts.export", Object: format, Detail: in.Client})
		return &huma.StreamResponse{Body: func(out huma.Context) {
			out.SetHeader("Content-Type", kind)
			out.SetHeader("Content-Disposition", `attachment; filename="contacts.`+format+`"`)
			if err := c.Contacts.Export(ctx, out.BodyWriter(), format, q); err != nil {
				c.log.Error("console", zap.String("about", "export contacts"), zap.Error(err))
				panic(http.ErrAbortHandler) // the rows are on their way: a cut connection is the only honest end
			}
		}}, nil
	}
}
