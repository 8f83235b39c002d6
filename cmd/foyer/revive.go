package main

import (
	"cmp"
	"context"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/cmd/foyer/keeper"
	"foyer/rtp"
	"foyer/sip"
)

// A switch that was killed has left its calls in the memory of calls. The next life
// takes them up in the order in which somebody would notice: first the media, so that
// who talks goes on talking; then the legs of SIP; then the floor, out of the journal;
// then each call compares what it has with what the floor thinks, and both go on.

// revival is what of the last life is being taken up.
type revival struct {
	calls []*call
	kept  map[acd.CallID]*keptCall
	legs  map[string]*sip.Leg // by key
	owned map[string]*sip.Leg // by owner
}

// revived is the first message of a call that was taken up.
type revived struct {
	kept *keptCall
	r    *revival
	says floorSays
}

// floorSays is what the floor thinks of a call.
type floorSays struct {
	known          bool
	bound, alerted map[acd.OfferID]bool // agents reserved for it; whose phone has rung
	pending        []acd.Action
}

// letGo forgets the calls of the last life when the switch dies again and again: one of
// them may be why.
func (ex *exchange) letGo() {
	if ex.memory == nil || !ex.tooManyLives(time.Now()) {
		return
	}
	ex.log.Error("the switch dies again and again: the calls it had are let go", zap.Int("deaths", livesMax), zap.Duration("within", livesWithin))
	for key := range ex.memory.Under("") {
		ex.memory.Delete(key)
	}
}

// reviveMedia makes the calls of the last life and gives them their media, which goes
// on already.
func (ex *exchange) reviveMedia() *revival {
	r := &revival{kept: map[acd.CallID]*keptCall{}, legs: map[string]*sip.Leg{}, owned: map[string]*sip.Leg{}}
	if ex.memory == nil {
		return r
	}
	past := ex.pastRevivals()
	for _, k := range readKept(ex.memory) {
		key := callKey(k.id)
		switch {
		case k.err != nil || k.call.Version != keptCallVersion:
			ex.log.Error("a call of the last life cannot be read", zap.String("call", string(k.id)), zap.Error(k.err))
			ex.memory.Delete(key)
		case !ex.begins(past, key):
			ex.memory.Delete(key)
		default:
			r.kept[k.id] = &k.call
			r.calls = append(r.calls, ex.callOf(k.id, &k.call))
		}
	}
	ex.begins(past, "")
	ex.media.Resumed()
	return r
}

// readCall is the record of a call that was read.
type readCall struct {
	id    acd.CallID
	value []byte
	call  keptCall
	err   error
}

// readKept reads the records of all calls, by every processor there is, in order of
// their ids.
func readKept(m *keeper.Memory) []*readCall {
	var all []*readCall
	for key, value := range m.Under(callPrefix) {
		all = append(all, &readCall{id: acd.CallID(strings.TrimPrefix(key, callPrefix)), value: value})
	}
	slices.SortFunc(all, func(a, b *readCall) int { return cmp.Compare(a.id, b.id) })
	var next atomic.Int64
	var reading sync.WaitGroup
	for range runtime.NumCPU() {
		reading.Go(func() {
			for n := next.Add(1) - 1; n < int64(len(all)); n = next.Add(1) - 1 {
				all[n].err = keptCalls.Read(all[n].value, &all[n].call)
			}
		})
	}
	reading.Wait()
	return all
}

// callOf makes a call out of its record, all but its SIP legs.
func (ex *exchange) callOf(id acd.CallID, k *keptCall) *call {
	plan := ex.plan.Load()
	c := &call{
		ex: ex, id: id, box: newMailbox(), phase: k.Phase, begun: k.Begun, told: k.Told,
		dest: plan.route(k.Begun, k.Called, id), early: k.Early, trunk: k.Trunk,
		offers: map[acd.OfferID]*offer{}, back: k.Back, dialled: k.Dialled,
		code: k.Code, cause: k.Cause, by: k.By, answered: k.Answered, connected: k.Connected, facts: k.Facts,
	}
	c.log = ex.log.With(zap.String("call", string(id)))
	c.dest.cause, c.dest.queue, c.dest.client, c.dest.number = acd.CauseUnknown, k.Queue, k.Client, k.Number
	c.client = plan.clients[k.Client]
	c.rec = recording{handle: k.Recording, id: k.RecID, since: k.RecSince, length: time.Duration(k.RecMS) * time.Millisecond}
	c.caller = c.sideOf(&k.Caller, func(ev rtp.MediaEvent) { c.box.post(fromMedia{party: acd.Caller, event: ev}) })
	for i := range k.Offers {
		ko := &k.Offers[i]
		o := &offer{id: ko.ID, agent: ko.Agent, queue: ko.Queue, asker: ko.Asker, alerted: ko.Alerted, quiet: ko.Quiet, lost: ko.Lost, dead: ko.Dead}
		o.side = c.sideOf(&ko.keptSide, func(ev rtp.MediaEvent) { c.box.post(fromMedia{party: acd.Agent, offer: ko.ID, event: ev}) })
		for n := range ko.Phones {
			kp := &ko.Phones[n]
			p := &phone{offer: o, place: n, sdp: rtp.ResumeSession(kp.Session), offers: kp.Offers, done: kp.Done}
			source, _ := netip.ParseAddrPort(kp.Source)
			p.binding = sip.Binding{User: string(o.agent), Contact: kp.Contact, Transport: kp.Transport, Source: source}
			o.phones = append(o.phones, p)
			if ko.Taken == n+1 {
				o.taken, o.sdp = p, p.sdp
			}
		}
		if o.id == k.Agent {
			c.agent = o
		} else {
			c.offers[o.id] = o
		}
	}
	if ko := k.Out; ko != nil && ko.Taken {
		c.out = &outward{taken: true, tries: 1, passage: &passage{}}
		c.out.way.number = ko.Number
		c.out.side = c.sideOf(&ko.keptSide, func(ev rtp.MediaEvent) { c.box.post(fromMedia{party: acd.Carrier, event: ev}) })
	}
	return c
}

// sideOf takes up one party: its description and its media.
func (c *call) sideOf(k *keptSide, sink func(rtp.MediaEvent)) side {
	s := side{held: k.Held, owed: k.Owed, band: band{lists: k.Lists, asked: k.Asked, lacks: k.Lacks, fixed: k.Fixed}}
	if k.Session != nil {
		s.sdp = rtp.ResumeSession(*k.Session)
	}
	if k.Stream != nil {
		s.stream = *k.Stream
	}
	if k.Media == "" {
		return s
	}
	media, err := c.ex.media.Resume(k.Media, rtp.LegOptions{Sink: sink, Playlist: c.playlist})
	if err != nil {
		c.log.Warn("media of the last life is gone", zap.String("leg", k.Media), zap.Error(err))
		return s
	}
	s.media = media
	return s
}

// reviveLegs takes up the SIP legs, and the phones that are registered.
func (ex *exchange) reviveLegs(r *revival) {
	if ex.memory == nil {
		return
	}
	for key, value := range ex.memory.Under(sip.BindingPrefix) {
		if err := ex.registrar.Resume(value); err != nil {
			ex.log.Info("a phone of the last life is no longer registered", zap.Error(err))
			ex.memory.Delete(key)
		}
	}
	for key, value := range ex.memory.Under(sip.LegPrefix) {
		if ex.poison.bars(key, sip.LegPrefix) {
			ex.memory.Delete(key)
			continue
		}
		leg, err := ex.edge.Resume(value)
		if err != nil {
			ex.log.Error("a leg of the last life cannot be taken up", zap.String("leg", key), zap.Error(err))
			ex.memory.Delete(key)
			continue
		}
		r.legs[key] = leg
		if owner := leg.Standing().Owner; owner != "" {
			r.owned[owner] = leg
		}
	}
}

// claim gives a leg to the call it belongs to; nil if it was over.
func (r *revival) claim(key string) *sip.Leg {
	leg := r.legs[key]
	delete(r.legs, key)
	return leg
}

// attach gives each call its legs. Those that nobody has are ended, but for callers
// who had only just rung: they are answered now.
func (ex *exchange) attach(r *revival) {
	for _, c := range r.calls {
		k := r.kept[c.id]
		c.caller.leg = r.claim(k.Caller.Leg)
		for i := range k.Offers {
			o := c.agent
			if o == nil || o.id != k.Offers[i].ID {
				o = c.offers[k.Offers[i].ID]
			}
			for _, p := range o.phones {
				if leg := r.owned[p.owner(c)]; leg != nil && !p.done {
					p.leg = r.claim(leg.Key())
				} else if p.done = true; o.taken == p {
					o.left = &sip.Ended{Why: sip.Bye}
				}
			}
			if o.taken != nil {
				o.leg = o.taken.leg
			}
		}
		if c.out != nil {
			c.out.leg = r.claim(k.Out.Leg)
		}
		ex.calls.add(c)
	}
	for _, leg := range r.legs {
		ex.wait.Go(func() { // legs wait for the edge
			switch s := leg.Standing(); {
			case s.Phase != sip.Opening || !s.Server:
				leg.Hangup(sip.Reason{SIP: 500, Text: "Restarted"})
			case leg.Trunk() != "":
				ex.invite(leg)
			default:
				leg.Reject(sip.Reject{Code: 503})
			}
		})
	}
}

// reviveCalls lets the calls go on. The board runs already.
func (ex *exchange) reviveCalls(r *revival) {
	if ex.memory == nil {
		return
	}
	says := map[acd.CallID]*floorSays{}
	lost := map[acd.CallID]bool{}
	unreachable := []acd.AgentID{}
	ex.board.ask(context.Background(), func() {
		f := ex.board.floor
		for _, c := range r.calls {
			_, known := f.Call(c.id)
			s := &floorSays{known: known, bound: map[acd.OfferID]bool{}, alerted: map[acd.OfferID]bool{}}
			for id := range c.offers {
				s.bound[id], s.alerted[id] = f.Bound(c.id, id)
			}
			if c.agent != nil {
				s.bound[c.agent.id], _ = f.Bound(c.id, c.agent.id)
			}
			says[c.id] = s
		}
		for _, a := range f.Pending() {
			id := acd.About(a)
			if s := says[id]; s != nil {
				s.pending = append(s.pending, a)
			} else {
				ex.carry(a) // a callback that nobody had been rung for
			}
		}
		snap := f.Snapshot(ex.board.now())
		for _, v := range snap.Calls {
			if says[v.ID] == nil && v.Callback == "" && !ex.calls.has(v.ID) { // it may have arrived just now
				lost[v.ID] = true
			}
		}
		for _, a := range snap.Agents {
			ex.calls.reachableChanged(string(a.ID), a.Reachable)
			if a.Reachable && len(reachable(ex.registrar.Bindings(string(a.ID)))) == 0 {
				unreachable = append(unreachable, a.ID)
			}
		}
	})
	for id := range lost {
		ex.log.Error("the floor had a call that did not outlive the switch", zap.String("call", string(id)))
		ex.board.post(acd.Event{Kind: acd.Gone, Call: id, By: acd.Switch, Cause: acd.CauseRestart})
		ex.board.post(acd.Event{Kind: acd.Closed, Call: id, By: acd.Switch, Cause: acd.CauseRestart})
	}
	for _, id := range unreachable {
		ex.calls.reachableChanged(string(id), false)
		ex.board.post(acd.Event{Kind: acd.Unreachable, Agent: id})
	}
	for _, c := range r.calls {
		go c.run(revived{r.kept[c.id], r, *says[c.id]})
	}
	for _, one := range ex.recordings.Resumed() {
		if ex.calls.card(acd.CallID(one.CallID)) == nil && r.kept[acd.CallID(one.CallID)] == nil {
			ex.recordings.End(one.Handle)
		}
	}
	if len(r.calls) > 0 {
		ex.log.Info("calls of the last life go on", zap.Int("calls", len(r.calls)), zap.Int("lost", len(lost)))
	}
}

// goOn takes a call up where the last life left it: first what the floor has decided
// since, then what the peers have done, then what was on its way.
func (c *call) goOn(m revived) {
	c.told = c.told || m.says.known
	switch {
	case c.phase >= closing:
		c.closeAgain()
		return
	case c.caller.media == nil && !c.back:
		c.end(acd.Switch, acd.CauseRestart)
		return
	}
	for id, o := range c.offers {
		if !m.says.bound[id] {
			c.closeOffer(o, reasonForWithdrawal(acd.CauseAbandoned))
		}
	}
	if o := c.agent; o != nil && !m.says.bound[o.id] && m.says.known {
		c.part(acd.Part{Call: c.id, Agent: o.agent, Offer: o.id, Cause: acd.CauseLinkLost})
	}
	if c.caller.leg != nil {
		c.caller.leg.Listen(c.callerSink())
	}
	if !c.callerStands() {
		return
	}
	if !m.says.known && c.phase == waiting && !c.back {
		c.tellArrived()
	}
	for _, o := range c.offers {
		c.offerStands(o, m.says.alerted[o.id])
	}
	switch {
	case c.agent != nil && c.phase == talking:
		c.talkStands(c.agent)
	case c.phase == waiting && !c.back && (c.answered || c.early):
		c.caller.media.Still(c.playlist(waitingList))
	}
	if c.phase == messaging && c.rec.handle != 0 {
		time.AfterFunc(longestMessage-time.Since(c.rec.since), func() { c.box.post(messageTime{}) })
	}
	if o := c.out; o != nil {
		c.outStands(o)
	}
	for _, a := range m.says.pending {
		c.box.post(a)
	}
	c.save()
}

// closeAgain ends what the last life was ending.
func (c *call) closeAgain() {
	for _, o := range c.offers {
		c.closeOffer(o, sip.Reason{})
	}
	if c.agent != nil {
		c.agent.hangUp(reasonFor(c.cause, c.by))
	}
	if leg := c.caller.leg; leg != nil {
		if !c.answered {
			leg.Reject(rejectFor(c.cause))
		}
		leg.Hangup(reasonFor(c.cause, c.by))
	}
	if c.rec.handle != 0 {
		c.rec.length = time.Since(c.rec.since)
		c.ex.recordings.End(c.rec.handle)
		c.rec.handle = 0
	}
	if c.told {
		c.ex.board.post(acd.Event{Kind: acd.Gone, Call: c.id, By: c.by, Cause: c.cause, Code: c.code})
	}
	if c.agent != nil && c.agent.media == nil {
		c.agent = nil
	}
	c.hangUpMedia()
}

// callerStands looks at how far the caller's leg has come, and says whether the call
// goes on.
func (c *call) callerStands() bool {
	leg := c.caller.leg
	if leg == nil {
		if c.back && !c.answered {
			return true
		}
		cause := acd.CauseHangup
		if c.phase == waiting {
			cause = acd.CauseAbandoned
		}
		c.end(acd.Caller, cause)
		return false
	}
	if s := leg.Standing(); s.Server && s.Phase == sip.Opening && c.answered {
		// It died before the 200 could leave.
		if err := leg.Answer(c.caller.sdp.Last()); err != nil {
			c.code = 487
			c.end(acd.Caller, acd.CauseAbandoned)
			return false
		}
	}
	return true
}

// offerStands looks at the phones of an agent who is rung. If none of them is left,
// and none had rung, no INVITE had left: the floor's offer is carried out again.
func (c *call) offerStands(o *offer, alerted bool) {
	for _, p := range o.phones {
		if p.done {
			continue
		}
		p.leg.Listen(c.phoneSink(p))
		if s := p.leg.Standing(); s.Phase == sip.Up && o.taken == nil {
			c.phoneAnswered(p, sip.Answered{SDP: s.Heard})
		}
	}
	switch {
	case c.offers[o.id] == nil:
	case o.media == nil || o.taken == nil && o.pending() == 0 && alerted:
		c.failed(o, acd.CauseFailed, sip.Refused{Code: 500, Reason: "lost with the switch"})
	case o.taken == nil && o.pending() == 0:
		c.closeOffer(o, sip.Reason{})
	case o.taken != nil:
		c.ex.board.post(acd.Event{Kind: acd.Answered, Call: c.id, Agent: o.agent, Offer: o.id})
	case o.alerted:
		c.ex.board.post(acd.Event{Kind: acd.Alerting, Call: c.id, Agent: o.agent, Offer: o.id})
	}
}

// talkStands looks at the phone of the agent who talks.
func (c *call) talkStands(o *offer) {
	p := o.taken
	if p == nil || p.done || o.media == nil {
		c.end(acd.Agent, acd.CauseHangup)
		return
	}
	p.leg.Listen(c.phoneSink(p))
	c.ex.board.post(acd.Event{Kind: acd.Bridged, Call: c.id, Agent: o.agent, Offer: o.id})
	for _, s := range []struct {
		who acd.Party
		*side
	}{{acd.Caller, &c.caller}, {acd.Agent, &o.side}} {
		if s.held {
			c.ex.board.post(acd.Event{Kind: acd.Held, Call: c.id, Agent: o.agent, Offer: o.id, By: s.who})
		}
	}
	// The media may not have come to what it had been told.
	if o.lost {
		c.ex.calls.hang(o.agent, !o.dead)
	} else {
		ofCaller, ofAgent := c.hearing(&c.caller, &o.side)
		c.caller.media.Still(ofCaller)
		o.media.Still(ofAgent)
		c.watchTalk()
	}
	if c.rec.handle != 0 {
		c.caller.media.Tap(c.rec.handle, callerChannel)
		o.media.Tap(c.rec.handle, agentChannel)
	}
}

// outStands looks at a number outside that the caller was put through to.
func (c *call) outStands(o *outward) {
	if o.leg == nil || o.media == nil {
		c.end(acd.Carrier, acd.CauseHangup)
		return
	}
	o.leg.Listen(c.outsideSink(o))
	pass, err := c.ex.mayDial(dialer{client: c.dest.client}, o.way.number, func() { c.box.post(dialLimit{o}) })
	if err != nil {
		return // it was let through before
	}
	o.passage, c.passage = pass, pass
	c.ex.dialAnswered(pass)
}
