package main

import (
	"foyer/cmd/foyer/config"
	"foyer/sip"
)

// sipTrunk is a trunk as the signalling side knows it.
func sipTrunk(t config.Trunk) sip.Trunk {
	s := sip.Trunk{
		ID: t.ID, Allow: t.Auth.Allow, MaxCalls: t.MaxCalls,
		Host: t.Host.Name, Port: t.Host.Port, Transport: t.Transport,
		Username: t.Auth.Username, Password: t.Auth.Password.Reveal(), Realm: t.Auth.Realm,
		Ping:  t.OptionsPing,
		Spell: spelling(t.NumberFormat),
	}
	switch t.Identity {
	case config.IdentityPPI:
		s.Identity = sip.Preferred
	case config.IdentityFrom:
		s.Identity = sip.FromOnly
	}
	switch t.ForwardedBy {
	case config.ForwardedDiversion:
		s.Forwarded = sip.ByDiversion
	case config.ForwardedHistory:
		s.Forwarded = sip.ByHistory
	case config.ForwardedBoth:
		s.Forwarded = sip.ByDiversion | sip.ByHistory
	}
	if t.Auth.Mode == config.ByRegister {
		at := t.Auth.Registrar
		if at.Name == "" {
			at = t.Host
		}
		s.Registration = sip.Registration{Host: at.Name, Port: at.Port, Expires: t.Auth.Expires}
	}
	return s
}

// called is the number that a caller on a trunk has dialled, as the trunk's carrier
// says it: in the Request-URI, in To where that names our account, or the first of
// those that passed the call on which is a number of ours.
func (p *plan) called(leg *sip.Leg) string {
	switch p.trunks[leg.Trunk()].called {
	case config.CalledTo:
		return leg.To()
	case config.CalledDiversion:
		steps := leg.Diversions()
		for i := len(steps) - 1; i >= 0; i-- {
			if _, ours := p.dids[p.e164(steps[i].User)]; ours {
				return steps[i].User
			}
		}
	}
	return leg.Called()
}

// mostForwards is how often a call may have been passed on before it comes to us:
// five is what telephone networks allow.
const mostForwards = 5

// circle says that a call goes round, and the code to refuse it with: a number of
// ours has passed it on twice, or too many have (after RFC 5393). Once is no proof:
// some carriers name the number they deliver to.
func (p *plan) circle(leg *sip.Leg) (code int) {
	count := 0
	seen := map[string]bool{}
	for _, d := range leg.Diversions() {
		by := p.e164(d.User)
		if _, ours := p.dids[by]; ours && seen[by] {
			return 482
		}
		seen[by] = true
		count += max(d.Counter, 1)
	}
	if count > mostForwards {
		return 483
	}
	return 0
}

// passedOn is who has passed a call on, our own number first, for the trunk it goes
// out by. What is no number there is nobody's business.
func (p *plan) passedOn(before []sip.Diversion, did string) []sip.Diversion {
	list := []sip.Diversion{{User: did, Reason: "unconditional"}}
	for _, d := range before {
		d.User = p.e164(d.User)
		if isE164(d.User) {
			list = append(list, d)
		}
	}
	return list
}
