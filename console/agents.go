package console

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// AgentRef is the agent a path names.
type AgentRef struct {
	ID string `path:"id" maxLength:"128"`
}

func (c *console) agentRoutes(api huma.API) {
	huma.Register(api, route("list-agents", "GET /agents", AgentsRead, "Agents and what they are doing"), c.listAgents)
	huma.Register(api, route("get-agent", "GET /agents/{id}", AgentsRead, "One agent"), c.getAgent)
	huma.Register(api, route("explain-agent", "GET /agents/{id}/explain", AgentsRead, "Why calls did or did not come to an agent"), c.explainAgent)
	huma.Register(api, route("doctor-agent", "GET /agents/{id}/doctor", AgentsRead, "What is wrong with an agent's line, and what to do"), c.doctorAgent)
	for do, summary := range map[string]string{
		"login":   "Log an agent in",
		"logout":  "Log an agent out, after what they are in",
		"ready":   "Let an agent receive calls; ends a wrap-up that needs no code",
		"extend":  "Give an agent more time for the wrap-up; 409 when none is left",
		"release": "Free an agent from whatever they are in: their call ends, callers they were rung for wait on",
	} {
		huma.Register(api, agentOrder(do, summary), func(ctx context.Context, in *AgentRef) (*one[AgentState], error) {
			return c.setAgent(ctx, in.ID, AgentOrder{Do: do})
		})
	}
	pause := agentOrder("pause", "Give an agent no calls, for a reason, after what they are in")
	huma.Register(api, pause, func(ctx context.Context, in *struct {
		AgentRef
		Body struct {
			Reason string `json:"reason" minLength:"1" maxLength:"64" example:"repas" doc:"A reason code"`
		}
	}) (*one[AgentState], error) {
		return c.setAgent(ctx, in.ID, AgentOrder{Do: "pause", Reason: in.Body.Reason})
	})
	wrapup := agentOrder("wrapup", "Finish the work after a call; 409 when the agent is in none, 422 when the code is missing or unknown")
	huma.Register(api, wrapup, func(ctx context.Context, in *struct {
		AgentRef
		Body struct {
			Code       string    `json:"code,omitempty" maxLength:"64" example:"resolu" doc:"What came of the call; needed where the queue's wrap-up is coded"`
			Call       string    `json:"call,omitempty" maxLength:"128" doc:"Which one, for an agent who is in several"`
			Note       string    `json:"note,omitempty" maxLength:"2000" doc:"What is to be remembered of the call; needed with codes that require it"`
			CallbackAt time.Time `json:"callback_at,omitempty" doc:"When the caller is to be called back; needed with codes that require it"`
		}
	}) (*one[AgentState], error) {
		return c.setAgent(ctx, in.ID, AgentOrder{
			Do: "wrapup", Code: in.Body.Code, Call: in.Body.Call, Note: in.Body.Note, CallbackAt: in.Body.CallbackAt,
		})
	})
}

// agentOrder describes an order about an agent. Its answer is the state that came
// of it, and what is next where that comes later.
func agentOrder(do, summary string) huma.Operation {
	return route(do+"-agent", "POST /agents/{id}/"+do, AgentsControl, summary)
}

// visibleAgents are the agents who serve a client the actor may know of, and of
// what else they do only that they are busy.
func (c *console) visibleAgents(ctx context.Context) []AgentView {
	a := who(ctx)
	all := c.Floor.Agents(ctx)
	if a.clients == nil {
		return all
	}
	queues, calls := map[string]bool{}, map[string]bool{}
	for _, q := range c.visibleQueues(ctx) {
		queues[q.ID] = true
	}
	for _, call := range c.visibleCalls(ctx) {
		calls[call.ID] = true
	}
	var seen []AgentView
	for _, v := range all {
		if v.Clients = only(v.Clients, a.sees); len(v.Clients) == 0 {
			continue
		}
		v.Queues = only(v.Queues, func(q string) bool { return queues[q] })
		if !calls[v.Call] {
			v.Call = ""
		}
		v.InHand = only(v.InHand, func(call string) bool { return calls[call] })
		seen = append(seen, v)
	}
	return seen
}

// only is a new slice of the ids that pass.
func only(ids []string, pass func(string) bool) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !pass(id) })
}

func (c *console) agent(ctx context.Context, id string) (AgentView, error) {
	for _, v := range c.visibleAgents(ctx) {
		if v.ID == id {
			return whole(v), nil
		}
	}
	return AgentView{}, notFound("agent", id)
}

// whole has empty lists where v has none: JSON readers expect arrays.
func whole(v AgentView) AgentView {
	for _, ids := range []*[]string{&v.Queues, &v.Clients, &v.InHand} {
		*ids = append([]string{}, *ids...)
	}
	return v
}

func (c *console) listAgents(ctx context.Context, _ *struct{}) (*list[AgentView], error) {
	if c.Floor == nil {
		return nil, notHere("floor")
	}
	l := listing(c.visibleAgents(ctx), "")
	for i, v := range l.Body.Items {
		l.Body.Items[i] = whole(v)
	}
	return l, nil
}

func (c *console) getAgent(ctx context.Context, in *AgentRef) (*one[AgentView], error) {
	if c.Floor == nil {
		return nil, notHere("floor")
	}
	v, err := c.agent(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[AgentView]{v}, nil
}

func (c *console) explainAgent(ctx context.Context, in *struct {
	AgentRef
	From time.Time `query:"from" doc:"Half an hour before to if absent"`
	To   time.Time `query:"to" doc:"Now if absent or later"`
	Lang string    `query:"lang" enum:"fr,en" doc:"Of the sentences; the site's language if absent"`
}) (*one[AgentExplanation], error) {
	if c.Diagnosis == nil {
		return nil, notHere("explanation")
	}
	q := AgentQuestion{Agent: in.ID, From: in.From, To: in.To, Lang: c.lang(in.Lang)}
	if now := time.Now(); q.To.IsZero() || q.To.After(now) {
		q.To = now
	}
	if q.From.IsZero() {
		q.From = q.To.Add(-30 * time.Minute)
	}
	if q.From.After(q.To) {
		return nil, problem(http.StatusBadRequest, "bad_query", "from is after to, or in the future.", "Ask for a time that has begun.")
	}
	if !c.knowsAll(ctx, in.ID) {
		return nil, notFound("agent", in.ID)
	}
	why, err := c.Diagnosis.ExplainAgent(ctx, q)
	if err != nil {
		return nil, c.problem(err, "agent", in.ID)
	}
	return &one[AgentExplanation]{why}, nil
}

func (c *console) doctorAgent(ctx context.Context, in *struct {
	AgentRef
	Lang   string `query:"lang" enum:"fr,en" doc:"Of the sentences; that of Accept-Language, or the site's, if absent"`
	Accept string `header:"Accept-Language"`
}) (*one[LineReport], error) {
	if c.Diagnosis == nil || c.Floor == nil {
		return nil, notHere("doctor")
	}
	if _, err := c.agent(ctx, in.ID); err != nil {
		return nil, err
	}
	r, err := c.Diagnosis.Doctor(ctx, in.ID, c.lang(cmp.Or(in.Lang, preferred(in.Accept, ""))))
	if err != nil {
		return nil, c.problem(err, "agent", in.ID)
	}
	return &one[LineReport]{r}, nil
}

// knowsAll says whether the actor may know of all that an agent does: who may see
// only some clients may not read of the calls of others.
func (c *console) knowsAll(ctx context.Context, id string) bool {
	a := who(ctx)
	if a.clients == nil {
		return true
	}
	if c.Floor == nil {
		return false
	}
	for _, v := range c.Floor.Agents(ctx) {
		if v.ID == id {
			return len(v.Clients) > 0 && !slices.ContainsFunc(v.Clients, func(client string) bool { return !a.sees(client) })
		}
	}
	return false
}

func (c *console) setAgent(ctx context.Context, id string, o AgentOrder) (*one[AgentState], error) {
	if c.Control == nil || c.Floor == nil {
		return nil, notHere("control")
	}
	if _, err := c.agent(ctx, id); err != nil {
		return nil, err
	}
	o.By = who(ctx).name
	state, err := c.Control.SetAgent(ctx, id, o)
	if err != nil {
		return nil, c.problem(err, "agent", id)
	}
	c.record(ctx, AuditEntry{Action: "agent." + o.Do, Object: id, Call: o.Call, Detail: cmp.Or(o.Reason, o.Code)})
	return &one[AgentState]{state}, nil
}
