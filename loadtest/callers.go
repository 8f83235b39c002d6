package loadtest

import (
	"context"
	"net"
	"strings"
	"time"

	"foyer/sip/siptest"
)

// dial starts one more call; false when the run is over.
func (r *Running) dial() bool {
	r.mu.Lock()
	if r.leaving {
		r.mu.Unlock()
		return false
	}
	n := r.next
	r.next++
	d := &dialled{fate: r.plan.fortune(n), idle: len(r.agents)-r.tally.busy > r.tally.unoffered}
	d.Number, d.Caller = n, CallerNumber(n)
	d.Called = r.plan.Numbers[int(n)%len(r.plan.Numbers)]
	r.calls[n] = d
	r.tally.started++
	r.tally.unoffered++
	r.mu.Unlock()

	sdp := siptest.SDP{Addr: r.plan.CallerIP, Port: 9, Payloads: []int{int(r.plan.Codec), siptest.TelephoneEvent}}
	if r.media != nil {
		l, err := r.openLeg(r.plan.CallerIP, n, CallerSide)
		if err != nil {
			r.fail(d, err)
			return true
		}
		sdp.Port = l.addr.Port
		r.mu.Lock()
		d.leg = l
		r.mu.Unlock()
	}
	host, _, _ := strings.Cut(r.plan.Server, ":")
	r.mu.Lock()
	d.Started = time.Now()
	r.mu.Unlock()
	call, err := r.callers.InviteWith(context.Background(), &siptest.Outgoing{
		Target: "sip:" + d.Called + "@" + host, SDP: sdp.String(), From: d.Caller, Data: d})
	if err != nil {
		r.fail(d, err)
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !d.Ended.IsZero() {
		return true
	}
	d.call = call
	if d.fate.patience > 0 {
		d.patience = time.AfterFunc(d.fate.patience, func() { r.impatient(d) })
	}
	return true
}

// openLeg opens one end's media socket and lets the engine listen on it.
func (r *Running) openLeg(ip string, call uint32, side Side) (*leg, error) {
	l, err := openLeg(net.ParseIP(ip), &r.ports)
	if err != nil {
		return nil, err
	}
	l.call, l.side, l.codec, l.unmarked = call, side, r.plan.Codec, r.plan.Unmarked
	l.audio = r.plan.CallerAudio
	if side == AgentSide {
		l.audio = r.plan.AgentAudio
	}
	r.media.add(l)
	return l, nil
}

// fail ends a call that could not even be started.
func (r *Running) fail(d *dialled, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mistake("start call: %v", err)
	d.Outcome = Failed
	r.finish(d)
}

// callerEvent follows a caller's call; it runs on the wire's goroutine.
func (r *Running) callerEvent(c *siptest.Call, e siptest.Event) {
	d, ok := c.Data.(*dialled)
	if !ok {
		return // somebody calls the callers: refused below
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.Name == "200 INVITE" && d.Connected.IsZero():
		r.connected(d, c, e)
	case e.Msg != nil && e.Msg.Status > 100 && e.Msg.Status < 200 && d.Ringing.IsZero():
		d.Ringing = e.At
		r.delays.ring.add(e.At.Sub(d.Started))
		r.hearFrom(d.leg, c.RemoteSDP())
	case e.Name == "INVITE" || e.Name == "UPDATE" || e.Name == "ACK":
		r.hearFrom(d.leg, c.RemoteSDP())
	case e.Name == "BYE":
		r.hungup(d, e.At, r.otherEnd(d))
	case e.Name == "timeout INVITE":
		d.Outcome = Failed
		r.mistake("no answer to a caller's INVITE")
	case strings.HasPrefix(e.Name, "timeout "):
		r.mistake("no answer to a caller's %s", strings.TrimPrefix(e.Name, "timeout "))
	case e.Msg != nil && !e.Msg.IsRequest() && e.Msg.Status >= 300 && strings.HasSuffix(e.Name, " INVITE"):
		r.turnedAway(d, e.Msg.Status)
	case e.Name == "ended":
		d.Ended = e.At
		r.finish(d)
	}
}

func (r *Running) connected(d *dialled, c *siptest.Call, e siptest.Event) {
	d.Connected = e.At
	r.delays.setup.add(e.At.Sub(d.Started))
	if d.Ringing.IsZero() {
		d.Ringing = e.At
		r.delays.ring.add(e.At.Sub(d.Started))
	}
	if d.Answered.IsZero() {
		d.waiting = true
		r.tally.waiting++
	}
	r.hearFrom(d.leg, c.RemoteSDP())
	if d.gaveUp { // the 200 crossed our CANCEL
		r.hungup(d, e.At, "caller")
		c.Bye()
	}
}

func (r *Running) turnedAway(d *dialled, code int) {
	d.Code = code
	switch {
	case d.gaveUp && code == 487:
		d.Outcome = Abandoned
	case d.Outcome == Open && d.Connected.IsZero():
		d.Outcome = Refused
	}
}

// hearFrom lets a leg send where a description says.
func (r *Running) hearFrom(l *leg, sdp string) {
	if l == nil || sdp == "" {
		return
	}
	s, err := siptest.ParseSDP(sdp)
	if err != nil {
		r.mistake("session description: %v", err)
		return
	}
	to := s.Target()
	if s.Direction == "sendonly" || s.Direction == "inactive" {
		to = nil
	}
	r.media.connect(l, to)
}

// hungup notes the first end of a call.
func (r *Running) hungup(d *dialled, at time.Time, by string) {
	if d.Hungup.IsZero() {
		d.Hungup, d.EndedBy = at, by
	}
}

// otherEnd is who the switch's BYE to the caller stands for.
func (r *Running) otherEnd(d *dialled) string {
	if d.offer != nil && d.offer.hungup {
		return "agent"
	}
	return "switch"
}

// impatient is the caller's timer: nobody answered in time.
func (r *Running) impatient(d *dialled) {
	r.mu.Lock()
	answered := !d.Answered.IsZero() || !d.Ended.IsZero()
	r.mu.Unlock()
	if !answered {
		r.leave(d)
	}
}

// leave lets the caller hang up, or cancel before the answer.
func (r *Running) leave(d *dialled) {
	r.mu.Lock()
	c := d.call
	if c == nil || !d.Ended.IsZero() {
		r.mu.Unlock()
		return
	}
	d.gaveUp = true
	r.hungup(d, time.Now(), "caller")
	connected := !d.Connected.IsZero()
	r.mu.Unlock()
	if connected {
		c.Bye()
	} else {
		c.Cancel()
	}
}

// finish closes the books of a call.
func (r *Running) finish(d *dialled) {
	if r.calls[d.Number] != d {
		return
	}
	delete(r.calls, d.Number)
	r.past[d.Number] = d
	d.call = nil // its messages are not kept
	if d.Offered.IsZero() {
		r.tally.unoffered--
	}
	if d.Ended.IsZero() {
		d.Ended = time.Now()
	}
	r.hungup(d, d.Ended, "switch")
	r.stopWaiting(d)
	for _, t := range []*time.Timer{d.patience, d.talk} {
		if t != nil {
			t.Stop()
		}
	}
	if d.leg != nil {
		r.media.remove(d.leg)
	}
	if d.offer != nil && d.offer.counted {
		d.offer.counted = false
		r.tally.talking--
	}
	switch {
	case d.Outcome != Open:
	case !d.Answered.IsZero():
		d.Outcome = Answered
	case d.gaveUp:
		d.Outcome = Abandoned
	default:
		d.Outcome = Refused
	}
	switch d.Outcome {
	case Answered:
		r.tally.answered++
	case Abandoned:
		r.tally.abandoned++
	case Refused:
		r.tally.refused++
	default:
		r.tally.failing++
	}
	d.leg, d.call, d.offer = nil, nil, nil
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *Running) stopWaiting(d *dialled) {
	if d.waiting {
		d.waiting = false
		r.tally.waiting--
	}
}
