package main

import (
	"fmt"
	"strings"
	"time"

	"foyer/sip"
)

// What the doctor says, in French and in English: what is the matter, and what to do.

// remark is a sentence about a finding and one about its cure.
type remark struct{ say, cure string }

// remarks are by id and language. The verbs are those of fill: {n} and {of} are
// counts, {span} and {span2} times, {ratio} a share, {codes} what to dial for the echo.
func remarks(lang string) map[string]remark {
	if lang == "fr" {
		return remarksFR()
	}
	return remarksEN()
}

func remarksFR() map[string]remark {
	const alg = "Dans les réglages de la box, désactivez « SIP ALG » (parfois : assistant SIP, SIP helper, SIP passthrough), puis redémarrez-la et le téléphone. Si la box n'a pas ce réglage, passez le téléphone en TLS : elle ne peut pas le lire."
	return map[string]remark{
		"no_account": {"L'agent n'a pas de compte téléphonique : ni mot de passe dans la configuration, ni lien de mise en service utilisé.",
			"Créez un lien avec `foyer agent provision` et donnez-le à l'agent."},
		"never_seen": {"Aucun téléphone de cet agent ne s'est annoncé depuis le démarrage du commutateur, il y a {span}.",
			"Ouvrez l'application de téléphonie et vérifiez son compte ; si rien ne change, redonnez un lien avec `foyer agent provision`. Un pare-feu qui bloque les ports SIP donne le même effet."},
		"gone": {"Le téléphone n'est plus annoncé depuis {span}.",
			"Vérifiez que l'application est ouverte, que l'ordinateur n'est pas en veille et que la connexion Internet fonctionne."},
		"refused": {"Le téléphone s'annonce, mais il est refusé ({n} fois de suite, la dernière il y a {span}) : son mot de passe est faux.",
			"Redonnez un lien avec `foyer agent provision` : il contient un mot de passe neuf."},
		"silent": {"Le téléphone est annoncé mais ne répond plus : rien n'est venu de lui depuis {span}.",
			"Vérifiez la connexion Internet et que l'application tourne. Si cela revient, passez le téléphone en TCP ou en TLS."},
		"alg":           {"La box réécrit les messages du téléphone (SIP ALG) : des appels n'aboutissent pas, restent muets ou se coupent.", alg},
		"alg_suspected": {"La box semble réécrire les messages du téléphone (SIP ALG).", alg},
		"mapping": {"La box oublie le téléphone après moins de {span} de silence ({n} fois en un jour) : entre-temps, les appels ne sonnent pas.",
			"Passez le téléphone en TCP ou en TLS, ou baissez registrar.keepalive.udp_options au-dessous de {span2}."},
		"flapping": {"Le téléphone s'est perdu {n} fois dans l'heure.",
			"La connexion est instable : préférez un câble au wifi, rapprochez-vous de la box, et passez le téléphone en TCP ou en TLS."},
		"roaming": {"L'adresse Internet du téléphone a changé {n} fois dans l'heure.",
			"L'agent passe d'un réseau à l'autre (wifi, partage 4G, VPN) : gardez-en un seul pendant les appels."},
		"one_way_up": {"Dans {n} des {of} derniers appels, rien n'est venu du téléphone : le client n'entendait pas l'agent.",
			"Désactivez « SIP ALG » dans la box, autorisez l'UDP sortant, vérifiez le micro, puis faites le test d'écho{codes}."},
		"one_way_down": {"Dans {n} des {of} derniers appels, le téléphone n'a presque rien reçu : l'agent n'entendait pas le client.",
			"Un pare-feu ou un VPN bloque l'UDP entrant : autorisez-le, désactivez « SIP ALG », puis faites le test d'écho{codes}."},
		"loss_up": {"{ratio} de ce que dit l'agent se perd en route ({of} derniers appels).",
			"Préférez un câble au wifi et libérez l'envoi : sauvegardes, photos et vidéos en ligne saturent d'abord ce sens."},
		"loss_down": {"{ratio} de ce que l'agent doit entendre se perd en route ({of} derniers appels).",
			"Préférez un câble au wifi et libérez la connexion des téléchargements et de la télévision."},
		"jitter": {"Le son arrive de façon irrégulière ({span} d'écart, {of} derniers appels) : la voix se hache.",
			"Préférez un câble au wifi ; activez la priorité à la voix (QoS) dans la box si elle l'offre."},
		"delay": {"Le son met {span} pour l'aller et retour ({of} derniers appels) : on se coupe la parole.",
			"Arrêtez le VPN, évitez le partage 4G et les liaisons par satellite."},
		"slow": {"Le téléphone met {span} à répondre, plusieurs fois de suite.",
			"La connexion est chargée ou l'ordinateur peine : fermez ce qui l'occupe."},
		"several": {"{n} téléphones sont annoncés : tous sonnent à chaque appel.", "Fermez ceux qui ne servent pas, ou retirez le compte d'un ancien appareil."},
		"open":    {"La signalisation de ce téléphone n'est pas chiffrée.", "Passez-le en TLS si le commutateur l'offre : c'est aussi ce que la box ne peut pas réécrire."},
	}
}

func remarksEN() map[string]remark {
	const alg = "In the router's settings switch off \"SIP ALG\" (also called SIP helper or SIP passthrough), then restart it and the phone. If the router has no such setting, move the phone to TLS, which it cannot read."
	return map[string]remark{
		"no_account": {"The agent has no telephone account: no password in the configuration, and no provisioning link was used.",
			"Make a link with `foyer agent provision` and give it to the agent."},
		"never_seen": {"No phone of this agent has registered since the switch started {span} ago.",
			"Open the telephone application and check its account; if nothing changes, give a new link with `foyer agent provision`. A firewall that blocks the SIP ports looks the same."},
		"gone": {"The phone has not been registered for {span}.",
			"Check that the application is open, the computer is awake and the Internet connection works."},
		"refused": {"The phone registers but is refused ({n} times in a row, last {span} ago): its password is wrong.",
			"Give a new link with `foyer agent provision`: it brings a new password."},
		"silent": {"The phone is registered but does not answer: nothing has come from it for {span}.",
			"Check the Internet connection and that the application runs. If it happens again, move the phone to TCP or TLS."},
		"alg":           {"The home router rewrites the phone's messages (SIP ALG): calls fail, stay silent or are cut off.", alg},
		"alg_suspected": {"The home router seems to rewrite the phone's messages (SIP ALG).", alg},
		"mapping": {"The router forgets the phone after less than {span} of silence ({n} times in a day): until it is back, calls do not ring.",
			"Move the phone to TCP or TLS, or set registrar.keepalive.udp_options below {span2}."},
		"flapping": {"The phone was lost {n} times within the hour.",
			"The connection is unstable: use a cable instead of wireless, go nearer to the router, and move the phone to TCP or TLS."},
		"roaming": {"The phone's Internet address changed {n} times within the hour.",
			"The agent moves between networks (wireless, a mobile's hotspot, a VPN): keep to one during calls."},
		"one_way_up": {"In {n} of the last {of} calls nothing came from the phone: the caller could not hear the agent.",
			"Switch off \"SIP ALG\" in the router, allow outgoing UDP, check the microphone, then do the echo test{codes}."},
		"one_way_down": {"In {n} of the last {of} calls the phone received next to nothing: the agent could not hear the caller.",
			"A firewall or a VPN blocks incoming UDP: allow it, switch off \"SIP ALG\", then do the echo test{codes}."},
		"loss_up": {"{ratio} of what the agent says is lost on the way (last {of} calls).",
			"Use a cable instead of wireless, and free the upload: backups, photos and video fill that direction first."},
		"loss_down": {"{ratio} of what the agent should hear is lost on the way (last {of} calls).",
			"Use a cable instead of wireless, and free the connection of downloads and television."},
		"jitter": {"Sound comes unevenly ({span} apart, last {of} calls): voices break up.",
			"Use a cable instead of wireless; switch on priority for voice (QoS) in the router if it has it."},
		"delay": {"Sound takes {span} there and back (last {of} calls): people talk over each other.",
			"Stop the VPN, and avoid mobile hotspots and satellite links."},
		"slow": {"The phone takes {span} to answer, several times in a row.",
			"The connection or the computer is busy: close what occupies it."},
		"several": {"{n} phones are registered: all of them ring for every call.", "Close those that are not used, or remove the account from an old device."},
		"open":    {"This phone's signalling is not encrypted.", "Move it to TLS if the switch offers it: that is also what the router cannot rewrite."},
	}
}

// key is the id, and the direction of what has one.
func (f *finding) key() string {
	switch {
	case f.id != "one_way" && f.id != "loss":
		return f.id
	case f.up:
		return f.id + "_up"
	}
	return f.id + "_down"
}

// words are the sentences of a finding; echo is the code of the echo test, if there is one.
func (f *finding) words(lang, echo string) remark {
	codes := ""
	if echo != "" {
		codes = " (" + echo + ")"
	}
	fill := strings.NewReplacer(
		"{n}", fmt.Sprint(f.n), "{of}", fmt.Sprint(f.of), "{ratio}", shareOf(f.ratio, lang),
		"{span}", spanIn(f.span, lang), "{span2}", spanIn(f.span2, lang), "{codes}", codes)
	r := remarks(lang)[f.key()]
	return remark{fill.Replace(r.say), fill.Replace(r.cure)}
}

// shareOf writes a share as people of the language do.
func shareOf(ratio float64, lang string) string {
	s := fmt.Sprintf("%.1f %%", 100*ratio)
	if lang == "fr" {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// spanIn writes a time in its largest unit that says enough.
func spanIn(d time.Duration, lang string) string {
	day := "days"
	if lang == "fr" {
		day = "jours"
	}
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 1))
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f %s", d.Hours()/24, day)
}

// summary is the first sentence: the phone, and its clock.
func (f *lineFacts) summary(now time.Time, lang string, found []finding) string {
	fr := lang == "fr"
	pick := func(french, english string) string {
		if fr {
			return french
		}
		return english
	}
	var s string
	switch p := f.phone(); {
	case p == nil:
		s = pick("Pas de téléphone annoncé.", "No phone is registered.")
	case f.answeredAt.IsZero():
		s = fmt.Sprintf(pick("Le téléphone (%s) est annoncé par %s depuis %s ; il n'a pas encore été interrogé.",
			"The phone (%s) is registered by %s from %s; it has not been asked yet."), named(p), strings.ToUpper(p.Transport), p.Source)
	default:
		s = fmt.Sprintf(pick("Le téléphone (%s, par %s depuis %s) a répondu il y a %s, en %s.",
			"The phone (%s, by %s from %s) answered %s ago, in %s."),
			named(p), strings.ToUpper(p.Transport), p.Source, spanIn(now.Sub(f.answeredAt), lang), spanIn(f.trip, lang))
	}
	if len(found) == 0 || found[0].severity == info {
		s += " " + pick("Rien à corriger.", "Nothing needs to be done.")
	}
	return s
}

func (f *lineFacts) phone() *sip.Binding {
	if len(f.phones) == 0 {
		return nil
	}
	return &f.phones[0]
}

func named(b *sip.Binding) string {
	if b.UserAgent == "" {
		return b.User
	}
	return printable(b.UserAgent)
}
