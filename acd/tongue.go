package acd

import (
	"fmt"
	"strings"
	"time"
)

// tongue is the language a story is told in, and the zone of its clock.
type tongue struct {
	french bool
	zone   *time.Location
}

// newTongue is "fr" or else English, with times of day in zone (nil is UTC).
func newTongue(lang string, zone *time.Location) tongue {
	if zone == nil {
		zone = time.UTC
	}
	return tongue{french: strings.HasPrefix(lang, "fr"), zone: zone}
}

func (g tongue) lang() string { return g.say("en", "fr") }

// say picks the sentence of the language; both take the same arguments.
func (g tongue) say(english, french string, args ...any) string {
	if g.french {
		english = french
	}
	if len(args) == 0 {
		return english
	}
	return fmt.Sprintf(english, args...)
}

func (g tongue) clock(t time.Time) string { return t.In(g.zone).Format("15:04:05") }

// of is "of bo", in French with the elision before a vowel.
func (g tongue) of(name string) string {
	switch {
	case !g.french:
		return "of " + name
	case name != "" && strings.ContainsRune("aeiouAEIOU", rune(name[0])):
		return "d'" + name
	}
	return "de " + name
}

// calls counts calls.
func (g tongue) calls(n int) string {
	return fmt.Sprintf("%d %s", n, g.many(n, g.say("call", "appel"), g.say("calls", "appels")))
}

// many picks the form that goes with a number.
func (g tongue) many(n int, one, more string) string {
	if n == 1 || g.french && n == 0 {
		return one
	}
	return more
}

// list joins words as people do: ana, bo and cy.
func (g tongue) list(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + g.say(" and ", " et ") + words[last]
}

// span writes a duration as people say it: 8 s, 2 min 05 s, 1 h 04 min.
func span(d time.Duration) string {
	switch s := int(d.Round(time.Second) / time.Second); {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	default:
		return fmt.Sprintf("%d h %02d min", s/3600, s/60%60)
	}
}

// filter says in words why an agent could not take a call; "" if they could.
func (g tongue) filter(c *Candidate) string {
	what, detail, _ := strings.Cut(c.Failed, ":")
	switch what {
	case "":
		return ""
	case "skill":
		if c.Level > 0 {
			return g.say("%s at level %d is too little", "%s au niveau %d ne suffit pas", detail, c.Level)
		}
		return g.say("lacks %s", "n'a pas la compétence %s", detail)
	case "paused":
		if detail == "" {
			return g.say("paused", "en pause")
		}
		return g.say("paused (%s)", "en pause (%s)", detail)
	case "waits":
		return g.say("it waits for %s", "il attend %s", detail)
	}
	for _, w := range filterWords {
		if w.filter == what {
			return g.say(w.english, w.french)
		}
	}
	return g.say("phone failed for this call", "téléphone en échec pour cet appel")
}

var filterWords = []struct{ filter, english, french string }{
	{"tier", "of a later tier", "d'un rang trop éloigné"},
	{"queue", "of another queue", "d'une autre file"},
	{"off", "not logged in", "non connecté"},
	{"registered", "logged out", "déconnecté"},
	{"unreachable", "phone unreachable", "téléphone injoignable"},
	{"reserved", "just chosen for a call", "tout juste choisi pour un appel"},
	{"offered", "being rung", "déjà sollicité"},
	{"talking", "talking", "en conversation"},
	{"held", "talking, with a hold", "en conversation, en garde"},
	{"consulting", "asking a colleague", "en consultation"},
	{"wrap_up", "wrapping up", "en post-appel"},
	{"declined", "has declined this call", "a refusé cet appel"},
	{"busy", "was busy for this call", "était occupé pour cet appel"},
	{"no_answer", "has let this call ring", "a laissé sonner cet appel"},
	{"back_off", "phone failing, left alone for a moment", "téléphone défaillant, laissé en paix un moment"},
	{"unwanted", "not the agent it waits for", "pas l'agent qu'il attend"},
}

func (g tongue) party(p Party) string {
	switch p {
	case Caller:
		return g.say("the caller", "l'appelant")
	case Agent:
		return g.say("the agent", "l'agent")
	case Supervisor:
		return g.say("a supervisor", "un superviseur")
	case Carrier:
		return g.say("the carrier", "l'opérateur")
	}
	return g.say("the switch", "le commutateur")
}

func (g tongue) cause(c Cause) string {
	for _, w := range causeTold {
		if w.cause == c {
			return g.say(w.english, w.french)
		}
	}
	return g.say("no cause known", "cause inconnue")
}

var causeTold = []struct {
	cause           Cause
	english, french string
}{
	{CauseHangup, "hung up", "raccroché"},
	{CauseAbandoned, "the caller left", "l'appelant a raccroché"},
	{CauseNoAgents, "nobody was logged in", "personne n'était connecté"},
	{CauseClosed, "the queue was closed", "la file était fermée"},
	{CauseMaxWait, "the longest wait was reached", "l'attente maximale était atteinte"},
	{CauseNumberUnknown, "the number leads nowhere", "le numéro ne mène nulle part"},
	{CauseTrunkFull, "the trunk was full", "le faisceau était plein"},
	{CausePortsFull, "no media port was free", "aucun port média n'était libre"},
	{CauseDraining, "the switch was stopping", "le commutateur s'arrêtait"},
	{CauseRestart, "the switch was stopping", "le commutateur s'arrêtait"},
	{CauseMediaTimeout, "no sound came any more", "plus aucun son n'arrivait"},
	{CauseSessionTimer, "the session was not refreshed", "la session n'a pas été rafraîchie"},
	{CauseNoAck, "our answer was never acknowledged", "notre réponse n'a jamais été acquittée"},
	{CauseBadOffer, "no common codec", "aucun codec commun"},
	{CausePanic, "a fault of the switch", "une erreur du commutateur"},
	{CauseAdmin, "ended by order", "terminé sur ordre"},
	{CauseUnreachable, "the phone was lost", "le téléphone était perdu"},
	{CauseElsewhere, "another agent had it", "un autre agent l'avait pris"},
	{CauseDeclined, "the phone did not take it", "le téléphone ne l'a pas pris"},
	{CauseBusy, "the phone was busy", "le téléphone était occupé"},
	{CauseNoAnswer, "the phone was not answered", "le téléphone n'a pas été décroché"},
	{CauseFailed, "the phone did not take it", "le téléphone ne l'a pas pris"},
	{CauseFull, "the waiting line was full", "la file d'attente était pleine"},
	{CauseNoneReady, "nobody was ready", "personne n'était prêt"},
	{CauseCallback, "the caller will be called back", "l'appelant sera rappelé"},
	{CauseLinkLost, "the agent's line was lost", "la ligne de l'agent était perdue"},
	{CauseUnrecordable, "it could not be recorded", "il ne pouvait pas être enregistré"},
	{CauseTransferred, "given to somebody else", "transféré"},
	{CauseLost, "the switch no longer had the call", "le commutateur n'avait plus l'appel"},
}
