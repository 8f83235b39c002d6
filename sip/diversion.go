package sip

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Diversion is one step by which a call was passed on: who did it, and why.
type Diversion struct {
	User    string // number or name that was called and passed the call on
	Reason  string // of RFC 5806 section 4: unconditional, user-busy, no-answer …; "" is unknown
	Counter int    // how many times; 0 is once
	Private bool   // the callee must not see it
}

// mostDiversions is how many of them are read: a chain that is longer goes round.
const mostDiversions = 20

// diversionsOf reads who passed an INVITE on, the last one first: Diversion (RFC
// 5806) if there is any, else History-Info (RFC 7044).
func diversionsOf(req *sip.Request) (list []Diversion) {
	for _, h := range req.GetHeaders("diversion") {
		for value := range eachElement(h.Value(), ',') {
			if d, ok := diversionOf(value); ok && len(list) < mostDiversions {
				list = append(list, d)
			}
		}
	}
	if len(list) == 0 {
		return historyOf(req)
	}
	return list
}

func diversionOf(value string) (Diversion, bool) {
	a, _, ok := readAddress(value)
	if !ok || userOf(&a.uri) == "" {
		return Diversion{}, false
	}
	d, params := Diversion{User: userOf(&a.uri)}, a.params
	reason, _ := params.Get("reason")
	d.Reason = tokenOnly(unquote(reason))
	counter, _ := params.Get("counter")
	d.Counter, _ = strconv.Atoi(counter)
	d.Counter = min(max(d.Counter, 0), mostDiversions)
	privacy, _ := params.Get("privacy")
	d.Private = privacy != "" && !strings.EqualFold(unquote(privacy), "off")
	return d, true
}

// historyOf reads the same from History-Info: whoever stands before the last entry,
// which is where the call goes now, has passed it on.
func historyOf(req *sip.Request) (list []Diversion) {
	type entry struct {
		Diversion
		cause string // why the call came here (RFC 4458)
	}
	var entries []entry
	for _, h := range req.GetHeaders("history-info") {
		for value := range eachElement(h.Value(), ',') {
			a, _, ok := readAddress(value)
			if !ok || len(entries) > mostDiversions {
				continue
			}
			uri := a.uri
			e := entry{Diversion: Diversion{User: userOf(&uri), Private: embedded(&uri, "privacy") != ""}}
			_, cause, _ := strings.Cut(embedded(&uri, "reason"), "cause=")
			e.Reason = reasonOfCause(cause)
			e.cause, _ = uri.UriParams.Get("cause")
			entries = append(entries, e)
		}
	}
	for i := len(entries) - 2; i >= 0; i-- {
		d := entries[i].Diversion
		if d.Reason == "" {
			d.Reason = reasonOfCause(entries[i+1].cause)
		}
		if d.User != "" && d.User != entries[i+1].User { // a proxy that only changed the domain is no diversion
			list = append(list, d)
		}
	}
	return list
}

// embedded is a header that stands in a URI (RFC 3261 section 19.1.1: headers).
func embedded(uri *sip.Uri, name string) string {
	for _, h := range uri.Headers {
		if strings.EqualFold(h.K, name) {
			value, err := url.PathUnescape(h.V)
			if err == nil {
				return value
			}
		}
	}
	return ""
}

// causes are the reasons of RFC 5806 and the codes that say the same (RFC 4458
// section 2, RFC 6044 section 7).
var causes = [...]struct{ reason, cause string }{
	{"unconditional", "302"}, {"user-busy", "486"}, {"no-answer", "408"}, {"deflection", "480"},
	{"unavailable", "503"}, {"time-of-day", "404"},
}

func reasonOfCause(cause string) string {
	for _, c := range causes {
		if strings.HasPrefix(cause, c.cause) {
			return c.reason
		}
	}
	return ""
}

func causeOfReason(reason string) string {
	for _, c := range causes {
		if c.reason == reason {
			return c.cause
		}
	}
	return "404" // RFC 4458: unknown or not available
}

// tokenOnly is s if it is a token (RFC 3261 section 25.1), else "".
func tokenOnly(s string) string {
	const token = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~"
	if len(s) > 32 || strings.Trim(s, token) != "" {
		return ""
	}
	return s
}

// writeDiversions tells a trunk who passed a call on, in its words.
func writeDiversions(inv *sip.Request, list []Diversion, t Trunk, own string) {
	if t.Forwarded&ByDiversion != 0 {
		for _, d := range list {
			inv.AppendHeader(sip.NewHeader("Diversion", d.header(t, own)))
		}
	}
	if t.Forwarded&ByHistory != 0 && len(list) > 0 {
		writeHistory(inv, list, t, own)
	}
}

// header writes one Diversion (RFC 5806 section 4).
func (d Diversion) header(t Trunk, own string) string {
	reason, privacy := d.Reason, "off"
	if reason == "" {
		reason = "unknown"
	}
	if d.Private {
		privacy = "full"
	}
	by := numberURI(t, d.User, own)
	return "<" + by.String() + ">;reason=" + reason + ";counter=" + strconv.Itoa(max(d.Counter, 1)) + ";privacy=" + privacy
}

// writeHistory writes History-Info: the first who was called, each to whom it was
// passed on, and where it goes now (RFC 7044 section 5).
func writeHistory(inv *sip.Request, list []Diversion, t Trunk, own string) {
	index, cause := "1", ""
	for i := len(list) - 1; i >= 0; i-- {
		d := list[i]
		by := numberURI(t, d.User, own)
		text := by.String() + cause + "?Reason=SIP%3Bcause%3D" + causeOfReason(d.Reason)
		if d.Private {
			text += "&Privacy=history"
		}
		inv.AppendHeader(sip.NewHeader("History-Info", "<"+text+">;index="+index))
		index, cause = index+".1", ";cause="+causeOfReason(d.Reason)
	}
	before := strings.TrimSuffix(index, ".1")
	inv.AppendHeader(sip.NewHeader("History-Info", "<"+inv.Recipient.String()+cause+">;index="+index+";mp="+before))
}
