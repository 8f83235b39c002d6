package console

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
)

// TrunkRef is the trunk a path names.
type TrunkRef struct {
	ID string `path:"id" maxLength:"128"`
}

func (c *console) trunkRoutes(api huma.API) {
	huma.Register(api, route("list-trunks", "GET /trunks", TrunksRead, "Carriers' lines, whether they are up, and why not"), c.listTrunks)
	huma.Register(api, route("get-trunk", "GET /trunks/{id}", TrunksRead, "One trunk"), c.getTrunk)
	huma.Register(api, route("ping-trunk", "POST /trunks/{id}/ping", TrunksRead,
		"Ask a trunk's carrier by OPTIONS now, and tell what is known of it then; 503 where it has no host to ask"), c.pingTrunk)
}

func (c *console) listTrunks(ctx context.Context, _ *struct{}) (*list[TrunkView], error) {
	if c.Trunks == nil {
		return nil, notHere("trunks")
	}
	return listing(c.Trunks.List(ctx), ""), nil
}

func (c *console) getTrunk(ctx context.Context, in *TrunkRef) (*one[TrunkView], error) {
	if c.Trunks == nil {
		return nil, notHere("trunks")
	}
	for _, t := range c.Trunks.List(ctx) {
		if t.ID == in.ID {
			return &one[TrunkView]{t}, nil
		}
	}
	return nil, notFound("trunk", in.ID)
}

func (c *console) pingTrunk(ctx context.Context, in *TrunkRef) (*one[TrunkView], error) {
	if c.Trunks == nil {
		return nil, notHere("trunks")
	}
	t, err := c.Trunks.Ping(ctx, in.ID)
	if err != nil {
		return nil, c.problem(err, "trunk", in.ID)
	}
	return &one[TrunkView]{t}, nil
}
