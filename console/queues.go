package console

import (
	"context"

	"github.com/danielgtaylor/huma/v2"
)

// QueueRef is the queue a path names.
type QueueRef struct {
	ID string `path:"id" maxLength:"128"`
}

func (c *console) queueRoutes(api huma.API) {
	huma.Register(api, route("list-queues", "GET /queues", CallsRead, "Queues and who waits in them"), c.listQueues)
	huma.Register(api, route("get-queue", "GET /queues/{id}", CallsRead, "One queue"), c.getQueue)
	huma.Register(api, route("list-queue-calls", "GET /queues/{id}/calls", CallsRead, "Who waits in a queue, in the order they will be served"), c.listWaiting)
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

func (c *console) getQueue(ctx context.Context, in *QueueRef) (*one[QueueView], error) {
	q, err := c.queue(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[QueueView]{q}, nil
}

// queue returns a queue the actor may know of.
func (c *console) queue(ctx context.Context, id string) (QueueView, error) {
	if c.Floor == nil {
		return QueueView{}, notHere("floor")
	}
	for _, q := range c.visibleQueues(ctx) {
		if q.ID == id {
			return q, nil
		}
	}
	return QueueView{}, notFound("queue", id)
}

func (c *console) listWaiting(ctx context.Context, in *QueueRef) (*list[WaitingCall], error) {
	q, err := c.queue(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return listing(c.Floor.Waiting(ctx, q.ID), ""), nil
}
