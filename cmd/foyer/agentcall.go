package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/config"
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
	errNobody  = errors.New("neither an agent nor a queue nor a number")
	errFeature = errors.New("nobody can be sent to a feature code")
	errClosed  = errors.New("the queue is closed now")
)

// goal reads what was dialled, or named in a transfer: a feature code, an agent or
// a queue by its id, a number of ours by the queue it leads to, or a number outside
// that an outbound route allows.
func (p *plan) goal(now time.Time, dialled string) (goal, error) {
	if strings.ContainsFunc(dialled, unicode.IsControl) {
		return goal{}, fmt.Errorf("%q: %w", dialled, errNobody)
	}
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
			w, _, err := p.outbound(dialled)
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

// ours reports whether an address names somebody here: its host is our domain, or we
// ourselves.
func (p *plan) ours(host string, local netip.Addr) bool {
	if host == "" || strings.EqualFold(host, p.cfg.Registrar.Realm) || strings.EqualFold(host, p.cfg.Site.PublicHost) {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap() == local.Unmap()
}

// redirection is where a phone may send a colleague's call instead of taking it: to an
// agent or a queue, if the configuration says so. Nothing goes outside that way,
// whatever the routes allow: it is the phone that asks, and nobody has proven whose
// wish that is.
func (p *plan) redirection(to sip.Referral) *goal {
	if p.cfg.Registrar.Redirect != config.RedirectInside || !p.ours(to.Host, netip.Addr{}) {
		return nil
	}
	g, err := p.goal(time.Now(), to.User)
	if err != nil || g.agent == "" && g.queue == "" {
		return nil
	}
	return &g
}

// rejectForGoal is the final response to somebody whose goal cannot be reached.
func rejectForGoal(err error) sip.Reject {
	r := sip.Reject{Code: 403, Reason: "Not Allowed", Err: err}
	switch {
	case errors.Is(err, errNobody), errors.Is(err, errFeature):
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
	if leg.Instead() != nil {
		if c := ex.calls.talksWith(acd.AgentID(user)); c == nil || !c.box.post(takingOver{leg, acd.AgentID(user)}) {
			leg.Reject(sip.Reject{Code: 481})
			return
		}
		leg.Wait()
		return
	}
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
