package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/sip"
)

// goal is what somebody inside wants to reach: exactly one of its fields is set.
type goal struct {
	code  string // a feature code: *45
	agent acd.AgentID
	queue acd.QueueID
	way   way // to a number outside
}

var (
	errNobody = errors.New("neither an agent nor a queue nor a number")
	errClosed = errors.New("the queue is closed now")
)

// goal reads what was dialled, or named in a transfer: a feature code, an agent or
// a queue by its id, a number of ours by the queue it leads to, or a number outside
// that an outbound route allows.
func (p *plan) goal(now time.Time, dialled string) (goal, error) {
	dialled = strings.TrimSpace(dialled)
	if strings.HasPrefix(dialled, "*") || strings.HasPrefix(dialled, "#") {
		return goal{code: dialled}, nil
	}
	if _, ok := p.agents[acd.AgentID(dialled)]; ok {
		return goal{agent: acd.AgentID(dialled)}, nil
	}
	queue := acd.QueueID(dialled)
	if number := p.e164(dialled); p.queueConfig(queue) == nil {
		if _, ours := p.dids[number]; !ours {
			if strings.Trim(dialled, "+0123456789 .-()") != "" {
				return goal{}, fmt.Errorf("%q: %w", dialled, errNobody)
			}
			w, err := p.outbound(dialled)
			return goal{way: w}, err
		}
		queue = p.routes.Route(now, number).Queue
	}
	if !p.open(now, queue) {
		return goal{}, fmt.Errorf("queue %s: %w", queue, errClosed)
	}
	return goal{queue: queue}, nil
}

func (g *goal) String() string {
	return cmp.Or(string(g.agent), string(g.queue), g.way.number, g.code)
}

// rejectForGoal is the final response to somebody whose goal cannot be reached.
func rejectForGoal(err error) sip.Reject {
	r := sip.Reject{Code: 403, Reason: "Not Allowed", Err: err}
	switch {
	case errors.Is(err, errNobody):
		r.Code, r.Reason = 404, "Not An Agent, Queue Or Number"
	case errors.Is(err, errNoNumber):
		r.Code, r.Reason = 484, ""
	case errors.Is(err, errClosed):
		r.Code, r.Reason = 480, "Queue Closed"
	case errors.Is(err, errNoTrunk):
		r.Code, r.Reason = 503, ""
	}
	return r
}

// agentInvite is the edge's entrance for a call that an agent's phone makes. It
// returns when the INVITE has its final response.
func (ex *exchange) agentInvite(leg *sip.Leg, user string) {
	if ex.plan.Load().echoes(leg.Called()) {
		ex.echoTest(leg, acd.AgentID(user))
		return
	}
	g, err := ex.plan.Load().goal(time.Now(), leg.Called())
	switch {
	case err != nil:
	case g.code != "":
		ex.feature(leg, acd.AgentID(user), g.code)
	default:
		err = ex.consult(leg, acd.AgentID(user), g)
	}
	if err != nil {
		ex.log.Info("agent's call refused", zap.String("agent", user), zap.String("dialled", leg.Called()), zap.Error(err))
		leg.Reject(rejectForGoal(err))
		return
	}
	leg.Wait()
}
