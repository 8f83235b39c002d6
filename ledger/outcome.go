package ledger

import (
	"cmp"
	"math"

	"foyer/acd"
)

// conclude says what became of the call, once its last word has come.
func (s *story) conclude(last acd.Event, q rules) {
	s.closed = true
	s.by = cmp.Or(s.by, last.By, s.settledBy)
	if s.cause == acd.CauseUnknown {
		s.cause = cmp.Or(last.Cause, s.settled)
	}
	if s.refused != acd.CauseUnknown && s.cause != acd.CauseRestart {
		s.cause = s.refused
	}
	if s.by == acd.Nobody {
		s.by = presumed(s.cause)
	}
	for _, g := range s.segments {
		switch g.Kind {
		case InQueue:
			s.cdr.QueuedFor += g.Duration
		case Talking:
			s.cdr.TalkedFor += g.Duration
		case OnHold:
			s.cdr.HeldFor += g.Duration
		case Diverted:
			s.cdr.DivertedFor += g.Duration
		}
	}
	s.cdr.Outcome = s.outcome(q)
	s.cdr.EndedBy = s.by.String()
	s.cdr.Cause = s.cause.String()
	for i := range s.segments {
		if g := &s.segments[i]; g.Kind == InQueue && g.Result == "" {
			g.Result = queueResult(s.cdr.Outcome)
		}
	}
	if last.Facts != nil {
		s.measure(last.Facts)
	}
}

func (s *story) outcome(q rules) Outcome {
	switch {
	case s.cause == acd.CauseRestart:
		return Broken
	case s.cdr.Answered != 0:
		return Answered
	case s.message:
		return LeftMessage
	case s.cdr.DivertedTo != "":
		return Overflowed
	case s.cdr.Direction == "outbound", s.cause == acd.CauseCallback:
		return CalledBack
	}
	switch s.cause {
	case acd.CauseMaxWait:
		return Overflowed
	case acd.CauseNoAgents, acd.CauseFull, acd.CauseNoneReady, acd.CauseClosed, acd.CauseNumberUnknown, acd.CauseTrunkFull,
		acd.CausePortsFull, acd.CauseDraining, acd.CauseAdmin, acd.CauseUnrecordable:
		return Refused
	case acd.CauseAbandoned, acd.CauseHangup:
		if !s.rejected && s.cdr.QueuedFor.Length() < q.short {
			return ShortAbandoned
		}
		return Abandoned
	}
	return Broken
}

// presumed is who ends a call for a cause when nobody was named.
func presumed(c acd.Cause) acd.Party {
	if c == acd.CauseAbandoned {
		return acd.Caller
	}
	return acd.Switch
}

func queueResult(o Outcome) string {
	switch o {
	case Abandoned, ShortAbandoned:
		return "abandoned"
	case Overflowed:
		return "overflow"
	case Refused:
		return "refused"
	case Answered:
		return "answered"
	case CalledBack:
		return "callback"
	}
	return "failed"
}

func resultOf(why acd.Cause) string {
	switch why {
	case acd.CauseDeclined:
		return "declined"
	case acd.CauseBusy:
		return "busy"
	case acd.CauseNoAnswer:
		return "no_answer"
	case acd.CauseUnreachable:
		return "unreachable"
	case acd.CauseElsewhere, acd.CauseAbandoned, acd.CauseHangup, acd.CauseAdmin,
		acd.CauseCallback, acd.CauseMaxWait, acd.CauseDraining, acd.CauseNoAgents, acd.CauseClosed:
		return "withdrawn"
	}
	return "failed"
}

// measure takes over what was known only when the media had gone.
func (s *story) measure(f *acd.Facts) {
	c := &s.cdr
	c.SIPCode = cmp.Or(f.Code, c.SIPCode)
	c.Q850 = f.Q850
	c.Codec = f.Codec
	c.RecordingID = f.Recording
	c.RecordedFor = Millis(f.RecordedMS)
	if f.CallerLeg == nil && f.AgentLeg == nil {
		return
	}
	c.Quality = &QualityByLeg{Caller: finite(f.CallerLeg), Agent: finite(f.AgentLeg)}
	for _, q := range []*acd.Quality{c.Quality.Caller, c.Quality.Agent} {
		if q == nil {
			continue
		}
		if q.MOS > 0 && (c.MOSMin == 0 || q.MOS < c.MOSMin) {
			c.MOSMin = q.MOS
		}
		c.LossRatio = max(c.LossRatio, q.LossRatio)
		c.JitterMS = max(c.JitterMS, q.JitterMS)
	}
	c.SRTP = protected(f)
}

// protected says whose media were encrypted.
func protected(f *acd.Facts) string {
	caller := f.CallerLeg != nil && f.CallerLeg.SRTP != ""
	agent := f.AgentLeg != nil && f.AgentLeg.SRTP != ""
	switch {
	case caller && agent:
		return "both"
	case caller:
		return "caller"
	case agent:
		return "agent"
	}
	return ""
}

// finite is a copy of q that JSON can hold: a ratio of nothing to nothing counts as zero.
func finite(q *acd.Quality) *acd.Quality {
	if q == nil {
		return nil
	}
	out := *q
	for _, f := range []*float64{&out.LossRatio, &out.JitterMS, &out.RTTMS, &out.MOS, &out.RemoteLossRatio} {
		if math.IsNaN(*f) || math.IsInf(*f, 0) {
			*f = 0
		}
	}
	return &out
}
