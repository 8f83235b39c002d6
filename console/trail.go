package console

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

func (c *console) auditRoutes(api huma.API) {
	huma.Register(api, route("list-audit", "GET /audit", AdminScope, "The audit trail, newest first"), c.listAudit)
}

// listAudit shows the whole trail; its lines carry no client, so a token limited to
// some clients does not see it.
func (c *console) listAudit(ctx context.Context, in *struct {
	Object string `query:"object" doc:"Only what was done to the thing with this id"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Cursor int64  `query:"cursor" minimum:"0" doc:"The next of the page before"`
}) (*list[AuditEntry], error) {
	if who(ctx).clients != nil {
		return nil, problem(http.StatusForbidden, "forbidden", "The audit trail covers every client, and this token does not.", "")
	}
	lines, err := ListAudit(ctx, c.DB, AuditQuery{Object: in.Object, Before: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, c.problem(err, "audit", "")
	}
	next := ""
	if len(lines) == in.Limit {
		next = strconv.FormatInt(lines[len(lines)-1].Seq, 10)
	}
	return listing(lines, next), nil
}
