package console

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
)

func (c *console) queueRoutes(api huma.API) {
	huma.Register(api, route("list-queues", "GET /queues", CallsRead, "Queues and who waits in them"), c.listQueues)
	huma.Register(api, route("get-queue", "GET /queues/{id}", CallsRead, "One queue"), c.getQueue)
}

// visibleQueues are the queues of the clients the actor may know of.
func (c *console) visibleQueues(ctx context.Context) []QueueView {
	a := who(ctx)
	var seen []QueueView
	for _, q := range c.Floor.Queues(ctx) {
		if a.sees(q.Client) {
			seen = append(seen, q)
		}
	}
	return seen
}

func (c *console) listQueues(ctx context.Context, _ *struct{}) (*list[QueueView], error) {
	if c.Floor == nil {
		return nil, notHere("floor")
	}
	return listing(c.visibleQueues(ctx), ""), nil
}

func (c *console) getQueue(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"128"`
}) (*one[QueueView], error) {
	if c.Floor == nil {
		return nil, notHere("floor")
	}
	for _, q := range c.visibleQueues(ctx) {
		if q.ID == in.ID {
			return &one[QueueView]{q}, nil
		}
	}
	return nil, notFound("queue", in.ID)
}
