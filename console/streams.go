package console

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"
)

// streamRoutes are for backups, by administrators of the whole switch.
func (c *console) streamRoutes(api huma.API) {
	stream := route("get-stream", "GET /streams/{name}", AdminScope, "A whole stream for a backup, with the place and time of every message")
	stream.Responses = answers("application/x-ndjson")
	huma.Register(api, stream, c.stream)
}

func (c *console) stream(ctx context.Context, in *struct {
	Name string `path:"name" enum:"journal,diary" doc:"journal: every event and decision; diary: SIP messages of calls"`
}) (*huma.StreamResponse, error) {
	switch {
	case c.Streams == nil:
		return nil, notHere("streams")
	case who(ctx).clients != nil:
		return nil, problem(http.StatusForbidden, "forbidden", "A backup is every client's, and this token is not.", "")
	}
	c.record(ctx, AuditEntry{Action: "stream.export", Object: in.Name})
	return &huma.StreamResponse{Body: func(out huma.Context) {
		out.SetHeader("Content-Type", "application/x-ndjson")
		if err := c.Streams.Stream(out.Context(), out.BodyWriter(), in.Name); err != nil {
			c.Log.Error("stream broke off", zap.String("stream", in.Name), zap.Error(err))
			panic(http.ErrAbortHandler) // what came is on its way: a cut connection is the only honest end
		}
	}}, nil
}
