package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/config"
)

// Every call that leaves for the public network has a passage, and mayDial alone
// gives one: whatever wants to dial, a door of a queue, a callback, a transfer, a
// redirection, asks it first, in the name of who wants it.

// dialer is in whose name a number is called. A call of an agent counts for their
// client too, if there is one.
type dialer struct {
	agent      acd.AgentID  // "": not an agent's
	supervisor bool         // it is a supervisor's own call
	client     acd.ClientID // whose callers or customers it is about
}

// role is who dials, as outbound_routes[].allow_roles names it.
func (d dialer) role() config.Role {
	switch {
	case d.supervisor:
		return config.ForSupervisors
	case d.agent != "":
		return config.ForAgents
	}
	return config.ForClients
}

var (
	errRole  = errors.New("an outbound route allows it to others only")
	errHours = errors.New("not at this hour")
)

// wouldDial judges a number without calling it.
func (p *plan) wouldDial(now time.Time, who dialer, number string) (way, error) {
	w, route, err := p.outbound(number)
	if err != nil {
		return way{}, err
	}
	if !route.Allows(who.role()) {
		return way{}, fmt.Errorf("dial %s: %w (%s)", w.number, errRole, route.Match)
	}
	for _, payer := range p.payers(who) {
		if id := payer.limits.Calendar; !p.routes.Within(now, id) {
			return way{}, fmt.Errorf("dial %s: %s: %w (calendar %s)", w.number, payer.name, errHours, id)
		}
	}
	return w, nil
}

// mayDial gives leave to call a number once, or says why not. stop is called, on
// another goroutine, when the call must end because a limit is met; it must not
// block. Whoever gets a passage says dialAnswered when it is, and dialOver in any case.
func (ex *exchange) mayDial(who dialer, number string, stop func()) (*passage, error) {
	p, now := ex.plan.Load(), time.Now()
	w, err := p.wouldDial(now, who, number)
	if err == nil {
		pass := &passage{way: w, rate: p.cfg.RouteTo(w.number).Rate, payers: p.payers(who), stop: stop}
		if err = ex.toll.begin(p.siteTime(now), pass, p.cfg.Outbound.SameNumber); err == nil {
			return pass, nil
		}
		err = fmt.Errorf("dial %s: %w", w.number, err)
	}
	ex.metrics.dialRefused.WithLabelValues(refusalLabel(err)).Inc()
	return nil, err
}

func (ex *exchange) dialAnswered(p *passage) { ex.toll.answer(ex.plan.Load().siteTime(time.Now()), p) }

func (ex *exchange) dialOver(p *passage) {
	if p != nil {
		ex.toll.over(ex.plan.Load().siteTime(time.Now()), p)
	}
}

// refusalLabel names why a number was not called, for its metric.
func refusalLabel(err error) string {
	for _, x := range []struct {
		err   error
		label string
	}{
		{errNoNumber, "no_number"}, {errEmergency, "emergency"}, {errNoRoute, "no_route"}, {errDenied, "denied"},
		{errCostly, "costly"}, {errRole, "role"}, {errHours, "hours"},
	} {
		if errors.Is(err, x.err) {
			return x.label
		}
	}
	return "limit"
}

// payers are those whose limits hold for a dialer.
func (p *plan) payers(who dialer) (list []payer) {
	if who.agent != "" {
		list = append(list, payer{"agent " + string(who.agent), config.DialLimits(p.cfg.Outbound.Agent)})
	}
	if who.client != "" {
		list = append(list, payer{"client " + string(who.client), config.DialLimits(p.cfg.Outbound.Client)})
	}
	return list
}

func (p *plan) siteTime(now time.Time) time.Time { return now.In(p.cfg.Site.Timezone) }

// watchToll ends calls that meet a limit while they are up, and tells of payers
// who come near one.
func (ex *exchange) watchToll(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			ex.confined(theToll, ex.log, func() { ex.lookAtToll(now) })
		}
	}
}

func (ex *exchange) lookAtToll(now time.Time) {
	ends, told := ex.toll.watch(ex.plan.Load().siteTime(now))
	for _, w := range told {
		ex.log.Warn("calls to numbers come near a day's limit",
			zap.String("payer", w.payer), zap.Int("percent", w.percent), zap.String("of", w.of))
	}
	for _, e := range ends {
		ex.log.Warn("call to a number ended by a limit",
			zap.String("number", e.passage.number), zap.String("payer", e.payer), zap.Error(e.why))
		ex.metrics.dialRefused.WithLabelValues("limit").Inc()
		e.passage.stop()
	}
}
