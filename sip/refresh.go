package sip

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// askOf reads what a message says about the session timer (RFC 4028).
func askOf(msg sip.Message) (a sessionAsk) {
	for _, h := range msg.GetHeaders("supported") {
		for tag := range eachElement(h.Value(), ',') {
			a.supported = a.supported || strings.EqualFold(tag, "timer")
		}
	}
	for _, h := range msg.GetHeaders("session-expires") {
		a.expires = time.Duration(deltaSeconds(h.Value())) * time.Second
		for part := range eachElement(h.Value(), ';') {
			if name, value, found := strings.Cut(part, "="); found && strings.EqualFold(strings.TrimSpace(name), "refresher") {
				a.refresher = strings.ToLower(strings.TrimSpace(value))
			}
		}
	}
	for _, h := range msg.GetHeaders("min-se") {
		a.min = time.Duration(deltaSeconds(h.Value())) * time.Second
	}
	return a
}

// write puts the session timer into a request of ours. least is the Min-SE to
// send, 0 for none.
func (p SessionPolicy) write(req *sip.Request, s session, least time.Duration) {
	value := strconv.Itoa(seconds(s.expires))
	switch s.by {
	case we:
		value += ";refresher=uac"
	case they:
		value += ";refresher=uas"
	}
	req.AppendHeader(sip.NewHeader("Session-Expires", value))
	if least > 0 {
		req.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(seconds(least))))
	}
}

// writeAnswer puts the session timer into a 2xx of ours.
func (s session) writeAnswer(res *sip.Response) {
	if s.by == neither {
		return
	}
	who := "uas"
	if s.by == they {
		who = "uac"
	}
	res.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(seconds(s.expires))+";refresher="+who))
	if s.require {
		res.AppendHeader(sip.NewHeader("Require", "timer"))
	}
}

// agree starts the session timer, or starts it anew. The caller holds mu.
func (l *Leg) agree(s session) {
	l.session.agreed(l.e.o.Now(), s)
	l.schedule()
}

// schedule sets the alarm to the timer's next deadline. The caller holds mu.
func (l *Leg) schedule() {
	at, some := l.session.Deadline()
	switch {
	case some && l.alarm == nil:
		l.alarm = time.AfterFunc(at.Sub(l.e.o.Now()), func() { l.start("session timer", l.rung) })
	case some:
		l.alarm.Reset(at.Sub(l.e.o.Now()))
	case l.alarm != nil:
		l.alarm.Stop()
	}
}

// rung does what the session timer wants.
func (l *Leg) rung() {
	defer l.deliver()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != up {
		return
	}
	switch l.session.Step(l.e.o.Now()) {
	case doRefresh:
		if l.want == nil { // an offer that waits refreshes as well
			l.want = &wanted{refresh: true}
		}
		l.turn()
	case doExpire:
		l.leave(Reason{SIP: sip.StatusRequestTimeout, Text: "Session expired"})
		l.post(Ended{Why: SessionExpired})
		return
	}
	l.schedule()
}
