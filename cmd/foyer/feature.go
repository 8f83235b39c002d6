package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/rtp/sound"
	"foyer/sip"
)

// Agents who have no page open dial what they want. The switch does it as it does a
// supervisor's order (order.go), and says by voice what came of it.

// featureOf is what a dialled code asks for: an order to be given in the agent's
// name, and the place in its list of the reason or code that goes with it, 0 if none
// was dialled; or the echo test.
type featureOf struct {
	do    string // as in console.AgentOrder, or config.Echo
	place int
}

// feature reads a dialled code; false for one that is none.
func (p *plan) feature(dialled string) (featureOf, bool) {
	f := &p.cfg.FeatureCodes
	for _, c := range [...]struct{ code, do string }{
		{f.Login, "login"}, {f.Logout, "logout"}, {f.Ready, "ready"}, {f.Extend, "extend"}, {f.Echo, config.Echo},
	} {
		if dialled == c.code && c.code != config.CodeOff {
			return featureOf{do: c.do}, true
		}
	}
	for _, c := range [...]struct{ code, do string }{{f.Pause, "pause"}, {f.WrapUp, "wrapup"}} {
		place, ok := strings.CutPrefix(dialled, c.code)
		if !ok || c.code == config.CodeOff {
			continue
		}
		if place == "" {
			return featureOf{do: c.do}, true
		}
		n, err := strconv.Atoi(place)
		if err == nil && n > 0 && place == strconv.Itoa(n) {
			return featureOf{c.do, n}, true
		}
	}
	return featureOf{}, false
}

// pauseReasons are the reasons an agent may dial, in the order of the configuration.
func (p *plan) pauseReasons() []string {
	var ids []string
	for _, r := range p.cfg.Reasons.Pause {
		if r.ID != acd.ReasonMissed {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// feature serves a code that an agent has dialled.
func (ex *exchange) feature(leg *sip.Leg, agent acd.AgentID, code string) {
	f, ok := ex.plan.Load().feature(code)
	if f.do == config.Echo {
		ex.echoTest(leg, agent)
		return
	}
	e := ex.errand(leg, agent)
	e.log = e.log.With(zap.String("code", code))
	if !ok {
		e.run(func() { e.sayLast("code-unknown") })
		return
	}
	e.run(func() { e.order(f) })
}

// order carries out what was dialled, or asks first for what is missing.
func (e *errand) order(f featureOf) {
	o := console.AgentOrder{Do: f.do, By: string(e.agent)}
	var known []string
	switch f.do {
	case "pause":
		if known = e.plan.pauseReasons(); len(known) == 0 && f.place == 0 {
			o.Reason = byPhone
		} else if f.place == 0 {
			e.choose("choose-reason", f)
			return
		}
	case "wrapup":
		known = e.wrapUpCodes()
	}
	if f.place > len(known) {
		e.choose("choice-unknown", f)
		return
	}
	if f.place > 0 && f.do == "pause" {
		o.Reason = known[f.place-1]
	} else if f.place > 0 {
		o.Code = known[f.place-1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	after, err := e.ex.setAgent(ctx, string(e.agent), o, acd.Agent)
	var missing *console.BadField
	if errors.As(err, &missing) && missing.Field == "code" && f.place == 0 && len(missing.Known) > 0 {
		e.choose("choose-code", f)
		return
	}
	e.log.Info("agent dialled an order", zap.String("order", f.do), zap.String("reason", o.Reason+o.Code),
		zap.String("state", after.State), zap.Error(err))
	if err != nil {
		e.sayLast(saidOfError(f.do, err))
		return
	}
	e.sayLast(saidOfState(f.do, after, e.voice)...)
}

// wrapUpCodes are those of the queue whose call the agent is wrapping up.
func (e *errand) wrapUpCodes() (codes []string) {
	e.ex.board.ask(context.Background(), func() {
		if w, ok := e.ex.board.floor.Wrapping(e.agent, ""); ok {
			codes = slices.Clone(e.plan.codes(w.Queue))
		}
	})
	return codes
}

// saidOfError is the prompt for an order that could not be carried out.
func saidOfError(do string, err error) string {
	var conflict *console.StateConflict
	switch {
	case !errors.As(err, &conflict):
		return "not-done"
	case do == "extend" && conflict.State == acd.WrapUp.String():
		return "no-more-time"
	}
	return "nothing-to-wrap-up"
}

// saidOfState is the prompts for what an agent is after an order. A reason that the
// operator has recorded, as the prompt pause-<reason>, is said too.
func saidOfState(do string, a console.AgentState, v sound.Voice) []string {
	switch a.State {
	case acd.Reserved.String(), acd.Offered.String(), acd.Talking.String(), acd.OnHold.String(), acd.Consulting.String():
		return []string{"part-after", "part-then-" + rest(a.Next, "")}
	case acd.WrapUp.String():
		if do == "extend" {
			return []string{"state-extended"}
		}
		return []string{"state-wrap-up", "part-after", "part-then-" + rest(a.Next, "")}
	}
	said := []string{"state-" + rest(a.State, a.Reason)}
	if reason := "pause-" + a.Reason; v[reason] != nil {
		said = append(said, reason)
	}
	return said
}

// rest is how an agent's state between calls is called in the names of prompts.
func rest(state, reason string) string {
	switch {
	case state == acd.Ready.String():
		return "ready"
	case state == acd.NotReady.String() && reason == acd.ReasonLogin:
		return "logged-in"
	case state == acd.NotReady.String():
		return "paused"
	}
	return "logged-out"
}
