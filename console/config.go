package console

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"
)

// ConfigChange is one thing that the configuration on disk says otherwise than the
// one that is served.
type ConfigChange struct {
	Path    string `json:"path" example:"queues[support].ring.timeout"`
	Kind    string `json:"kind" enum:"added,removed,changed"`
	Was     string `json:"was,omitempty" doc:"With changed; secrets are not shown"`
	Is      string `json:"is,omitempty" doc:"With changed"`
	Restart bool   `json:"restart,omitempty" doc:"Counts only when the switch is started anew"`
}

// BadConfig is returned by Configuration for a configuration that cannot be served.
type BadConfig struct {
	Why      string
	Hint     string   // what to do about it; may be empty
	Problems []string // each with its file, line and column; nil where Why says all
}

func (b *BadConfig) Error() string { return b.Why }

// configRoutes are for administrators of the whole switch.
func (c *console) configRoutes(api huma.API) {
	huma.Register(api, route("check-config", "POST /config/check", AdminScope, "What a reload would change"),
		func(ctx context.Context, _ *struct{}) (*list[ConfigChange], error) { return c.reload(ctx, true) })
	huma.Register(api, route("reload-config", "POST /config/reload", AdminScope,
		"Serve by the configuration on disk from now on: all of it, or nothing when anything is wrong"),
		func(ctx context.Context, _ *struct{}) (*list[ConfigChange], error) { return c.reload(ctx, false) })
}

func (c *console) reload(ctx context.Context, dry bool) (*list[ConfigChange], error) {
	a := who(ctx)
	switch {
	case c.Config == nil:
		return nil, notHere("configuration")
	case a.clients != nil:
		return nil, problem(403, "forbidden", "The configuration is every client's, and this token is not.", "")
	}
	changes, err := c.Config.Reload(ctx, a.name, dry)
	if err != nil {
		return nil, c.problem(err, "configuration", "")
	}
	if !dry {
		c.record(ctx, AuditEntry{Action: "config.reload", Object: "config", Detail: fmt.Sprintf("%d changes", len(changes))})
	}
	return listing(changes, ""), nil
}
