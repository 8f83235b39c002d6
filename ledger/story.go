package ledger

import (
	"cmp"
	"slices"

	"foyer/acd"
)

// story is a call while it is being told: its CDR as far as known, and the
// segments that have no end yet.
type story struct {
	cdr      CDR
	segments []Segment // those still open have End zero
	latest   Instant   // no moment of this call lies before it, whatever the clock does
	holders  uint8     // one bit for each Party holding

	ended, closed bool
	by            acd.Party
	cause         acd.Cause
	rejected      bool      // never came to a queue
	refused       acd.Cause // why the switch turned it away, if it did
	settled       acd.Cause // the floor's word, for want of a better one
	settledBy     acd.Party
	message       bool // diverted to a voicemail box
}

func newStory(at Instant, ev acd.Event) *story {
	facts := ev.Facts
	if facts == nil {
		facts = &acd.Facts{}
	}
	return &story{latest: at, cdr: CDR{
		ID:        string(ev.Call),
		Client:    string(facts.Client),
		DID:       facts.DID,
		Direction: "inbound",
		From:      facts.From,
		To:        facts.To,
		Trunk:     facts.Trunk,
		Transport: facts.Transport,
		SIPCallID: facts.SIPCallID,
		SIPCode:   ev.Code,
		Started:   at,
	}}
}

// clock is at, or the call's latest moment if the wall clock was put back: a
// call's segments must lie end to end.
func (s *story) clock(at Instant) Instant {
	s.latest = max(s.latest, at)
	return s.latest
}

// current is the open segment of one of the kinds, nil if there is none.
func (s *story) current(kinds ...SegmentKind) *Segment {
	for i := len(s.segments) - 1; i >= 0; i-- {
		if g := &s.segments[i]; g.End == 0 && slices.Contains(kinds, g.Kind) {
			return g
		}
	}
	return nil
}

func (s *story) offered(n acd.OfferID) *Segment {
	for i := len(s.segments) - 1; i >= 0; i-- {
		if g := &s.segments[i]; g.Kind == Offering && g.Offer == uint32(n) && g.End == 0 {
			return g
		}
	}
	return nil
}

func (g *Segment) stop(at Instant, result string) {
	g.End, g.Duration, g.Result = at, Span(g.Start, at), result
}

// enter puts the call in a queue: at arrival, by overflow, or back from an agent.
func (s *story) enter(at Instant, q acd.QueueID) {
	if s.ended || s.rejected {
		return
	}
	at = s.clock(at)
	if g := s.current(InQueue); g != nil {
		switch {
		case q == "" || g.Queue == string(q):
			return
		case g.Queue == "" || g.Start == at:
			g.Queue, s.cdr.Queue = string(q), string(q)
			return
		}
		g.stop(at, "overflow")
	}
	if g := s.current(Talking, OnHold); g != nil {
		g.stop(at, "requeued")
		s.holders = 0
	}
	if q != "" {
		s.cdr.Queue = string(q)
	}
	s.segments = append(s.segments, Segment{Kind: InQueue, Start: at, Queue: s.cdr.Queue})
}

func (s *story) offer(at Instant, o acd.Offer) {
	if s.ended || s.rejected {
		return
	}
	at = s.clock(at)
	if s.current(InQueue) == nil && o.Asker == "" { // an agent's phone died before the talk: the caller waits again
		s.enter(at, o.Queue)
	}
	s.segments = append(s.segments, Segment{
		Kind: Offering, Start: at, Queue: string(o.Queue), Agent: string(o.Agent), Offer: uint32(o.Offer),
	})
}

func (s *story) alerted(at Instant, n acd.OfferID) {
	if g := s.offered(n); g != nil && g.Alerted == 0 {
		g.Alerted = s.clock(at)
	}
}

// missed ends an offer that did not lead to a talk. The first word on it stands:
// a 487 that comes back for our own CANCEL is no news.
func (s *story) missed(at Instant, n acd.OfferID, why acd.Cause, code int) {
	if g := s.offered(n); g != nil {
		g.stop(s.clock(at), resultOf(why))
		g.Cause, g.SIPCode = why.String(), code
	}
}

func (s *story) connect(at Instant, c acd.Connect, q rules) {
	if s.ended || s.rejected {
		return
	}
	at = s.clock(at)
	won := s.offered(c.Offer)
	if won != nil {
		won.stop(at, "answered")
	}
	if g := s.current(InQueue); g != nil {
		g.stop(at, "answered")
	}
	if g := s.current(Talking, OnHold); g != nil {
		g.stop(at, "")
	}
	if s.cdr.Answered == 0 {
		s.cdr.Answered = at
		if won != nil {
			s.cdr.RungFor = won.Duration
		}
		waited := Span(s.cdr.Started, at)
		s.cdr.ServiceLevelMet = q.within > 0 && waited.Length() <= q.within
	}
	s.cdr.Agent = string(c.Agent)
	if !slices.Contains(s.cdr.Agents, s.cdr.Agent) {
		s.cdr.Agents = append(s.cdr.Agents, s.cdr.Agent)
	}
	s.holders = 0
	s.segments = append(s.segments, Segment{Kind: Talking, Start: at, Queue: s.cdr.Queue, Agent: s.cdr.Agent})
}

// divert ends the wait of a call that goes on elsewhere.
func (s *story) divert(at Instant, d acd.Divert) {
	if s.ended || s.rejected {
		return
	}
	at = s.clock(at)
	s.message = d.To.Voicemail
	s.cdr.DivertedTo = d.To.Number
	if s.message {
		s.cdr.DivertedTo = "voicemail"
	}
	if g := s.current(InQueue); g != nil {
		g.stop(at, "overflow")
		g.Cause = d.Cause.String()
	}
	s.segments = append(s.segments, Segment{Kind: Diverted, Start: at, Queue: s.cdr.Queue, Result: s.cdr.DivertedTo})
}

// part ends a talk whose agent was lost, so that the call waits again, or has given
// the caller to somebody else, which what follows tells.
func (s *story) part(at Instant, p acd.Part) {
	g := s.current(Talking, OnHold)
	if g == nil || s.ended {
		return
	}
	at = s.clock(at)
	s.holders = 0
	if p.Cause == acd.CauseTransferred && p.By != acd.Switch {
		g.stop(at, "transferred")
		g.To, s.cdr.TransferTo = p.To, p.To
		s.consulted(at, "transferred")
		return
	}
	g.stop(at, "requeued")
	s.consulted(at, "over")
	s.enter(at, acd.QueueID(s.cdr.Queue))
}

// consult: the agent asks somebody, while the caller waits for them. It lies over
// the talk or hold segment it happens in.
func (s *story) consult(at Instant, ev acd.Event) {
	if s.ended || s.rejected || s.current(Talking, OnHold) == nil || s.current(Consultation) != nil {
		return
	}
	s.segments = append(s.segments, Segment{
		Kind: Consultation, Start: s.clock(at), Queue: s.cdr.Queue, Agent: string(ev.Agent),
		To: cmp.Or(string(ev.To), string(ev.Queue), ev.Number),
	})
}

func (s *story) consulted(at Instant, result string) {
	if g := s.current(Consultation); g != nil {
		g.stop(s.clock(at), result)
	}
}

// answered ends an offer that led to a consultation.
func (s *story) answered(at Instant, n acd.OfferID) {
	if g := s.offered(n); g != nil {
		g.stop(s.clock(at), "answered")
	}
}

// hold and resume count who holds: a call both parties hold talks again when both have resumed.
func (s *story) hold(at Instant, by acd.Party) {
	s.holders |= 1 << by
	if g := s.current(Talking); g != nil {
		s.swap(g, at, Segment{Kind: OnHold, By: by.String()})
	}
}

func (s *story) resume(at Instant, by acd.Party) {
	s.holders &^= 1 << by
	if g := s.current(OnHold); g != nil && s.holders == 0 {
		s.swap(g, at, Segment{Kind: Talking})
	}
}

func (s *story) swap(g *Segment, at Instant, next Segment) {
	at = s.clock(at)
	next.Start, next.Queue, next.Agent = at, g.Queue, g.Agent
	g.stop(at, "")
	s.segments = append(s.segments, next)
}

func (s *story) wrap(at Instant, agent acd.AgentID) {
	s.segments = append(s.segments, Segment{Kind: WrapUp, Start: s.clock(at), Queue: s.cdr.Queue, Agent: string(agent)})
}

// coded notes what an agent says came of the call.
func (s *story) coded(agent acd.AgentID, code, note string) {
	s.cdr.WrapUpCode, s.cdr.WrapUpNote = code, note
	for i := range s.segments {
		if g := &s.segments[i]; g.Kind == WrapUp && g.End == 0 && g.Agent == string(agent) {
			g.Code = code
		}
	}
}

func (s *story) unwrap(at Instant, agent acd.AgentID) {
	for i := range s.segments {
		if g := &s.segments[i]; g.Kind == WrapUp && g.End == 0 && g.Agent == string(agent) {
			g.stop(s.clock(at), "")
			s.cdr.WrappedUpIn += g.Duration
		}
	}
}

// wrappers are the agents still at work on the call.
func (s *story) wrappers() []acd.AgentID {
	var who []acd.AgentID
	for _, g := range s.segments {
		if g.Kind == WrapUp && g.End == 0 {
			who = append(who, acd.AgentID(g.Agent))
		}
	}
	return who
}

// end is the moment the caller's call was over. The first one counts.
func (s *story) end(at Instant, by acd.Party, cause acd.Cause) {
	if s.ended {
		return
	}
	s.ended, s.by, s.cause = true, by, cause
	s.cdr.Ended = s.clock(at)
	s.cdr.Duration = Span(s.cdr.Started, s.cdr.Ended)
	for i := range s.segments {
		g := &s.segments[i]
		switch {
		case g.End != 0 || g.Kind == WrapUp:
		case g.Kind == Offering:
			g.stop(s.cdr.Ended, "withdrawn")
			g.Cause = cause.String()
		case g.Kind == Diverted:
			g.stop(s.cdr.Ended, g.Result)
		default:
			g.stop(s.cdr.Ended, "")
		}
	}
}

// row is the CDR as it stands, sharing nothing with the story.
func (s *story) row() CDR {
	c := s.cdr
	c.Agents = append([]string{}, s.cdr.Agents...)
	c.Segments = make([]Segment, 0, len(s.segments))
	for _, g := range s.segments {
		if g.End == 0 || g.Kind == WrapUp && g.Duration == 0 {
			continue
		}
		c.Segments = append(c.Segments, g)
	}
	return c
}
