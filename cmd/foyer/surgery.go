package main

import (
	"context"
	"fmt"
	"time"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/ledger"
	"foyer/sip"
)

// Where the doctor's facts come from, and how the console shows what was found.

// factsOf gathers what is known of an agent's line.
func (ex *exchange) factsOf(ctx context.Context, agent string) (lineFacts, error) {
	f := lineFacts{
		homeLine: ex.homes.of(agent), account: ex.accounts.has(ex.plan.Load(), agent), phones: ex.registrar.Bindings(agent),
		began: ex.homes.began,
	}
	rows, err := ex.cdrs.List(ctx, ledger.Query{Agent: agent, From: time.Now().Add(-7 * aDay), Limit: 5 * recentCalls})
	if err != nil {
		return f, fmt.Errorf("call records of %s: %w", agent, err)
	}
	for i := range rows {
		c := &rows[i]
		// What the agent's leg measured is of whoever talked last.
		if c.Agent != agent || c.Quality == nil || c.Quality.Agent == nil || time.Duration(c.TalkedFor)*time.Millisecond < shortestTalk {
			continue
		}
		f.calls = append(f.calls, callFacts{at: c.Started.Time(), quality: *c.Quality.Agent})
		if len(f.calls) == recentCalls {
			break
		}
	}
	return f, nil
}

// described notes what a phone's description of its sound shows of the way it came.
func (ex *exchange) described(agent acd.AgentID, leg *sip.Leg, sdp []byte) {
	if sdpRewritten(sdp, leg.Remote().Addr()) {
		ex.homes.note(string(agent), func(h *homeLine) { h.signs[signSDP] = time.Now() })
	}
}

// Doctor says what is wrong with an agent's line, and what to do.
func (d *desk) Doctor(ctx context.Context, agent, lang string) (console.LineReport, error) {
	p := d.ex.plan.Load()
	if _, ok := p.agents[acd.AgentID(agent)]; !ok {
		return console.LineReport{}, fmt.Errorf("agent %s: %w", agent, console.ErrNotFound)
	}
	f, err := d.ex.factsOf(ctx, agent)
	if err != nil {
		return console.LineReport{}, err
	}
	now, echo := time.Now(), p.cfg.FeatureCodes.Echo
	if echo == config.CodeOff {
		echo = ""
	}
	found := examine(now, &f)
	r := console.LineReport{
		Agent: agent, Lang: lang, At: now, Healthy: len(found) == 0 || found[0].severity == info,
		Summary: f.summary(now, lang, found), Findings: []console.LineFinding{}, Line: f.view(now),
	}
	for i := range found {
		said := found[i].words(lang, echo)
		r.Findings = append(r.Findings, console.LineFinding{ID: found[i].key(), Severity: found[i].severity.String(), Says: said.say, Advice: said.cure})
	}
	return r, nil
}

// view is the facts behind the sentences.
func (f *lineFacts) view(now time.Time) console.LineFacts {
	v := console.LineFacts{
		Phones: []console.Phone{}, LastAnswer: momentOf(f.answeredAt), AnswerMS: float64(f.trip.Microseconds()) / 1000,
		SurvivedS: f.survived.Seconds(), ForgottenS: f.forgot.Seconds(),
		Lost: f.count(now.Add(-aDay), turnLost), Forgotten: f.count(now.Add(-aDay), turnForgotten), Roamed: f.count(now.Add(-aDay), turnRoamed),
		Refused: f.refused, Calls: len(f.calls), Signs: []string{},
	}
	for _, b := range f.phones {
		v.Phones = append(v.Phones, phoneView(b))
	}
	for i, name := range [signKinds]string{"via_filled", "via_rewritten", "contact_foreknown", "answer_rewritten", "sdp_rewritten"} {
		if at := f.signs[i]; !at.IsZero() && now.Sub(at) < aDay {
			v.Signs = append(v.Signs, name)
		}
	}
	if len(f.calls) > 0 {
		v.Codec = f.calls[0].quality.Codec
	}
	return v
}
